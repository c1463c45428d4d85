"""What counts in a view, and why: the one place that knows horizon, membership and decrees."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType

from meshlog.core.cbor import encode_cbor
from meshlog.core.clockfix import effective
from meshlog.core.decrees import Decrees, Mode, Removal, is_within, place_of, tips_of
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster, label
from meshlog.views.fold import Lineage


class Standing(StrEnum):
    """How an event stands in a view. Every standing keeps the event in the log."""

    COUNTS = "counts"
    """Shown."""
    HELD = "held"
    """Stamped beyond the horizon; counts as soon as the horizon passes it."""
    EXCLUDED = "excluded"
    """After a revocation's cut, of nobody who belongs, or quarantined."""


class Standings:
    """How every event of a dataset stands: a pure function of the events held and the horizon."""

    def __init__(
        self,
        decrees: Decrees,
        roster: Roster,
        lineage: Lineage,
        horizon_ms: int,
        quarantine: Mapping[FeedKey, int] = MappingProxyType({}),
    ) -> None:
        """Judge with what is held now.

        Args:
            decrees: What counts of the decrees; of ``roster``.
            roster: Who belongs. Before the genesis is held there is nobody to compare with,
                so whatever is held counts: only what this device wrote can be.
            lineage: Answers for the whole dataset.
            horizon_ms: The latest wall time that the view counts, ms since 1970 UTC, inclusive.
            quarantine: Feeds with too many branches, and the last seq that counts there: see
                ``core.lives.quarantine``.
        """
        self._quarantine = quarantine
        self.horizon_ms = horizon_ms
        self._decrees = decrees
        self._roster = roster
        self.lineage = lineage
        self._simple: dict[FeedKey, bool] = {}
        self._has_members = not roster.is_open and bool(roster.founder)

    def of(self, event: Event) -> Standing:
        """Return how ``event`` stands; control events are never held."""
        feed = event.feed
        if self.is_simple(feed):
            is_held = event.stamp.wall_ms > self.horizon_ms and feed.kind is FeedKind.DATA
            return Standing.HELD if is_held else Standing.COUNTS
        if self._exclusion(event):
            return Standing.EXCLUDED
        if event.feed.kind is FeedKind.DATA and self.stamp(event).wall_ms > self.horizon_ms:
            return Standing.HELD
        return Standing.COUNTS

    def all_count(self, feed: FeedKey, stamps: Iterable[int]) -> bool:
        """Say whether all data events of a feed with these packed stamps count as they are.

        False where each has to be judged.
        """
        return self.is_simple(feed) and max(stamps) >> 16 <= self.horizon_ms

    def is_simple(self, feed: FeedKey) -> bool:
        """Say whether no decree, fork or fix is about a feed: the horizon decides alone."""
        simple = self._simple.get(feed)
        if simple is None:
            simple = self._simple[feed] = self._is_simple(feed)
        return simple

    def _is_simple(self, feed: FeedKey) -> bool:
        if feed in self._quarantine or self._decrees.shifts(feed):
            return False
        return not self._has_members or not (
            self._feed_exclusion(feed) or self._decrees.removals.get(feed.author)
        )

    def counts(self, event: Event) -> bool:
        """Say whether the view shows ``event``."""
        return self.of(event) is Standing.COUNTS

    def why(self, event: Event) -> str:
        """Return in plain words why ``event`` stands as it does; empty where it counts."""
        match self.of(event):
            case Standing.EXCLUDED:
                return self._exclusion(event)
            case Standing.HELD:
                return "its clock is ahead: it counts when that time has come"
        return ""

    def stamp(self, event: Event) -> Stamp:
        """Return the stamp by which ``event`` is ordered and held: its own, or as it was fixed."""
        shifts = self._decrees.shifts(event.feed)
        if not shifts:
            return event.stamp
        return effective(
            event.seq, event.stamp, shifts, lambda seq: self.lineage.stamp_at(event, seq)
        )

    def placed(self, event: Event) -> Event:
        """Return ``event`` as a fold takes it: with its effective stamp, and its own id."""
        stamp = self.stamp(event)
        return event if stamp == event.stamp else event._replace(stamp=stamp)

    def grounds(self, authors: Iterable[AuthorId]) -> dict[AuthorId, bytes]:
        """Return 8 bytes for each author, over all that decides how its data stand, horizon aside.

        Alike, each event of it stands as before. Cost: O(authors + their decrees).
        """
        fenced: dict[AuthorId, list[list[object]]] = defaultdict(list)
        for feed, seq in sorted(self._quarantine.items()):
            fenced[feed.author].append([feed.packed(), seq])
        return {author: self._grounds(author, fenced.get(author, [])) for author in authors}

    def _grounds(self, author: AuthorId, fenced: list[list[object]]) -> bytes:
        member = self._roster.members.get(author) if self._has_members else None
        told: list[object] = [self._has_members, fenced]
        if member is not None:
            told.append([member.role, *member.feeds])
        if any(self._decrees.about(author)):
            removals = self._decrees.removals.get(author, ())
            readmissions = self._decrees.readmissions.get(author, ())
            fixes = self._decrees.fixes.get(author, {})
            cuts = [*(d.cuts for d in removals), *(d.cuts for d in readmissions)]
            told += [
                author in self._decrees.lapsed,
                [decree.place.id for decree in removals],
                [decree.place.id for decree in readmissions],
                [[feed.packed(), shifts] for feed, shifts in sorted(fixes.items())],
                sorted(tip for tip in tips_of(cuts) if self.lineage.holds(tip)),
            ]
        return hashlib.blake2b(encode_cbor(told), digest_size=8).digest()

    def is_reviewable(self, event: Event) -> bool:
        """Say whether ``event`` lies in a review queue: only soft revocations exclude it."""
        if not self._has_members or event.author in self._decrees.lapsed:
            return False
        barring = self._barring(event)
        return bool(barring) and all(removal.mode is Mode.SOFT for removal in barring)

    def _exclusion(self, event: Event) -> str:
        """Return why an event does not belong to what counts; empty where it does."""
        if event.feed in self._quarantine and event.seq > self._quarantine[event.feed]:
            return (
                "after the first fork of a feed with more branches than copies of a device make:"
                " kept, and quarantined"
            )
        if not self._has_members:
            return ""
        excluded = self._feed_exclusion(event.feed)
        if excluded:
            return excluded
        for removal in self._barring(event):
            who = label(self._roster, removal.by)
            after = (
                f"its author has new keys since {event.author.hex()[:8]} was rotated"
                if removal.successor
                else f"after the cut at which {who} revoked its author"
            )
            review = ": waits for a review" if removal.mode is Mode.SOFT else ""
            return after + review
        return ""

    def _feed_exclusion(self, feed: FeedKey) -> str:
        """Return why nothing in a feed of a dataset with members counts; empty otherwise."""
        member = self._roster.members.get(feed.author)
        if member is None:
            return "its author holds no invite"
        if feed.kind is FeedKind.DATA:
            if feed.incarnation not in member.feeds:
                return "its author never opened this feed"
            if member.role < Role.WRITER:
                return f"its author joined as {member.role.name.lower()}, which writes no data"
        return self._decrees.lapsed.get(feed.author, "")

    def _barring(self, event: Event) -> list[Removal]:
        """Return the removals that bar an event and that no readmission answers for it."""
        removals = self._decrees.removals.get(event.author)
        if not removals:
            return []
        place = place_of(event)
        barring = []
        for removal in removals:
            soft = removal.mode is Mode.SOFT
            if is_within(place, removal.cuts, self.lineage, lenient=soft):
                continue
            answered = soft and any(
                removal.place.id in back.answers
                and is_within(place, back.cuts, self.lineage, lenient=True)
                for back in self._decrees.readmissions.get(event.author, ())
            )
            if not answered and removal.place.id != event.id:
                barring.append(removal)
        return barring
