"""The engine: inputs in, effects out. Never raises because of what a peer sent.

Whoever's root changed asks; a peer that agrees is left in silence. docs/protocol.md §6.
"""

from __future__ import annotations

import random
from typing import assert_never

from meshlog.core.credible import NEIGHBOURS_SURE
from meshlog.core.identity import AuthorId
from meshlog.errors import MalformedError
from meshlog.ports.links import (
    Answered,
    Asked,
    AskFailed,
    LinkDown,
    LinkUp,
    Medium,
    Overheard,
    Peer,
    PeerSeen,
)
from meshlog.sync.broadcast.lane import Lane
from meshlog.sync.broadcast.packet import AirKey
from meshlog.sync.bundle import Bundle, encode_bundle
from meshlog.sync.effects import Answer, Ask, Changed, Effect, Input, Poke, WakeAt, Woke
from meshlog.sync.holdings import Holdings
from meshlog.sync.messages import Ack, Beacon, Message, root_hint
from meshlog.sync.offsets import Offsets
from meshlog.sync.peers import Peers, PeerState
from meshlog.sync.policy import Policy
from meshlog.sync.reply import agrees, reply
from meshlog.sync.session import Session

CROSSINGS_MAX = 3
"""How often in a row a peer may say that a sync of its own goes on before that is a failure."""


DOUBT_MS = 60_000
"""A clock that seems to have been ahead is held against the neighbours' after this time, if none
told theirs by itself; then after twice the time, and so on, up to once a day. A choice."""

DOUBTS_MAX = 10
"""Doublings: ``DOUBT_MS << 10`` is 17 hours."""

CLOCK_BACK_MS = 5_000
"""A wall clock that goes back further than this was set; less is waited for."""


def announce_hint(root: bytes) -> bytes:
    """Return the 8 bytes by which an announce says where its sender stands."""
    return root_hint(0, root)


