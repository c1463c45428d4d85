"""The predecessor's ``Node`` objects, in a process and an environment of their own.

Run by ``predecessor.py`` with the interpreter of an environment that holds ``meshlogd`` from PyPI,
whose package has our name: hence a process. One JSON object per line comes in and one goes out.
Everything behind its Transport seam is its own code; time and keys are told to it.
"""

from __future__ import annotations

import base64
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

peer = importlib.import_module("meshlog")
SIGNS = "signer" in inspect.signature(peer.Node).parameters


class Seam:
    """Its Transport, as its own documentation states it: what is sent is collected."""

    def __init__(self, node_id: str, sends: list[list[str]]) -> None:
        """Take the name, and the list that sends go to."""
        self.node_id = node_id
        self.receive: Callable[[str, bytes], None] = lambda _src, _message: None
        self.reachable: list[str] = []
        self._sends = sends

    def set_receive(self, cb: Callable[[str, bytes], None]) -> None:
        """Keep whom to hand messages to."""
        self.receive = cb

    def reachable_peers(self) -> list[str]:
        """Return whom the bench put in reach."""
        return list(self.reachable)

    def send(self, peer_id: str, message: bytes) -> None:
        """Collect one message."""
        self._sends.append([self.node_id, peer_id, base64.b64encode(message).decode()])


class Host:
    """All nodes of one run."""

    def __init__(self) -> None:
        """Start empty, at time 0."""
        self.now_ms = 0
        self.sends: list[list[str]] = []
        self.seams: dict[str, Seam] = {}
        self.nodes: dict[str, Any] = {}
        self.identities: dict[str, Any] = {}
        self.feeds: dict[str, list[Any]] = {}

    def node(self, key: str) -> dict[str, Any]:
        """Make a node from 64 private key bytes in hex; the newer version signs with them."""
        keywords: dict[str, Any] = {"hlc": peer.HLC(_phys=lambda: self.now_ms)}
        name = key[:32]
        if SIGNS:
            rns = importlib.import_module("meshlog.rns_transport")
            identity = rns.RNS.Identity(create_keys=False)
            identity.load_private_key(bytes.fromhex(key))
            name = identity.hash.hex()
            self.identities[name] = identity
            keywords["signer"] = rns.RNSSigner(identity)
            keywords["verifier"] = rns.RNSVerifier(self.identities.get)
        self.seams[name] = Seam(name, self.sends)
        self.nodes[name] = peer.Node(name, self.seams[name], **keywords)
        return {"name": name}

    def reach(self, name: str, peers: list[str]) -> None:
        """Say whom a node reaches from now on."""
        self.seams[name].reachable = peers

    def clock(self, now_ms: int) -> None:
        """Set the time."""
        self.now_ms = now_ms

    def fill(self, name: str, counts: dict[str, int], *, real: bool) -> None:
        """Give a node the first events of other authors' feeds, unsigned.

        Args:
            name: The node.
            counts: Author to number of events.
            real: Append real chains through its own store; else put one event in as often as
                the count says, which is all that a frontier reads.
        """
        store = self.nodes[name].store
        for author, count in counts.items():
            if not real:
                [event] = self._feed(author, 1)
                store._feeds[author] = [event] * count  # noqa: SLF001 - see `real`
                continue
            for event in self._feed(author, count):
                store.append_local(event)

    def _feed(self, author: str, count: int) -> Iterable[Any]:
        feed = self.feeds.setdefault(author, [])
        while len(feed) < count:
            seq = len(feed) + 1
            payload = {"record_id": f"{seq:016x}", "field": "depth_m", "value": seq}
            prev = feed[-1].id if feed else ""
            stamp = (self.now_ms + seq, 0)
            feed.append(peer.Event.from_parts(author, seq, stamp, "field.set", payload, prev))
        return feed[:count]

    def emit(self, name: str, kind: str, payload: dict[str, Any]) -> None:
        """Let a node write an event."""
        self.nodes[name].emit(kind, payload)

    def gossip(self, name: str) -> None:
        """Let a node offer its frontier to everyone in reach."""
        self.nodes[name].gossip_round()

    def hear(self, src: str, dst: str, message: str) -> None:
        """Deliver a message."""
        self.seams[dst].receive(src, base64.b64decode(message))

    def held(self) -> dict[str, Any]:
        """Say how many events each node holds."""
        return {"held": {name: node.store.event_count() for name, node in self.nodes.items()}}

    def frontier(self, name: str) -> dict[str, Any]:
        """Return what an announce of its Reticulum transport would carry."""
        text = json.dumps(self.nodes[name].frontier(), separators=(",", ":"))
        return {"size_bytes": len(text.encode())}


def main() -> None:
    """Answer until the input ends."""
    host = Host()
    for line in sys.stdin:
        words: dict[str, Any] = json.loads(line)
        answer = getattr(host, words.pop("do"))(**words) or {}
        sys.stdout.write(json.dumps({**answer, "sends": host.sends}) + "\n")
        sys.stdout.flush()
        host.sends.clear()


if __name__ == "__main__":
    main()
