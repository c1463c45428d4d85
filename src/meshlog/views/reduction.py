"""A reducer over a store: what is new is applied, what comes late costs what comes after it.

Entries hold the order of the reducer's events, checkpoints its state at some of their stamps.
An event that comes late, or stands otherwise now, drops the checkpoints from its stamp on; the
state goes on from the last one before. docs/adr/0023-reducers.md says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import NamedTuple, TypeAlias

from meshlog.core.cbor import decode_cbor, encode_cbor, plain
from meshlog.core.event import Event, EventId
from meshlog.core.feed import FeedKind
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError, MalformedError, ReducerError
from meshlog.ports.reductions import ReductionEntry, ReductionRow
from meshlog.ports.store import Store
from meshlog.views.reducer import (
    WHY_LENGTH_MAX,
    Reducer,
    SkipEvent,
    State,
    TakenEvent,
    check_reducer,
)
from meshlog.views.reducerstate import pack_state, read_state
from meshlog.views.standing import Standings

CHECKPOINT_EVENTS = 256
"""Events between two checkpoints near the end of the order: what a late event costs at least."""

FRESH_SIZE_MAX = 8 * 1024 * 1024
"""Bytes of new events, as ``_weight`` takes them, that stay in memory from the look at their kind
until they are applied; those past it are read again. A choice."""

Grounds: TypeAlias = Mapping[AuthorId, bytes]
"""Per author a digest of what decides how its events stand."""

_KEPT_AS = 2
"""How states are kept; those of another way are made again."""

_CHUNK = 1_024
_BEFORE_ALL = -1
_NEVER = 1 << 63


class _Reached(NamedTuple):
    """A state, and the events that it is made of: the first ``events`` up to ``stamp``."""

    stamp: int
    events: int
    state: State


class Reduction:
    """One reducer over one store."""

    def __init__(self, store: Store, reducer: Reducer) -> None:
        """Serve ``reducer`` over ``store``, which stays the caller's.

        Raises:
            InputError: It is no reducer.
        """
        check_reducer(reducer)
        self._store = store
        self._reducer = reducer
        self._kinds = frozenset(reducer.kinds)
        told = encode_cbor([_KEPT_AS, reducer.version, sorted(self._kinds)])
        self._version = int.from_bytes(hashlib.blake2b(told, digest_size=7).digest(), "big")
        """Of what is kept: with other kinds it would be another order of events."""
        self._reached: _Reached | None = None
        """Where the state in memory is; None where it must be read from a checkpoint."""
        self._row: ReductionRow | None = None
        """What the store kept when it was reached: where it is another now, somebody else with
        the same reducer went on, and took in events that the state in memory has not."""

    def state(self, standings: Standings, grounds: Grounds) -> State:
        """Apply what is new, and return a copy of the state. One transaction, if there is news.

        Args:
            standings: What counts, by all that is held now.
            grounds: Of every author whose data are held, as ``Standings.grounds`` returns them.
                Where those of one that had data the last time are others now, every entry is
                judged again.

        Raises:
            ReducerError: The reducer raised. Nothing was done.
            InputError: Its state cannot be kept. Nothing was done.
            StoreError: The disk refused. Nothing was done.

        Cost: O(state + new events + what comes after the earliest of them in the order).
        """
        row = self._store.get_reduction(self._reducer.name)
        if row is not None and row.version != self._version:
            row = None
        if row is None or row != self._row:
            self._reached = None
        if row is None or self._reached is None or self._has_news(row, standings, grounds):
            reached, self._reached = self._reached, None
            with self._store.transaction():
                now = self._caught_up(row, reached, standings, grounds)
            self._reached = now
            self._row = self._store.get_reduction(self._reducer.name)
        return plain(self._reached.state)

    def _has_news(self, row: ReductionRow, standings: Standings, grounds: Grounds) -> bool:
        return (
            row.position != self._store.event_count()
            or standings.horizon_ms < row.horizon_ms
            or _differ(row.judgement, grounds)
            or any(True for _ in self._released(row, standings))
        )

    def _caught_up(
        self,
        row: ReductionRow | None,
        reached: _Reached | None,
        standings: Standings,
        grounds: Grounds,
    ) -> _Reached:
        if row is None:
            self._store.drop_reduction(self._reducer.name)
            row = ReductionRow(self._reducer.name, self._version, 0, _kept({}), -1)
            self._store.put_reduction(row)
        earliest = _NEVER
        if standings.horizon_ms < row.horizon_ms or _differ(row.judgement, grounds):
            earliest = self._judge_again(standings)
        else:
            earliest = self._release(row, standings)
        fresh: dict[int, Event] = {}
        earliest = min(earliest, self._take(row.position, standings, fresh))
        self._store.put_reduction(
            row._replace(
                position=self._store.event_count(),
                judgement=_kept(grounds),
                horizon_ms=standings.horizon_ms,
            )
        )
        return self._replayed(self._before(earliest, reached), standings, fresh)

    def skipped(self) -> list[tuple[EventId, str]]:
        """Return id of each event that counts and that the reducer skipped, and why, in order."""
        found = [entry for entry in self._entries() if entry.counts and entry.why]
        arrivals = self._store.arrivals(entry.position for entry in found)
        return [(held.event.id, entry.why) for held, entry in zip(arrivals, found, strict=True)]

    def drop(self) -> None:
        """Forget all that is kept for this reducer.

        Raises:
            StoreError: The disk refused; all is as it was.
        """
        with self._store.transaction():
            self._store.drop_reduction(self._reducer.name)
        self._reached = None

    # ── The order of events ──

    def _take(self, after_position: int, standings: Standings, fresh: dict[int, Event]) -> int:
        """Make entries of the events that arrived; return the least stamp that counts.

        Args:
            after_position: What stands up to there was taken before.
            standings: What counts.
            fresh: Gets the first of these events by position, as many as stay in memory.
        """
        earliest, room = _NEVER, FRESH_SIZE_MAX
        entries: list[ReductionEntry] = []
        for position, event, _ in self._store.scan(after_position):
            if event.feed.kind is FeedKind.DATA and event.kind in self._kinds:
                entries.append(_judged(position, event, standings))
                if entries[-1].counts:
                    earliest = min(earliest, entries[-1].stamp)
                    room -= _weight(event)
                    if room >= 0:
                        fresh[position] = event
            if len(entries) >= _CHUNK:
                self._store.put_entries(self._reducer.name, entries)
                entries.clear()
        self._store.put_entries(self._reducer.name, entries)
        return earliest

    def _released(self, row: ReductionRow, standings: Standings) -> Iterator[ReductionEntry]:
        """Yield the entries whose time has come since the last look."""
        if standings.horizon_ms <= row.horizon_ms:
            return
        until = (standings.horizon_ms + 1 << 16) - 1
        for entry in self._entries(after=(row.horizon_ms + 1 << 16) - 1):
            if entry.stamp > until:
                return
            if not entry.counts:
                [arrival] = self._store.arrivals([entry.position])
                if standings.counts(arrival.event):
                    yield entry

    def _release(self, row: ReductionRow, standings: Standings) -> int:
        """Let the entries count whose time has come; return the least stamp of them."""
        entries = [entry._replace(counts=True) for entry in self._released(row, standings)]
        self._store.put_entries(self._reducer.name, entries)
        return min((entry.stamp for entry in entries), default=_NEVER)

    def _judge_again(self, standings: Standings) -> int:
        """Judge every entry anew; return the least stamp at which something is otherwise.

        An entry that moves behind its place is met again, and is right then.
        """
        earliest = _NEVER
        for some in self._stamps():
            arrivals = self._store.arrivals(entry.position for entry in some)
            now = [_judged(position, event, standings) for position, event, _ in arrivals]
            moved = [
                (old, new)
                for old, new in zip(some, now, strict=True)
                if (old.stamp, old.counts) != (new.stamp, new.counts)
            ]
            self._store.drop_entries(self._reducer.name, [old for old, _ in moved])
            self._store.put_entries(self._reducer.name, [new for _, new in moved])
            stamps = [entry.stamp for pair in moved for entry in pair if entry.counts]
            earliest = min([earliest, *stamps])
        return earliest

    def _entries(self, after: int = _BEFORE_ALL) -> Iterator[ReductionEntry]:
        """Yield entries by stamp."""
        for some in self._stamps(after):
            yield from some

    def _stamps(self, after: int = _BEFORE_ALL) -> Iterator[list[ReductionEntry]]:
        """Yield some entries at a time, all of a stamp together."""
        limit = _CHUNK
        while rows := self._store.entries(self._reducer.name, after, limit):
            if len(rows) == limit:  # the last stamp may have more of them
                whole = [entry for entry in rows if entry.stamp < rows[-1].stamp]
                if not whole:
                    limit *= 2
                    continue
                rows = whole
            limit, after = _CHUNK, rows[-1].stamp
            yield rows

    # ── The state ──

    def _before(self, earliest: int, reached: _Reached | None) -> _Reached:
        """Return a state before every change, and drop the checkpoints that are not."""
        name = self._reducer.name
        kept = self._store.checkpoints(name)
        self._store.drop_checkpoints(name, [at for at, _ in kept if at >= earliest])
        if reached is not None and reached.stamp < earliest:
            return reached
        for stamp, events in reversed(kept):
            state = self._store.get_checkpoint(name, stamp) if stamp < earliest else None
            if state is not None:
                return _Reached(stamp, events, read_state(state))
        return _Reached(_BEFORE_ALL, 0, self._first())

    def _first(self) -> State:
        try:
            state = self._reducer.initial()
        except Exception as error:
            raise ReducerError(self._reducer.name, None, error) from error
        return read_state(self._packed(state))

    def _replayed(
        self, reached: _Reached, standings: Standings, fresh: dict[int, Event]
    ) -> _Reached:
        """Apply all entries behind a state, in total order, and keep checkpoints on the way.

        Args:
            reached: The state.
            standings: What counts.
            fresh: Events that are in memory; those that are applied leave it.
        """
        stamp, events, state = reached
        kept = self._store.checkpoints(self._reducer.name)
        last = kept[-1][1] if kept else 0
        for some in self._stamps(stamp):
            counted = [entry for entry in some if entry.counts]
            unread = [entry.position for entry in counted if entry.position not in fresh]
            fresh.update({held.position: held.event for held in self._store.arrivals(unread)})
            placed = [(standings.placed(fresh.pop(e.position)), e) for e in counted]
            for stamp, equal in groupby(placed, key=lambda pair: pair[1].stamp):
                for event, entry in sorted(equal, key=lambda pair: pair[0].order):
                    state = self._applied(state, event, entry)
                    events += 1
                if events - last >= CHECKPOINT_EVENTS:
                    self._store.put_checkpoint(
                        self._reducer.name, stamp, events, self._packed(state)
                    )
                    kept.append((stamp, events))
                    kept, last = self._thinned(kept), events
        return _Reached(stamp, events, read_state(self._packed(state)))

    def _applied(self, state: State, event: Event, entry: ReductionEntry) -> State:
        why = ""
        try:
            state = self._reducer.apply(state, TakenEvent._make(event))
        except SkipEvent as skip:
            why = _kept_text(str(skip)) or "skipped"
        except Exception as error:
            raise ReducerError(self._reducer.name, event.id, error) from error
        if why != entry.why:
            self._store.put_entries(self._reducer.name, [entry._replace(why=why)])
        return state

    def _packed(self, state: State) -> bytes:
        try:
            return pack_state(state)
        except InputError as error:
            raise InputError(
                f"the state of reducer {self._reducer.name!r} cannot be kept: {error}"
            ) from error

    def _thinned(self, kept: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Drop checkpoints so that gaps grow with the distance from the end: O(log events) stay.

        A late event with n events after it makes at most 2 n + 2 · CHECKPOINT_EVENTS be replayed.
        """
        end = kept[-1][1]
        stay = [kept[-1]]
        for index in range(len(kept) - 2, -1, -1):
            next_older = kept[index - 1][1] if index else 0
            distance = end - stay[-1][1]
            if stay[-1][1] - next_older > max(distance, 2 * CHECKPOINT_EVENTS):
                stay.append(kept[index])
        stay.reverse()
        gone = {stamp for stamp, _ in kept} - {stamp for stamp, _ in stay}
        self._store.drop_checkpoints(self._reducer.name, sorted(gone))
        return stay


def _judged(position: int, event: Event, standings: Standings) -> ReductionEntry:
    stamp = standings.stamp(event).packed()
    return ReductionEntry(stamp, position, standings.counts(event), "")


def _kept_text(why: str) -> str:
    """Return the beginning of a reason, as text that a store can keep."""
    return why[:WHY_LENGTH_MAX].encode(errors="replace").decode()


def _weight(event: Event) -> int:
    """Return about how many bytes an event takes in memory."""
    return len(event.body) + 1_024


def _kept(grounds: Grounds) -> bytes:
    return encode_cbor([[author, ground] for author, ground in sorted(grounds.items())])


def _differ(kept: bytes, grounds: Grounds) -> bool:
    """Say whether an author that had data then stands otherwise now.

    The events of all others came since, and are judged as they are taken.
    """
    try:
        return any(grounds.get(author) != ground for author, ground in decode_cbor(kept))
    except (MalformedError, ValueError, TypeError):  # an older meshlog's
        return True
