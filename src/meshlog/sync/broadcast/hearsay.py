"""What neighbours say of where they stand, and what that makes us owe and ask.

Nothing of it is believed: it is compared with what we hold, and only events that come of it
count. docs/protocol.md §6.6.
"""

from __future__ import annotations

from dataclasses import replace

from meshlog.sync.broadcast.asking import Asking
from meshlog.sync.broadcast.loose import Loose
from meshlog.sync.broadcast.recall import (
    Recall,
    Stated,
    control_digests,
    resolve,
    skips_of,
    stated_vec,
)
from meshlog.sync.broadcast.repairs import Repairs
from meshlog.sync.broadcast.wording import Wording
from meshlog.sync.difference import Difference, Push, compare_feed, newly
from meshlog.sync.holdings import Holdings
from meshlog.sync.locators import answer_loc
from meshlog.sync.messages import Beacon, Message
from meshlog.sync.reply import agrees
from meshlog.sync.statements import (
    ROSTER_DIGEST_SIZE,
    Delta,
    Digests,
    Loc,
    Vec,
    statement_id,
)

DEFERENCE_SLOTS = 6.0
"""Who holds more lets the other speak first: it knows what it lacks."""

UNNAMED_PER_SAY = 8
"""Roots or statements that show no difference, though there is one: as good a reason to say more
as one statement of ours in vain. A choice: most differences are told by less."""

POINTS_LOOKED_AT = 8
"""Points of a locator, heads first, that tell whether it shows a branch that we lack."""