class Engine:
    """Decides what to ask of whom and when. Owns no clock, no socket and no event."""

    def __init__(
        self, author: AuthorId, holdings: Holdings, air: AirKey, policy: Policy, rng: random.Random
    ) -> None:
        """Take who we are, the replica, its key on the air, and luck for spreading retries."""
        self.name = Peer(author.hex())
        """Ours, in the name space of the transport's peers."""
        self._holdings = holdings
        self._policy = policy
        self._rng = rng
        self._exchanges = rng.getrandbits(31)
        self.peers = Peers(policy.peers_max, policy.batch_size_bytes)
        self._latest_ms = 0
        self.offsets = Offsets()
        self.doubts_clock = False
        """Whether what the replica keeps is ahead of the clock: told before each input."""
        self._doubts = 0
        self._doubt_ms: int | None = None
        self.lane = Lane(author, air, holdings, policy, rng, self.offsets)

    def handle(self, happened: Input, now_ms: int) -> list[Effect]:
        """React to one input; the last effect says when to wake us, where there is a reason."""
        if now_ms < self._latest_ms - CLOCK_BACK_MS:
            self._set_back(self._latest_ms - now_ms)
        self._latest_ms = now_ms
        effects = self._react(happened, now_ms)
        if self.lane.needs_help(now_ms):
            self._help(now_ms)
        self._doubt_clock(now_ms)
        effects += self._start_due(now_ms)
        effects += self.lane.step(now_ms)
        due = [] if self._doubt_ms is None else [self._doubt_ms]
        due += [  # of a peer whose sync runs, when that has ended
            state.due_ms
            for state in self.peers
            if state.due_ms is not None and state.session is None
        ]
        if self.lane.next_ms is not None:
            due.append(self.lane.next_ms)
        if due:
            effects.append(WakeAt(min(due)))
        return effects

    def _react(self, happened: Input, now_ms: int) -> list[Effect]:
        match happened:
            case PeerSeen(peer, hint, hops, is_fast):
                state = self.peers.heard(peer, now_ms)
                state.is_near = hops <= 1 and not is_fast
                if hint and hint != announce_hint(self._holdings.root()):
                    state.agreed_root = b""
                self._met(state, now_ms)
            case LinkUp(peer, batch_size_bytes):
                state = self.peers.heard(peer, now_ms)
                state.linked, state.batch_size_bytes = True, batch_size_bytes
                self._met(state, now_ms)
            case LinkDown(peer):
                self._lost(peer, now_ms)
            case Asked(peer, token, request):
                return self._asked(self.peers.heard(peer, now_ms), token, request, now_ms)
            case Answered(peer, exchange, answer):
                return self._answered(peer, exchange, answer, now_ms)
            case AskFailed(peer, exchange):
                self._failed(peer, exchange, now_ms)
            case Overheard(packet):
                before = self._holdings.root()
                self.lane.overheard(packet, now_ms)
                if self._holdings.root() != before:
                    self._spread(now_ms)
            case Medium(rate_bps):
                self.lane.medium(rate_bps, now_ms)
            case Changed(urgent):
                self.lane.changed(now_ms, urgent=urgent)
                self._spread(now_ms + self._policy.nagle_ms)
            case Poke():
                self.lane.poke(now_ms)
                self._poked(now_ms)
            case Woke():
                pass
            case _:
                assert_never(happened)
        return []

    def _set_back(self, by_ms: int) -> None:
        """Move every time that we keep with a wall clock that was set back, or wait for it."""
        self.lane.set_back(by_ms)
        self._doubts, self._doubt_ms = 0, None
        self.offsets.clear()
        for state in self.peers:
            state.heard_ms -= by_ms
            state.driven_until_ms -= by_ms
            if state.due_ms is not None:
                state.due_ms -= by_ms

    # ── reasons to ask ──────────────────────────────────────────────────────────────

    def _met(self, state: PeerState, now_ms: int) -> None:
        """Plan a sync with a peer that is there, unless we agree or it drives one."""
        state.failures = 0
        if state.session is not None or state.agreed_root == self._holdings.root():
            return
        if self._is_in_earshot(state):
            return
        wait_ms = 0 if self.name < state.peer else self._policy.courtesy_ms
        self._plan(state, max(now_ms + wait_ms, state.driven_until_ms))

    def _spread(self, when_ms: int, but: PeerState | None = None) -> None:
        """Plan a sync with every peer that does not stand where we stand now."""
        root = self._holdings.root()
        for state in self.peers:
            if (
                state is not but
                and state.agreed_root != root
                and state.session is None
                and not state.failures
                and not self._is_in_earshot(state)
            ):
                self._plan(state, max(when_ms, state.driven_until_ms))

    def _poked(self, now_ms: int) -> None:
        for state in self.peers:
            if state.session is None and not self._is_in_earshot(state):
                state.due_ms = now_ms

    def _is_in_earshot(self, state: PeerState) -> bool:
        """Say whether the broadcast lane serves this peer: a link would cost more air."""
        return self.lane.active and state.is_near

    def _help(self, now_ms: int) -> None:
        """Ask one neighbour over a link for what no packet carries to us."""
        near = [state for state in self.peers if state.is_near and state.session is None]
        near = [state for state in near if state.due_ms is None]
        if near:
            self._plan(max(near, key=lambda state: (-state.failures, state.heard_ms)), now_ms)

    def _doubt_clock(self, now_ms: int) -> None:
        """Ask a few neighbours, now and then, where only they can say whether our clock is right.

        Whoever agrees with us says nothing by itself.
        """
        if not self.doubts_clock:
            self._doubts, self._doubt_ms = 0, None
            return
        if self._doubt_ms is not None and now_ms >= self._doubt_ms:
            self._doubts += 1
            silent = [
                state
                for state in self.peers
                if state.session is None
                and not state.failures
                and not self.offsets.knows(state.peer, now_ms)
            ]
            silent.sort(key=lambda state: -state.heard_ms)
            for state in silent[:NEIGHBOURS_SURE]:
                self._plan(state, now_ms)
            self._doubt_ms = None
        if self._doubt_ms is None:
            self._doubt_ms = now_ms + (DOUBT_MS << min(self._doubts, DOUBTS_MAX))

    @staticmethod
    def _plan(state: PeerState, when_ms: int) -> None:
        state.due_ms = when_ms if state.due_ms is None else min(state.due_ms, when_ms)

    # ── our own syncs ───────────────────────────────────────────────────────────────

    def _start_due(self, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for state in self.peers:
            if state.due_ms is not None and state.due_ms <= now_ms and state.session is None:
                state.session = Session()
                state.due_ms = None
                effects.append(self._ask(state, state.session.first(self._holdings, now_ms)))
        return effects

    def _ask(self, state: PeerState, request: list[Message]) -> Effect:
        self._exchanges = (self._exchanges + 1) & 0x7FFFFFFF or 1
        state.exchange = self._exchanges
        return Ask(state.peer, state.exchange, encode_bundle(request))

    def _answered(self, peer: Peer, exchange: int, answer: bytes, now_ms: int) -> list[Effect]:
        state = self.peers.known(peer)
        if state is None or state.session is None or state.exchange != exchange:
            return []
        self.peers.heard(peer, now_ms)
        bundle = self._decoded(state, answer)
        if bundle is None:
            self._failed(peer, exchange, now_ms)
            return []
        if self._is_crossing(bundle):
            state.crossings += 1
            state.session, state.exchange = None, 0
            if state.crossings > CROSSINGS_MAX:
                self._back_off(state, now_ms)
            else:
                self._plan(state, now_ms + self._driven_ms(state))
            return []
        self._note_time(peer, bundle.said, now_ms)
        before = self._holdings.root()
        session = state.session
        session.control_only = not self._holdings.may_hear(peer)
        request = session.next(self._holdings, bundle, state.batch_size_bytes, now_ms)
        if session.beacon is not None:
            state.held_count = session.beacon.event_count
        if self._holdings.root() != before:
            self._spread(now_ms, but=state)
        if request is not None:
            return [self._ask(state, request)]
        state.session, state.exchange = None, 0
        if session.agreed(self._holdings):
            self._agree(state)
        else:
            self._back_off(state, now_ms)
        return []

    def _failed(self, peer: Peer, exchange: int, now_ms: int) -> None:
        state = self.peers.known(peer)
        if state is not None and state.session is not None and state.exchange == exchange:
            state.session, state.exchange = None, 0
            self._back_off(state, now_ms)

    def _lost(self, peer: Peer, now_ms: int) -> None:
        state = self.peers.known(peer)
        if state is not None:
            state.linked, state.driven_until_ms = False, 0
            if state.session is not None:
                self._failed(peer, state.exchange, now_ms)
            elif state.agreed_root != self._holdings.root() and state.due_ms is None:
                self._back_off(state, now_ms)

    def _back_off(self, state: PeerState, now_ms: int) -> None:
        """Try again later: doubling, jittered by half, so that neighbours do not collide."""
        wait_ms = min(self._policy.retry_ms << min(state.failures, 16), self._policy.retry_ms_max)
        state.failures += 1
        if self._is_in_earshot(state):
            state.due_ms = None  # the broadcast lane goes on, and asks for help again
            return
        state.due_ms = now_ms + int(wait_ms * self._rng.uniform(0.5, 1.0))

    # ── a peer's syncs ──────────────────────────────────────────────────────────────

    def _asked(self, state: PeerState, token: int, request: bytes, now_ms: int) -> list[Effect]:
        bundle = self._decoded(state, request)
        if bundle is None:
            return [Answer(token, encode_bundle([]))]
        self._note_time(state.peer, bundle.said, now_ms)
        before = self._holdings.root()
        crossing = state.session is not None
        if (
            crossing and self.name > state.peer
        ):  # of two syncs that cross, the lesser name's goes on
            state.session, state.exchange, crossing = None, 0, False
        budget_bytes = 0 if crossing else state.batch_size_bytes
        control_only = not self._holdings.may_hear(state.peer)
        answer, heard, settled = reply(
            self._holdings, bundle, budget_bytes, now_ms, control_only=control_only
        )
        del bundle  # a statement of 20,000 feeds is gone before the answer is deflated
        state.counts.update(heard.ingested.verdicts)
        state.failures = 0
        state.driven_until_ms = now_ms + self._driven_ms(state)
        if heard.beacon is not None:
            state.held_count = heard.beacon.event_count
        root = self._holdings.root()
        if settled:
            self._agree(state)
        else:
            state.agreed_root = b""
            state.due_ms = state.driven_until_ms if state.session is None else None
        if root != before:
            self._spread(now_ms, but=state)
        return [Answer(token, encode_bundle(answer))]

    def _is_crossing(self, answer: Bundle) -> bool:
        """Say whether a peer answered with where it stands only: a sync of its own is under way."""
        match answer.said:
            case [Beacon() as beacon] if not answer.has_segments:
                return not agrees(self._holdings, beacon)
        return False

    def _driven_ms(self, state: PeerState) -> int:
        fast = state.batch_size_bytes >= self._policy.fast_batch_size_bytes
        return self._policy.driven_ms_fast if fast else self._policy.driven_ms

    def _agree(self, state: PeerState) -> None:
        self.lane.agreed(self._holdings.root())
        state.agreed_root, state.held_count = self._holdings.root(), self._holdings.event_count()
        state.failures, state.due_ms, state.driven_until_ms, state.crossings = 0, None, 0, 0

    def _note_time(self, peer: Peer, messages: list[Message], now_ms: int) -> None:
        """Take what a peer's clock shows: for a warning, never to set ours."""
        for message in messages:
            match message:
                case Beacon(time_s=time_s) | Ack(beacon=Beacon(time_s=time_s)):
                    self.offsets.heard(peer, time_s, now_ms)
                case _:
                    pass

    @staticmethod
    def _decoded(state: PeerState, data: bytes) -> Bundle | None:
        try:
            return Bundle(data)
        except MalformedError as error:
            state.counts[error.reason] += 1
            return None
