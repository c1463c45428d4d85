"""Events for the view tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import strategies as st

from meshlog.core.decrees import Decrees
from meshlog.core.event import NO_PREV, OPEN_DATASET, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster
from meshlog.ports.store import Store
from meshlog.store.sqlite import SqliteStore
from meshlog.views import recordlots
from meshlog.views.changes import Ref
from meshlog.views.fold import Told, told_by
from meshlog.views.lineage import StoreLineage
from meshlog.views.live import LiveView
from meshlog.views.standing import Standings
from tests.store.logs import chains

ANN, BOB, CAT = (
    FeedKey(AuthorId(bytes([letter]) * 16), FeedKind.DATA, letter) for letter in (0xAA, 0xBB, 0xCC)
)
FEEDS = (ANN, BOB, CAT)
FAR_MS = 2**47 - 1
RECORDS = ("r1", "r2")
FIELDS = ("a", "b")


def ref(event: Event) -> Ref:
    return Ref(event.feed.author + event.feed.incarnation.to_bytes(4, "big"), event.seq)


def after(prev: Event | None, feed: FeedKey, wall_ms: int, kind: str, **payload: Any) -> Event:
    """Return the event that follows ``prev`` (None: the first of its feed)."""
    seq, prev_id = (prev.seq + 1, prev.id) if prev else (1, NO_PREV)
    return Event.make(feed, seq, Stamp(wall_ms, 0), prev_id, encode_body(kind, payload))


class Pen:
    """Writes one feed, each event after the last."""

    def __init__(self, feed: FeedKey) -> None:
        self.feed = feed
        self.last: Event | None = None

    def __call__(self, wall_ms: int, kind: str, **payload: Any) -> Event:
        self.last = after(self.last, self.feed, wall_ms, kind, **payload)
        return self.last

    def set(self, wall_ms: int, value: object, *seen: Event, field: str = "a") -> Event:
        replaces = {"replaces": [ref(event) for event in seen]} if seen else {}
        return self(wall_ms, "field.set", record_id="r1", field=field, value=value, **replaces)


GARBAGE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("field.set", {}),
    ("field.set", {"record_id": "r1", "field": "a"}),
    ("field.set", {"record_id": 7, "field": "a", "value": 1}),
    ("field.set", {"record_id": "", "field": "a", "value": 1}),
    ("field.set", {"record_id": "r" * 257, "field": "a", "value": 1}),
    ("field.set", {"record_id": "r1", "field": None, "value": 1}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": "no"}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": None}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": [[b"short", 1]]}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": [[bytes(20), True]]}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": [[bytes(20), 0]]}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": [[bytes(20)]]}),
    ("field.set", {"record_id": "r1", "field": "a", "value": 1, "replaces": [[bytes(20), 1]] * 65}),
    ("record.put", {"record_id": "r1", "fields": [1]}),
    ("record.put", {"record_id": "r1", "fields": {"": 1}}),
    ("record.put", {"record_id": "r1", "fields": {}, "form": 1}),
    ("record.put", {"record_id": "r1", "fields": {"a": 1}, "replaces": []}),
    ("record.put", {"record_id": "r1", "fields": {"a": 1}, "replaces": {"b": []}}),
    ("record.put", {"record_id": "r1", "fields": {"a": 1}, "replaces": {"a": {}}}),
    ("record.create", {"record_id": "r1"}),
    ("record.create", {"record_id": "r1", "form": "f", "by": b"x"}),
    ("note.add", {"record_id": "r1", "text": 5}),
    ("attachment.add", {"record_id": "r1", "field": "a", "blob_hash": 5}),
    ("attachment.add", {"record_id": "r1", "field": "a", "blob_hash": "h", "size": True}),
    ("attachment.add", {"record_id": "r1", "field": "a", "blob_hash": "h", "size": -1}),
    ("attachment.add", {"record_id": "r1", "field": "a", "blob_hash": "h", "mime": 1}),
    ("record.delete", {"record_id": "r1", "replaces": {}}),
    ("record.delete", {"record_id": ["r1"]}),
)
"""Payloads of known kinds that no view can read."""

KINDS = (
    *("field.set", "record.put", "record.delete") * 2,
    *("record.create", "note.add", "attachment.add", "odd.kind", "garbage"),
)
VALUES = st.sampled_from([0, 1, 1.0, True, "1", None, b"1", (1, "x"), {"k": 1}])
PLACES = st.builds(
    lambda feed, seq: Ref(feed.author + feed.incarnation.to_bytes(4, "big"), seq),
    st.sampled_from(FEEDS),
    st.integers(1, 4),
)
REFS = st.lists(PLACES, max_size=4)


@st.composite
def contents(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a kind and a payload, now and then one that cannot be read."""
    kind = draw(st.sampled_from(KINDS))
    if kind == "garbage":
        bad: tuple[str, dict[str, Any]] = draw(st.sampled_from(GARBAGE))
        return bad
    payload: dict[str, Any] = {"record_id": draw(st.sampled_from(["r1", *RECORDS]))}
    match kind:
        case "field.set":
            payload |= {"field": draw(st.sampled_from(FIELDS)), "value": draw(VALUES)}
            if draw(st.booleans()):
                payload["replaces"] = draw(REFS)
        case "record.put":
            fields = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES))
            payload["fields"] = fields
            payload["replaces"] = {name: draw(REFS) for name in fields}
            if draw(st.booleans()):
                payload |= {"form": draw(st.sampled_from(["f", "g"])), "by": "someone"}
        case "record.create":
            payload["form"] = "f"
        case "note.add":
            payload["text"] = draw(st.sampled_from(["x", "y"]))
        case "attachment.add":
            payload |= {"field": "a", "blob_hash": draw(st.sampled_from([b"h", "h1", "h2"]))}
        case "record.delete":
            payload["replaces"] = draw(REFS)
    return kind, payload


