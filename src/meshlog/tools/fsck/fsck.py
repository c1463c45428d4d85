"""fsck: is everything that the store holds what its authors wrote, and shown as it says?

Reads the whole store and changes nothing. Every problem is a sentence and what to do.
"""

from __future__ import annotations

import contextlib
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from meshlog.core.decrees import DecreeLog
from meshlog.core.event import DatasetId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.lives import quarantine
from meshlog.core.roster import Roster, fold
from meshlog.core.seniority import settle
from meshlog.errors import MeshlogError, StoreError, without_advice
from meshlog.ports.log import Stretch
from meshlog.ports.store import Store
from meshlog.replica.ledger import Ledger, first_forks
from meshlog.tools.fsck.feeds import DAMAGE, RESTORE, FeedCheck, meta_or_none
from meshlog.tools.fsck.seat import check_clock, check_seat, number_of
from meshlog.views.changes import unreadable
from meshlog.views.collecting import collecting_less
from meshlog.views.lineage import StoreLineage
from meshlog.views.live import LiveView
from meshlog.views.rowcheck import RowCheck
from meshlog.views.standing import Standing, Standings

Progress: TypeAlias = Callable[[int, int], None]

KEPT_MAX = 100
"""Problems and unreadable events kept word for word; beyond them, they are only counted."""


class UnreadableEvent(NamedTuple):
    """An event that no view can read: kept and relayed, shown nowhere. Not a problem."""

    event_id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What a check of the whole store found."""

    events: int
    feeds: int
    cuts: int
    """Signatures that hold."""
    records: int
    """Rows of the live view, hidden ones included."""
    conflicts: int
    """Records with at least one field in conflict."""
    forks: tuple[str, ...]
    """Feeds with more than one branch: reported, no problem; both branches are kept."""
    held: int
    """Events stamped beyond the horizon."""
    excluded: int
    """Events that membership keeps out of the view."""
    unsigned: int
    """Our own latest events that no cut covers yet: they are signed when they leave."""
    unreadable: tuple[UnreadableEvent, ...]
    """The first 100."""
    unreadable_count: int
    problems: tuple[str, ...]
    """The first 100: a sentence each, and what to do."""
    problem_count: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self.problem_count == 0


class FileChecking(Protocol):
    """A check of a store's own file; see ``store.selfcheck.FileCheck``."""

    def take(self, stretch: Stretch) -> None:
        """Take the next of the log."""

    def finish(self, *, is_whole: bool = True) -> list[str]:
        """Return what is wrong with the file, one sentence each; empty when nothing is."""


@runtime_checkable
class SelfChecking(Protocol):
    """A store that can look at its own file."""

    def checking(self) -> FileChecking:
        """Begin a check of the file.

        Raises:
            StoreError: It cannot be read to its end.
        """

    def remake_index(self) -> None:
        """Make what finds events again from the events.

        Raises:
            StoreError: The disk refused, or the events cannot be read.
        """


@dataclass(slots=True)
class Problems:
    """What was found so far."""

    kept: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, *problems: str) -> None:
        """Take problems; only the first 100 stay word for word."""
        self.count += len(problems)
        self.kept.extend(problems[: max(KEPT_MAX - len(self.kept), 0)])


