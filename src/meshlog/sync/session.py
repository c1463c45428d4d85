"""The initiator's side of a sync with one peer: what to ask next, until both agree.

A session is a cache of what is left to do. Losing it costs a beacon and a statement.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from meshlog.core.feed import FeedKey, by_turns
from meshlog.sync.bundle import Bundle
from meshlog.sync.difference import Push, state_control
from meshlog.sync.holdings import Holdings
from meshlog.sync.locators import locate
from meshlog.sync.messages import LOCATORS_MAX, RUNS_MAX, Beacon, Message, Run, Sum, Want
from meshlog.sync.reply import (
    agrees,
    hear,
    is_control,
    keep_control,
    make_beacon,
    pack,
    same_roster,
    state,
)
from meshlog.sync.statements import FEEDS_MAX, Loc

IDLE_ROUNDS_MAX = 8
"""Exchanges without a new event on either side before a session gives up and backs off.
Agreement takes at most: beacon, statement, hashed statement, and four locators, each of which
finds a fork 64 times closer."""

LOCATED_MAX = 5
"""Locators of one feed without a new event in between."""

OWED_MAX = 2_048
"""Stretches to push that are remembered; the others show again in the next statement."""


@dataclass(slots=True)
class Session:
    """What one sync has learned so far."""

    control_only: bool = False
    """Whether the peer is told control feeds and nothing else."""
    beacon: Beacon | None = None
    """Where the peer stood at its last answer."""
    owed: list[Push] = field(default_factory=list)
    wants: list[Run] = field(default_factory=list)
    lacking: Sum | None = None
    """What the peer said that we still lack; progress, not truth."""
    stated: int = 0
    """Data statements that showed nothing since the last movement: hints are next, or other feeds
    where there are more than one statement names."""
    stated_control: int = 0
    """The same of control feeds: the peer's roster may have changed since it said where it stood,
    so a beacon is next, and then nothing more helps."""
    located: Counter[FeedKey] = field(default_factory=Counter)
    theirs: dict[FeedKey, Loc] = field(default_factory=dict)
    """The peer's latest points of a feed, until ours have answered them."""
    to_locate: list[FeedKey] = field(default_factory=list)
    idle_rounds: int = 0
    received: int = 0
    """Events that this session brought us."""
    sent: int = 0
    """Events that the peer took from us, as far as we offered them."""
    offered: int = 0
    """Events in the latest request: a peer that claims to have taken more is not believed."""

    def first(self, holdings: Holdings, now_ms: int) -> list[Message]:
        """Return the opening request: where we stand."""
        return [make_beacon(holdings, now_ms)]

    def next(
        self, holdings: Holdings, answer: Bundle, budget_bytes: int, now_ms: int
    ) -> list[Message] | None:
        """Take in an answer; return the next request, or None when there is nothing left to ask.

        Ask ``agreed`` afterwards whether that is because both hold the same.
        """
        heard = hear(holdings, answer, now_ms)
        if self.control_only:
            keep_control(heard)
        self.beacon = heard.beacon or self.beacon
        taken = min(heard.accepted, self.offered)
        if 2 * taken < self.offered:
            taken = 0  # who takes a trickle of what it asked for only keeps us talking
        if self.sent + taken > holdings.event_count():
            taken = 0  # nobody can lack more than we hold: it takes the same again and again
        self.received += heard.ingested.events
        self.sent += taken
        moved = heard.ingested.events + taken
        self.idle_rounds = 0 if moved else self.idle_rounds + 1
        self.lacking = heard.lacking
        if moved:
            self.stated = self.stated_control = 0
            self.located.clear()
        if heard.other_roster:
            self.stated_control = 0
        if heard.compared:
            self.stated = 0 if heard.other_roster else max(self.stated, 1)
            self.owed, self.wants = [], []
        self.owed = list(dict.fromkeys(self.owed + heard.difference.pushes))[:OWED_MAX]
        self.wants = self._still_wanted(holdings, self.wants + heard.difference.wants)
        self.theirs.update((loc.feed, loc) for loc in heard.locs)
        forked = {*heard.difference.locate, *heard.ingested.gaps, *(loc.feed for loc in heard.locs)}
        if self.control_only:
            forked = set(filter(is_control, forked))
        tired = {feed for feed, times in self.located.items() if times >= LOCATED_MAX}
        self.to_locate = by_turns({*self.to_locate, *forked} - tired)[:RUNS_MAX]
        soon = self.to_locate[:LOCATORS_MAX]
        self.theirs = {feed: self.theirs[feed] for feed in soon if feed in self.theirs}
        if self.agreed(holdings) or self.idle_rounds > IDLE_ROUNDS_MAX:
            return None
        return self._request(holdings, budget_bytes, now_ms)

    def agreed(self, holdings: Holdings) -> bool:
        """Say whether the peer stood where we stand now."""
        return self.beacon is not None and agrees(holdings, self.beacon)

    def _request(self, holdings: Holdings, budget_bytes: int, now_ms: int) -> list[Message] | None:
        offered = sum(push.tip.seq - push.after_seq for push in self.owed)
        packed, self.owed = pack(holdings, self.owed, budget_bytes)
        self.offered = offered - sum(push.tip.seq - push.after_seq for push in self.owed)
        request: list[Message] = list(packed)
        now, self.to_locate = self.to_locate[:LOCATORS_MAX], self.to_locate[LOCATORS_MAX:]
        self.located.update(now)
        request += [locate(holdings, feed, self.theirs.pop(feed, None)) for feed in now]
        if self.wants:
            request.append(Want(budget_bytes, tuple(self.wants)))
        if request and holdings.awaits_genesis():
            return request + (self._state_control(holdings, now_ms) or [])
        if request:
            return (
                [make_beacon(holdings, now_ms), *request] if packed and not self.owed else request
            )
        if self.control_only or (
            self.beacon is not None and not same_roster(holdings, self.beacon)
        ):
            return self._state_control(holdings, now_ms)
        said, self.stated = self.stated, self.stated + 1
        if len(holdings.indexed_feeds()) <= FEEDS_MAX:
            return [state(holdings, now_ms, control=False, hashed=said > 0)]
        return [state(holdings, now_ms, control=False, hashed=said % 2 > 0, page=said // 2)]

    def _state_control(self, holdings: Holdings, now_ms: int) -> list[Message] | None:
        """Return what we say where control feeds differ; None where all was said, and in vain."""
        stated = state_control(holdings, now_ms // 1_000)
        said, self.stated_control = self.stated_control, self.stated_control + 1
        if said == 0 or len(stated.feeds) >= FEEDS_MAX:
            return [stated]
        return self.first(holdings, now_ms) if said == 1 else None

    @staticmethod
    def _still_wanted(holdings: Holdings, runs: list[Run]) -> list[Run]:
        frontier = holdings.frontier()
        wanted: dict[FeedKey, Run] = {}
        for run in runs:
            held = max((head.seq for head in frontier.get(run.feed, ())), default=0)
            if held < run.last:
                wanted[run.feed] = Run(run.feed, max(run.first, held + 1), run.last)
        return list(wanted.values())[:RUNS_MAX]
