"""The seed's simulated network: real bytes between nodes of one process, with partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class SimNetwork:
    """A medium whose partitions the caller sets; it counts what it carries.

    Example:
        >>> air = SimNetwork()
        >>> ann, bob = SimTransport("ann", air), SimTransport("bob", air)
        >>> bob.set_receive(lambda peer, message: print(peer, message))
        >>> ann.send("bob", b"hello")
        ann b'hello'
        >>> air.set_partitions([{"ann"}, {"bob"}])
        >>> ann.send("bob", b"hello?"), air.bytes_sent, air.messages_sent
        (None, 5, 1)
    """

    def __init__(self) -> None:
        """Start with everybody in reach of everybody."""
        self._transports: dict[str, SimTransport] = {}
        self._partitions: list[frozenset[str]] | None = None
        self.bytes_sent = 0
        """Bytes delivered since the start."""
        self.messages_sent = 0
        """Messages delivered since the start."""

    def register(self, transport: SimTransport) -> None:
        """Connect a transport; its ``node_id`` must be new here.

        A node that joins after ``set_partitions`` and is named in none is alone.
        """
        self._transports[transport.node_id] = transport

    def set_partitions(self, partitions: Iterable[Iterable[str]]) -> None:
        """Split the network: nodes reach each other where they share a set; others are alone."""
        self._partitions = [frozenset(part) for part in partitions]

    def reachable(self, node_id: str) -> list[str]:
        """Return whom a node reaches now, sorted."""
        if self._partitions is None:
            return sorted(self._transports.keys() - {node_id})
        sharing = {other for part in self._partitions if node_id in part for other in part}
        return sorted((sharing & self._transports.keys()) - {node_id})

    def deliver(self, src: str, dst: str, message: bytes) -> None:
        """Carry one message now, or drop it where ``dst`` is out of reach."""
        if dst in self.reachable(src):
            self.bytes_sent += len(message)
            self.messages_sent += 1
            self._transports[dst].receive(src, message)


class SimTransport:
    """One node's end of a ``SimNetwork``; a ``Transport`` in the seed's sense."""

    def __init__(self, node_id: str, network: SimNetwork) -> None:
        """Connect to ``network`` under a name."""
        self.node_id = node_id
        self._network = network
        self._receive: Callable[[str, bytes], None] | None = None
        network.register(self)

    def set_receive(self, cb: Callable[[str, bytes], None]) -> None:
        """See Transport.set_receive."""
        self._receive = cb

    def reachable_peers(self) -> list[str]:
        """See Transport.reachable_peers."""
        return self._network.reachable(self.node_id)

    def send(self, peer_id: str, message: bytes) -> None:
        """See Transport.send."""
        self._network.deliver(self.node_id, peer_id, message)

    def receive(self, src: str, message: bytes) -> None:
        """Hand over a message that arrived."""
        if self._receive is not None:
            self._receive(src, message)
