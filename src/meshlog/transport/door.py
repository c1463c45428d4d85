"""Who is at the other end of a link: nobody until its proof came, a peer from then on.

Strangers may hold a few links, for a short time, and say nothing on them but their proof.
"""

from __future__ import annotations

from collections.abc import Callable

from meshlog.ports.links import Peer
from meshlog.transport import pacing
from meshlog.transport.exchanges import LinkId
from meshlog.transport.radio import LinkFacts, Radio

UNPROVEN_MAX = 64
"""Incoming links that may wait for their proof at once."""


class Door:
    """Links that came in and wait for their proof, and all that proved themselves.

    Runs on the worker's thread, but for ``whose``.
    """

    def __init__(self, radio: Radio, now_s: Callable[[], float]) -> None:
        self._radio = radio
        self._now_s = now_s
        self._waiting: dict[LinkId, float] = {}
        """Until when each may go without a proof."""
        self._proven: dict[LinkId, Peer] = {}
        self._announced: set[LinkId] = set()
        """Proven links whose other end announced itself."""
        self.refused = 0
        """Links that did not prove themselves, and requests on them."""

    def whose(self, link: LinkId) -> Peer | None:
        """Return whose a link is, or None while it is unproven. Any thread."""
        return self._proven.get(link)

    @property
    def is_empty(self) -> bool:
        """Whether no link is proven."""
        return not self._proven

    def came(self, link: LinkId) -> None:
        """Let an incoming link wait for its proof, where there is room."""
        facts = self._radio.facts(link)
        if facts is None or len(self._waiting) >= UNPROVEN_MAX:
            self.refuse(link)
            return
        deadline_s = pacing.proof_deadline_s(facts.rtt_s, facts.medium_bps)
        self._waiting[link] = self._now_s() + deadline_s

    def may_prove(self, link: LinkId) -> bool:
        """Say whether a proof is awaited on a link, or came and may come again."""
        return link in self._waiting or link in self._proven

    def admit(self, link: LinkId, peer: Peer) -> LinkFacts | None:
        """Take that ``peer`` proved itself on a link; None where that closed meanwhile."""
        self._waiting.pop(link, None)
        facts = self._radio.facts(link)
        if facts is not None:
            self._proven[link] = peer
        return facts

    def announced(self, peer: Peer) -> bool | None:
        """Take that a peer announced itself.

        Returns:
            None where it holds no link; else whether it announced itself over all of them before.
        """
        links = {link for link, whose in self._proven.items() if whose == peer}
        if not links:
            return None
        again = links <= self._announced
        self._announced = (self._announced | links) & self._proven.keys()
        return again

    def refuse(self, link: LinkId) -> None:
        """Tear down a link that did not prove itself."""
        self.refused += 1
        self.drop(link)

    def drop(self, link: LinkId) -> None:
        """Tear down a link."""
        self.lost(link)
        self._radio.drop(link)

    def lost(self, link: LinkId) -> Peer | None:
        """Forget a link that is gone; return whose it was, None where it was unproven."""
        self._waiting.pop(link, None)
        return self._proven.pop(link, None)

    def tick(self, now_s: float) -> None:
        """Refuse those that waited long enough."""
        for link, until_s in list(self._waiting.items()):
            if now_s >= until_s:
                self.refuse(link)