@dataclass(slots=True)
class _Seen:
    """Events that no view shows, or not yet."""

    standings: Standings
    held: int = 0
    excluded: int = 0
    unreadable_count: int = 0
    _first: list[tuple[int, UnreadableEvent]] = field(default_factory=list)

    def take(self, stretch: Stretch) -> None:
        """Count those of a stretch that do not count in a view."""
        if not self.standings.all_count(stretch.feed, stretch.stamps):
            for event in stretch.events():
                standing = self.standings.of(event)
                self.held += standing is Standing.HELD
                self.excluded += standing is Standing.EXCLUDED

    def hear(self, position: int, event_id: bytes, reason: str) -> None:
        """Count an event that no view can read; see ``rowcheck.Witness``."""
        self.unreadable_count += 1
        insort(self._first, (position, UnreadableEvent(event_id, reason)))
        del self._first[KEPT_MAX:]

    def count_anew(self, store: Store) -> None:
        """Count what can be read of the log alone."""
        self.held = self.excluded = self.unreadable_count = 0
        self._first.clear()
        for stretch in store.stretches():
            self.take(stretch)
        for position, event, _ in store.scan():
            reason = unreadable(event)
            if reason is not None:
                self.hear(position, event.id, reason)

    @property
    def unreadable(self) -> tuple[UnreadableEvent, ...]:
        """The first in the log."""
        return tuple(event for _, event in self._first)


class _File:
    """The check of the file, on the way through the log."""

    def __init__(self, store: Store, problems: Problems) -> None:
        self._check: FileChecking | None = None
        self.is_whole = True
        """Whether the log could be read to its end."""
        if isinstance(store, SelfChecking):
            try:
                self._check = store.checking()
            except MeshlogError as error:
                self._tell([without_advice(error)], problems)

    def take(self, stretch: Stretch) -> None:
        """Take the next stretch of the log."""
        if self._check is not None:
            self._check.take(stretch)

    def finish(self, problems: Problems) -> None:
        """Say what is wrong."""
        if self._check is not None:
            self._tell(self._check.finish(is_whole=self.is_whole), problems)

    def _tell(self, found: list[str], problems: Problems) -> None:
        problems.add(*(f"the file is damaged: {what}. {RESTORE}" for what in found))


class _Rows:
    """The check of the view, on the way through the log; where it ends, the rest goes on."""

    def __init__(self, view: LiveView, seen: _Seen) -> None:
        self._view = view
        self._seen = seen
        self._check: RowCheck | None = None
        self.error: Exception | None = None
        """What keeps it from its end."""
        try:
            self._check = view.checking(seen.hear)
        except DAMAGE as error:
            self.error = error

    def take(self, stretch: Stretch) -> None:
        """Take the next stretch of the log."""
        if self._check is not None and self.error is None:
            try:
                self._seen.take(stretch)
                self._check.take(stretch)
            except DAMAGE as error:
                self.error = error

    def finish(self, store: Store, problems: Problems) -> None:
        """Compare the rows, and say what is wrong."""
        mend = "`meshlog fsck --rebuild` makes the rows again from the events"
        with contextlib.suppress(StoreError):  # that it is damaged is said by now
            if not self._view.is_current():
                problems.add(f"who wrote the view's rows last was an older meshlog: {mend}")
        if self._check is not None and self.error is None:
            try:
                problems.add(*(f"{what}: {mend}" for what in self._check.finish()))
            except DAMAGE as error:
                self.error = error
        if self.error is not None:
            self._check = None
            problems.add(_damage("the view cannot be checked to its end", self.error))
            with contextlib.suppress(*DAMAGE):
                self._seen.count_anew(store)

    def counts(self) -> tuple[int, int] | None:
        """Return how many rows there are, and of how many a field is in conflict.

        None where the rows in the store are not all as they are now.
        """
        with contextlib.suppress(*DAMAGE):
            if self._check is not None and self._view.is_settled():
                return self._check.rows, self._check.conflicts
        return None


