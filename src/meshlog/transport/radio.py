"""The seam between the link lane and Reticulum: few verbs, no decisions.

`reticulum.RNSRadio` keeps it with RNS; tests keep it with a fake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshlog.ports.links import Peer
from meshlog.transport.exchanges import LinkId, Phase
from meshlog.transport.peers import InterfaceStats


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What Reticulum knows of an established link."""

    rtt_s: float
    medium_bps: float
    """Of the interface below; of the slowest one where that is unknown (behind a shared
    instance)."""
    setup_bps: float | None
    """What the link's setup achieved."""
    packet_bytes: int
    """The largest request that travels as one packet."""


class RadioEvents(Protocol):
    """What happens. Called on Reticulum's threads: hand over and return."""

    def heard(self, peer: Peer, public_key: bytes, app_data: bytes, *, live: bool) -> None:
        """An announce came; ``live`` unless it is a stored one that answers a path request."""

    def established(self, link: LinkId, *, dialled_by_us: bool) -> None:
        """A link is up. It proves nothing yet."""

    def closed(self, link: LinkId) -> None:
        """A link is gone, or never came up."""

    def serve(self, path: str, link: LinkId, data: object) -> bytes | None:
        """Answer a request; may wait. None sends nothing."""

    def overheard(self, packet: bytes) -> None:
        """A broadcast packet of our dataset's name came, from whomever and of any size."""

    def may_transfer(self, link: LinkId, size_bytes: int) -> bool:
        """Say whether the other end may send a Resource of this size."""


class Receipt(Protocol):
    """A request under way."""

    def look(self) -> tuple[Phase, float]:
        """Return how far it has come, 0 to 1 within its phase."""


class Radio(Protocol):
    """Links and requests, as Reticulum offers them."""

    peer: Peer

    def start(self, events: RadioEvents, tag: bytes) -> None:
        """Start Reticulum unless it runs, and listen.

        Args:
            events: Is told what happens.
            tag: Of the dataset: names what broadcast packets are for.

        Raises:
            TransportError: It cannot start, or this is not the main thread.
        """

    def announce(self, app_data: bytes) -> None:
        """Announce ourselves on every interface."""

    def broadcast(self, packet: bytes) -> bool:
        """Send one packet of at most ``SHOUT_SIZE_MAX`` bytes to all neighbours.

        Returns:
            False where no interface was there to send it.
        """

    def find(self, peer: Peer) -> None:
        """Ask the network for a path to ``peer``."""

    def reachable(self, peer: Peer) -> bool:
        """Say whether a path to ``peer`` is known; it may be stale."""

    def hops(self, peer: Peer) -> int:
        """Return the length of the known path."""

    def first_hop_bps(self, peer: Peer) -> float:
        """Return the bit rate of the interface on the way to ``peer``; 0 where that is unknown."""

    def recall(self, peer: Peer) -> bytes | None:
        """Return the public key of ``peer`` if Reticulum still remembers it."""

    def open(self, public_key: bytes) -> LinkId:
        """Send a link request to the owner of a 64-byte key.

        ``established`` or ``closed`` follows.
        """

    def facts(self, link: LinkId) -> LinkFacts | None:
        """Return what is known of ``link``; None if it is gone."""

    def ask(
        self,
        link: LinkId,
        path: str,
        data: bytes,
        limit_s: float,
        done: Callable[[bytes | None], None],
    ) -> Receipt | None:
        """Send a request; None if the link is gone.

        Args:
            limit_s: When Reticulum gives up by itself.
            done: Called on a foreign thread, with None for a failure. May never be called:
                a Resource that fails in mid-answer is silent.
        """

    def drop(self, link: LinkId) -> None:
        """Tear a link down."""

    def sweep(self, now_s: float, limit_s: float) -> None:
        """Tear down incoming links whose handshake is unfinished after ``limit_s``."""

    def interfaces(self) -> list[InterfaceStats]:
        """Return Reticulum's interfaces, without those that only serve local programs."""

    def slowest_bps(self) -> float:
        """Return the least bit rate of the interfaces online; infinite if there are none."""

    def close(self) -> None:
        """Tear every link down and stop listening. Reticulum itself runs on."""
