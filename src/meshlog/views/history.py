"""History: who wrote what, when, through which feed, and what became of it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from meshlog.core.cbor import encode_cbor, plain
from meshlog.core.event import Content, Event
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.ports.log import Arrival
from meshlog.views.changes import Attachment, Change, Ref, read_change
from meshlog.views.live import LiveView, ViewStore
from meshlog.views.oldorigin import Origin, origin_of
from meshlog.views.records import Record
from meshlog.views.standing import Standing, Standings

Label = Callable[[AuthorId], str]
"""What people call an author: ``lambda author: label(roster, author)``."""


class Fate(StrEnum):
    """What became of a value that was written."""

    SHOWN = "shown"
    CONFLICT = "conflict"
    """Live, and differs from the one shown: nobody has seen both yet."""
    AGREES = "agrees"
    """Live, and the same as the one shown."""
    SUPERSEDED = "superseded"
    DELETED = "deleted"
    """Live, in a record that a delete hides."""
    WAITS = "waits"
    """Its event does not count (yet); see the entry's standing."""


class Wrote(NamedTuple):
    """A value that an event wrote."""

    field: str
    value: Any
    """In lists and dicts, as the view shows it."""
    fate: Fate
    superseded_by: bytes | None
    """Id of the first event that had seen it and wrote the field; None where there is none,
    or where a fork leaves it open."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event in a record's history."""

    event_id: bytes
    kind: str
    who: str
    """The author's label; for an event of an old log, who wrote it there."""
    feed: FeedKey
    seq: int
    stamp: Stamp
    """By which it is ordered; for one of an old log, ``origin`` has the first."""
    carried: Stamp
    """The one that the event carries: another where a clock was fixed."""
    arrived_ms: int
    """Wall time of this device when the event was stored here."""
    standing: Standing
    why: str
    """Why it does not count, in plain words; empty where it does."""
    wrote: tuple[Wrote, ...]
    """Sorted by field; empty for events that write none."""
    form: str | None
    note: str | None
    attachment: Attachment | None
    origin: Origin | None
    """Which event of an old log this was; None for all others."""


def history(store: ViewStore, record_id: str, label: Label, standings: Standings) -> list[Entry]:
    """Return every event that touches a record, held ones too, in total order.

    Args:
        store: Read only.
        record_id: A record; an unknown one has no history.
        label: Names authors.
        standings: What counts.

    Cost: O(n log n) for n values that events of the record wrote.
    """
    record = LiveView(store, lambda: standings).get(record_id)
    told: list[tuple[Arrival, Change]] = []
    for arrival in store.touching(record_id):
        change = read_change(arrival.event)
        if isinstance(change, Change) and change.record_id == record_id:
            told.append((arrival, change))
    told.sort(key=lambda item: standings.placed(item[0].event).order)
    counted = [
        (standings.placed(arrival.event), change)
        for arrival, change in told
        if standings.counts(arrival.event)
    ]
    later = _Later(counted)
    return [_entry(arrival, change, label, standings, record, later) for arrival, change in told]


def _entry(
    arrival: Arrival,
    change: Change,
    label: Label,
    standings: Standings,
    record: Record | None,
    later: _Later,
) -> Entry:
    event = arrival.event
    content = event.content or Content("", {})
    stands = standings.of(event)
    placed = standings.placed(event)
    return Entry(
        event.id,
        content.kind,
        named(event, content.payload, label),
        event.feed,
        event.seq,
        placed.stamp,
        event.stamp,
        arrival.arrived_ms,
        stands,
        standings.why(event),
        tuple(
            Wrote(name, plain(change.fields[name]), *_fate(placed, name, stands, record, later))
            for name in sorted(change.fields)
        ),
        change.form,
        change.note,
        change.attachment,
        origin_of(content.payload),
    )


def named(event: Event, payload: Mapping[str, Any], label: Label) -> str:
    """Return what people call who wrote an event: for one of an old log, who wrote it there."""
    origin = origin_of(payload)
    return origin.author if origin else label(event.author)


def _ref(event: Event) -> Ref:
    return Ref(event.author + event.feed.incarnation.to_bytes(4, "big"), event.seq)


def _fate(
    event: Event,
    name: str,
    stands: Standing,
    record: Record | None,
    later: _Later,
) -> tuple[Fate, bytes | None]:
    """Return what became of the value that a readable event wrote to a field."""
    if stands is not Standing.COUNTS:
        return Fate.WAITS, None
    live = record.fields.get(name, ()) if record else ()
    for place, write in enumerate(live):
        if (write.origin.ref, write.origin.stamp) == (_ref(event), event.stamp):
            if record and not record.visible:
                return Fate.DELETED, None
            if place == 0:
                return Fate.SHOWN, None
            agrees = encode_cbor(write.value) == encode_cbor(live[0].value)
            return (Fate.AGREES if agrees else Fate.CONFLICT), None
    return Fate.SUPERSEDED, later.first(event, name)


class _Later:
    """Who wrote a field later in the total order, having seen a value of it."""

    def __init__(self, counted: list[tuple[Event, Change]]) -> None:
        """Take the events that count, in total order, as they are placed."""
        self._own: dict[tuple[FeedKey, str], list[Event]] = defaultdict(list)
        self._naming: dict[tuple[Ref, str], list[Event]] = defaultdict(list)
        for event, change in counted:
            for name in change.fields:
                self._own[event.feed, name].append(event)
                for ref in change.replaces.get(name, ()):
                    self._naming[ref, name].append(event)

    def first(self, event: Event, name: str) -> bytes | None:
        """Return the id of the first; None where there is none. O(log events), but for forks."""
        own = self._own.get((event.feed, name), [])
        at = _after(own, event)
        while at < len(own) and own[at].seq <= event.seq:
            at += 1
        naming = self._naming.get((_ref(event), name), [])
        found = [*own[at : at + 1], *naming[_after(naming, event) :][:1]]
        return min(found, key=lambda later: later.order).id if found else None


def _after(events: list[Event], event: Event) -> int:
    return bisect_right(events, event.order, key=lambda later: later.order)