class Hearsay:
    """Beacons and statements, taken in as they are heard.

    What is heard comes with until when segments are probably under way (``quiet_ms``): our
    asking waits so long.
    """

    def __init__(
        self,
        holdings: Holdings,
        credit_packets: int,
        recall: Recall,
        asking: Asking,
        repairs: Repairs,
        wording: Wording,
        loose: Loose,
    ) -> None:
        """Take the replica, what is remembered, and what is told of what was heard."""
        self._holdings = holdings
        self._credit_packets = credit_packets
        self._recall = recall
        self._asking = asking
        self._repairs = repairs
        self._wording = wording
        self._loose = loose
        self._odd: Beacon | None = None
        """A beacon that stands for nothing we know, or agrees with nothing since."""
        self._unnamed = 0
        """Roots and statements heard since our root changed that show nothing we can name."""

    def moved(self) -> None:
        """Take that our root changed."""
        self._unnamed = 0

    def statement(self) -> list[Message] | None:
        """Return what to say to find out what was heard of; None where nothing is left to ask.

        Empty: a beacon says it.
        """
        if self._odd is not None and agrees(self._holdings, self._odd):
            self._odd = None
        # Of a cell's halves each agrees with itself, which settles our asking time and again.
        says = max(self._asking.says, self._unnamed // UNNAMED_PER_SAY)
        messages = self._wording.statement(self._odd, says)
        if messages is None:
            self._settle()
        return messages

    def _settle(self) -> None:
        self._odd = None
        self._asking.settle()
        self._wording.forget()

    def hear_beacon(self, beacon: Beacon, now_ms: int, quiet_ms: int, *, answers_us: bool) -> bool:
        """Take in a beacon, which may answer a packet of ours; return whether it agrees with us."""
        if agrees(self._holdings, beacon):
            self._recall.agree(self._holdings.root())
            self._repairs.forgive()  # who lacks it all the same says so
            self._settle()
            self._asking.agree()
            return True
        behind = self._recall.place(beacon)
        before = self._recall.at(behind) if behind is not None else None
        if before is None:
            self._odd = beacon
            self._unnamed += 1
            ahead = beacon.event_count - self._holdings.event_count()
            self._asking.lacking = max(ahead, self._asking.lacking)
            self._asking.soon(now_ms, quiet_ms, DEFERENCE_SLOTS if ahead < 0 else 0.0)
            return False
        news = newly(before, self._holdings.frontier())
        self._repairs.owe(news, self._credit_packets, now_ms, lack=behind, first=answers_us)
        return False

    def hear(self, message: Message, now_ms: int, quiet_ms: int) -> None:
        """Take in a statement; what is no statement of the lane's is ignored."""
        match message:
            case Vec():
                self._hear_vec(message, now_ms, quiet_ms)
            case Delta():
                self._hear_delta(message, now_ms, quiet_ms)
            case Digests():
                self._hear_digests(message, now_ms, quiet_ms)
            case Loc():
                self._hear_loc(message, now_ms, quiet_ms)
            case _:
                pass  # said over links only

    def _hear_vec(self, vec: Vec, now_ms: int, quiet_ms: int) -> None:
        if vec.roster_digest != self._holdings.roster_digest()[:ROSTER_DIGEST_SIZE]:
            self._rosters_differ(now_ms, quiet_ms)
            return
        stated = stated_vec(vec, vec.roster_digest, len(self._holdings.indexed_feeds()))
        self._hear_stated(stated, now_ms, quiet_ms, is_answer=False)

    def _hear_delta(self, delta: Delta, now_ms: int, quiet_ms: int) -> None:
        digest = self._holdings.roster_digest()
        if delta.roster_digest != digest[:1]:
            self._rosters_differ(now_ms, quiet_ms)
            return
        indexed = self._holdings.indexed_feeds()
        base = self._recall.base(delta.base, digest[:ROSTER_DIGEST_SIZE], indexed)
        if base is None:
            self._wording.ask_openly()
            self._asking.soon(now_ms, quiet_ms)
            return
        heads = resolve(delta, base, len(indexed))
        name = statement_id(delta)
        skips = skips_of(delta, heads)
        stated = Stated(name, digest[:ROSTER_DIGEST_SIZE], heads, delta.credit, skips)
        self._hear_stated(stated, now_ms, quiet_ms, is_answer=self._wording.is_ours(delta.base))

    def _hear_stated(self, stated: Stated, now_ms: int, quiet_ms: int, *, is_answer: bool) -> None:
        """Serve what a neighbour lacks; plan to say what we lack, unless it just said the same."""
        self._recall.hear(stated)
        found = self._compare(stated)
        if stated.credit:
            self._repairs.owe(
                found.pushes,
                stated.credit,
                now_ms,
                lack=(stated.heads, *stated.skips.items()),
                first=is_answer,
            )
        for feed in found.locate:
            self._wording.locate(feed)
        if not (found.wants or found.locate or found.pushes):
            self._unnamed += 1
        wanted = sum(run.last - run.first + 1 for run in found.wants)
        self._asking.lacking = max(wanted, len(found.locate), len(self._loose))
        if self._wording.is_said_by(stated):
            self._asking.be_patient(now_ms)
        elif found.wants or found.locate:
            self._wording.answer(stated)
            self._asking.in_answer(now_ms, quiet_ms)
        elif not found.pushes:
            self._wording.seen_no_difference()

    def _compare(self, stated: Stated) -> Difference:
        total = Difference()
        frontier = self._holdings.frontier()
        for place, feed in enumerate(self._holdings.indexed_feeds()):
            ours, theirs = frontier.get(feed, ()), stated.heads[place]
            if theirs is None or not (ours or theirs):
                continue
            found = compare_feed(self._holdings, feed, ours, theirs)
            skips = stated.skips.get(place, ())
            found.pushes = [replace(push, skips=skips) for push in found.pushes]
            total.add(found)
        return total

    def _hear_digests(self, digests: Digests, now_ms: int, quiet_ms: int) -> None:
        frontier = self._holdings.frontier()
        ours = {
            digest: feed
            for digest, feed in control_digests(frontier).items()
            if digests.first <= digest <= digests.last
        }
        theirs = set(digests.digests)
        lacking = tuple(feed for digest, feed in ours.items() if digest not in theirs)
        pushes = [Push(feed, tip, 0) for feed in lacking for tip in frontier[feed]]
        self._repairs.owe(pushes, self._credit_packets, now_ms, lack=lacking)
        if theirs - ours.keys():
            self._rosters_differ(now_ms, quiet_ms)

    def _hear_loc(self, loc: Loc, now_ms: int, quiet_ms: int) -> None:
        if loc.feed not in self._holdings.frontier():
            return
        shown = loc.points[:POINTS_LOOKED_AT]
        if not all(self._holdings.holds(loc.feed, *point) for point in shown):
            self._wording.locate(loc.feed)
            self._asking.soon(now_ms, quiet_ms)
        pushes = answer_loc(self._holdings, loc)
        lack = (loc.feed, shown)
        self._repairs.owe(pushes, self._credit_packets, now_ms, lack=lack)

    def _rosters_differ(self, now_ms: int, quiet_ms: int) -> None:
        self._wording.rosters_differ()
        self._asking.soon(now_ms, quiet_ms)