@collecting_less()
def fsck(store: Store, dataset: DatasetId, progress: Progress | None = None) -> FsckReport:
    """Check file, chains, signatures, heads, counts, clock and view.

    Args:
        store: May be open for reading only; a writer beside it does no harm.
        dataset: The store's dataset, as its seat says.
        progress: Told steps done and steps in all: three for each event, for the roster, the
            check and the view.

    Cost: a hash and a decoding per event, a signature check per cut, and a fold per record; memory
    for feeds, records, one lot of events and a byte for each (see ``views.rowcheck``).
    """
    problems = Problems()
    tell = progress or _quiet
    steps = max(store.event_count(), 1) * 3
    file = _File(store, problems)
    roster, log = _roster(store, dataset, problems, lambda done: tell(min(done, steps // 3), steps))
    if not (roster.is_open or roster.founder):
        _no_genesis(store, problems)
    check = FeedCheck(store, roster, problems)
    horizon_ms = number_of(store, "horizon", problems)
    barred = _barred(store, problems)
    standings = Standings(settle(roster, log), roster, StoreLineage(store), horizon_ms, barred)
    seen = _Seen(standings)
    view = LiveView(store, lambda: standings)
    rows = _Rows(view, seen)
    try:
        for stretch in store.stretches():
            file.take(stretch)
            check.take_all(stretch)
            rows.take(stretch)
            tell(min(steps // 3 + check.events, steps), steps)
    except DAMAGE as error:
        problems.add(_damage(f"reading stopped after {check.events} events", error))
        rows.error = error
        file.is_whole = False
    file.finish(problems)
    check.finish()
    check_seat(store, problems)
    check_clock(store, check.own_latest, problems)
    rows.finish(store, problems)
    records, conflicts = rows.counts() or _counts(view, problems)
    tell(steps, steps)
    return FsckReport(
        check.events,
        check.feeds,
        check.cuts,
        records,
        conflicts,
        check.forks(),
        seen.held,
        seen.excluded,
        check.unsigned,
        seen.unreadable,
        seen.unreadable_count,
        tuple(problems.kept),
        problems.count,
    )


def rebuild_view(store: Store, dataset: DatasetId) -> None:
    """Make every row of the live view again from the events, in one transaction.

    Before that, what finds events, where the store can.

    Args:
        store: Open for writing.
        dataset: The store's dataset, as its seat says.

    Raises:
        StoreError: The store is read-only or the disk refused; nothing was changed.
    """
    if isinstance(store, SelfChecking):
        store.remake_index()
    ledger = Ledger.load(store, dataset)
    view = LiveView(store, lambda: ledger.standings(store))
    with store.transaction():
        ledger.save(store)  # then the store writes a checkpoint where the one it has is damaged
        view.rebuild()


def _damage(what: str, error: Exception) -> str:
    return f"{what}: {without_advice(error)}. {RESTORE}"


def _quiet(_done: int, _steps: int) -> None:
    pass


def _roster(
    store: Store, dataset: DatasetId, problems: Problems, tell: Callable[[int], None]
) -> tuple[Roster, DecreeLog]:
    """Return who belongs and what was decreed, by the control events whose ids hold.

    They may stand anywhere.
    """
    control = []
    try:
        for stretch in store.stretches(FeedKind.CONTROL):
            tell(stretch.position)
            control += [
                event
                for event in stretch.events()
                if event.id == dataset or event.is_authentic(dataset)
            ]
    except DAMAGE as error:
        problems.add(_damage("the roster cannot be read to its end", error))
    return fold(dataset, control), DecreeLog().put(control)


def _barred(store: Store, problems: Problems) -> dict[FeedKey, int]:
    heads = store.heads()
    try:
        return quarantine(heads, first_forks(store, heads))
    except DAMAGE as error:
        problems.add(_damage("where feeds fork cannot be told", error))
        return {}


def _no_genesis(store: Store, problems: Problems) -> None:
    """A device that joined and has met nobody yet holds its own events alone: that is fine."""
    own = meta_or_none(store, "author")
    if any(feed.author != own for feed in store.heads()):
        problems.add(f"the dataset's first event is not held, so nobody can be verified. {RESTORE}")


def _counts(view: LiveView, problems: Problems) -> tuple[int, int]:
    records = conflicts = 0
    try:
        for row in view.rows():
            records += 1
            conflicts += row.conflicts > 0
    except DAMAGE as error:
        problems.add(_damage("the view's rows cannot be read to their end", error))
    return records, conflicts
