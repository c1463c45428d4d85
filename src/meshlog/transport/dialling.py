"""Links that we open: first a path, then an answer, then a proof.

A link that Reticulum calls active may be dead at the other end (its third packet was lost),
so it counts only when its ``hello`` was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from meshlog.ports.links import Peer
from meshlog.transport import pacing
from meshlog.transport.exchanges import LinkId
from meshlog.transport.peers import PublicKeys
from meshlog.transport.proofs import Proofs
from meshlog.transport.radio import Radio

HELLO = "hello"
"""Request path of the proof; answered with the other end's."""

HELLO_TRIES = 2

UNANSWERED_MAX = 1024
"""Peers remembered for not having answered, so that a new path is asked for first. Announces
cost a stranger nothing: he may make up as many neighbours as he likes."""

_REFRESH_S = 1.5
"""Seconds that a path which did not work has to be replaced by a better one."""


@dataclass(slots=True)
class _Dial:
    until_s: float
    refreshing: bool
    """A path is known: open at ``until_s`` at the latest, on whatever path is known then."""
    link: LinkId | None = None
    hellos: int = 0


class Dialler:
    """Dials, one link per peer at a time. Runs on the worker's thread.

    Every ``dial`` ends in one call of ``proved`` or ``failed``, or in ``stop``.
    """

    def __init__(
        self,
        radio: Radio,
        proofs: Proofs,
        keys: PublicKeys,
        *,
        post: Callable[[Callable[[], None]], object],
        now_s: Callable[[], float],
        proved: Callable[[Peer, LinkId], None],
        failed: Callable[[Peer, str], None],
    ) -> None:
        """Take what it works with.

        Args:
            post: Brings a job from a foreign thread to the worker.
            proved: The peer dialled proved itself on this link.
            failed: It did not, for this reason; the link, if any, is torn down.
        """
        self._radio = radio
        self._proofs = proofs
        self._keys = keys
        self._post = post
        self._now_s = now_s
        self._proved = proved
        self._failed = failed
        self._dials: dict[Peer, _Dial] = {}
        self._links: dict[LinkId, Peer] = {}
        self._unanswered: dict[Peer, None] = {}

    def dial(self, peer: Peer) -> None:
        """Begin, on the known path; on a new one after a failure."""
        known = self._radio.reachable(peer) and self._key(peer) is not None
        wait_s = _REFRESH_S if known else pacing.path_deadline_s(self._radio.slowest_bps())
        dial = self._dials[peer] = _Dial(self._now_s() + wait_s, refreshing=known)
        if peer in self._unanswered or not self._open(peer, dial):
            self._radio.find(peer)

    def stop(self, peer: Peer) -> None:
        """Give up silently, if it goes on."""
        if (dial := self._dials.pop(peer, None)) and dial.link:
            self._hang_up(dial.link)

    def owns(self, link: LinkId) -> bool:
        """Say whether ``link`` is one of ours that has not proved itself. Any thread."""
        return link in self._links

    def heard(self, peer: Peer) -> None:
        """React to an announce: there is a path, and the key is known."""
        if (dial := self._dials.get(peer)) and dial.link is None:
            self._open(peer, dial)

    def established(self, link: LinkId) -> None:
        """React to an answered link request."""
        peer = self._links.get(link)
        if peer is None:  # stopped meanwhile
            self._radio.drop(link)
        else:
            self._say_hello(peer, self._dials[peer], link)

    def closed(self, link: LinkId) -> None:
        """React to the end of a link that had not proved itself."""
        if (peer := self._links.get(link)) is not None:
            self._fail(peer, "link closed" if self._dials[peer].hellos else "no answer")

    def tick(self, now_s: float) -> None:
        """Let time pass."""
        for peer, dial in list(self._dials.items()):
            overdue = now_s >= dial.until_s
            if dial.link is not None:
                if overdue:
                    self._fail(peer, "no proof" if dial.hellos else "no answer")
                continue
            opened = (overdue or not dial.refreshing) and self._open(peer, dial)
            if overdue and not opened:
                self._fail(peer, "no path")

    def _key(self, peer: Peer) -> bytes | None:
        return self._keys.get(peer) or self._radio.recall(peer)

    def _open(self, peer: Peer, dial: _Dial) -> bool:
        public_key = self._key(peer)
        if public_key is None or not self._radio.reachable(peer):
            return False
        wait_s = pacing.dial_deadline_s(self._radio.hops(peer), self._radio.slowest_bps())
        dial.until_s = self._now_s() + wait_s
        dial.link = self._radio.open(public_key)
        self._links[dial.link] = peer
        return True

    def _say_hello(self, peer: Peer, dial: _Dial, link: LinkId) -> None:
        facts = self._radio.facts(link)
        if facts is None or dial.hellos >= HELLO_TRIES:
            self._fail(peer, "no proof")
            return
        dial.hellos += 1
        limit_s = pacing.hello_s(facts.rtt_s, facts.medium_bps)
        dial.until_s = self._now_s() + 2 * limit_s  # Reticulum notices a bit late
        said = self._proofs.ours(link, initiator=True)

        def done(answer: bytes | None) -> None:
            self._post(partial(self._answered, link, answer))

        self._radio.ask(link, HELLO, said, limit_s, done)

    def _answered(self, link: LinkId, answer: bytes | None) -> None:
        peer = self._links.get(link)
        if peer is None:
            return
        if answer is None:
            self._say_hello(peer, self._dials[peer], link)
        elif self._proofs.check(link, answer, initiator=False) != peer:
            self._fail(peer, "not a member")
        elif self._radio.facts(link) is None:
            self._fail(peer, "link closed")
        else:
            del self._dials[peer]
            self._unanswered.pop(peer, None)
            self._proved(peer, link)
            self._links.pop(link, None)  # last: whoever asks `owns` finds it proven by then

    def _fail(self, peer: Peer, reason: str) -> None:
        self.stop(peer)
        self._unanswered[peer] = None
        if len(self._unanswered) > UNANSWERED_MAX:
            del self._unanswered[next(iter(self._unanswered))]
        self._failed(peer, reason)

    def _hang_up(self, link: LinkId) -> None:
        self._links.pop(link, None)
        self._radio.drop(link)