@st.composite
def histories(draw: st.DrawFn, size_max: int = 16, *, has_forks: bool = True) -> list[Event]:
    """Draw valid feeds of three authors, forks among them; each prev before what follows it."""
    events: list[Event] = []
    last: dict[FeedKey, Event] = {}
    for _ in range(draw(st.integers(0, size_max))):
        feed = draw(st.sampled_from(FEEDS))
        prev = last.get(feed)
        if prev and has_forks and draw(st.integers(0, 3)) == 0:  # a fork
            prev = draw(st.sampled_from([None, *(e for e in events if e.feed == feed)]))
        kind, payload = draw(contents())
        wall_ms = (prev.stamp.wall_ms if prev else 0) + draw(st.integers(1, 4))
        event = after(prev, feed, wall_ms, kind, **payload)
        if event not in events:
            events.append(event)
        last[feed] = event
    return events


@st.composite
def arrivals(draw: st.DrawFn, *, has_forks: bool = True) -> list[Event]:
    """Draw a history in some order of arrival that a store accepts."""
    waiting = draw(histories(has_forks=has_forks))
    held = {NO_PREV}
    arrived = []
    while waiting:
        ready = [event for event in waiting if event.prev in held]
        event = draw(st.sampled_from(ready))
        waiting.remove(event)
        held.add(event.id)
        arrived.append(event)
    return arrived


def rules(store: Store, horizon_ms: int) -> Standings:
    """Return what counts in the open dataset, where nobody is removed."""
    return Standings(Decrees(), Roster(OPEN_DATASET), StoreLineage(store), horizon_ms)


def take(store: Store, *events: Event) -> list[Told]:
    """Add events to an open transaction and return what they do to records."""
    for chain in chains(events):
        store.add(chain, arrived_ms=0)
    return told_by(events)


def looking(store: SqliteStore, horizon_ms: int = FAR_MS) -> LiveView:
    """Return the view that this horizon allows."""
    return LiveView(store, lambda: rules(store, horizon_ms))


def apply(store: SqliteStore, *events: Event) -> None:
    """Add events in a transaction of their own."""
    with store.transaction():
        take(store, *events)


@contextmanager
def lots_of(events: int) -> Iterator[None]:
    """Let a pass over the log bring so few together that there are several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recordlots, "LOT_EVENTS", events)
        yield


def settle(store: SqliteStore, view: LiveView, events: int | None = None) -> None:
    """Bring the rows up to date, or some of them."""
    is_left = True
    while is_left:
        with store.transaction():
            is_left = view.settle(events) if events else view.settle()
        is_left = is_left and events is None
