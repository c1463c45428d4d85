"""What a write says that it saw, remembered from write to write, is what the view shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import encode_body
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.errors import InputError, StoreError
from meshlog.replica import Replica
from meshlog.store import SqliteStore
from meshlog.views import recent
from meshlog.views.changes import feed_ref
from meshlog.views.live import LiveView
from meshlog.views.rowstate import unpack
from meshlog.views.seen import others_of, with_replaces
from tests.replica.devices import (
    T0_MS,
    Stranger,
    chain,
    founder,
    holds_alike,
    identity,
    invited,
    open_replica,
    segs,
    share,
)
from tests.replica.test_intake import limit_pages
from tests.replica.test_membership import revoke


def expected(replica: Replica, kind: str, payload: dict[str, Any]) -> Any:
    """Return what the write is to name, by a view that remembers nothing."""
    store = replica.store
    row = LiveView(store, lambda: replica.ledger.standings(store)).row(payload["record_id"])
    others = others_of(unpack(row), feed_ref(replica.data_feed)) if row else None
    return with_replaces(kind, payload, others).get("replaces", ())


def write(replica: Replica, kind: str, now_ms: int, **payload: Any) -> None:
    replica.advance_horizon(now_ms)
    saw = expected(replica, kind, payload)
    event = replica.append(kind, payload, now_ms)
    assert event.payload.get("replaces", ()) == saw


KINDS = st.sampled_from(["field.set", "record.put", "record.delete", "note.add"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.one_of(KINDS, st.sampled_from(["meet", "settle", "wait", "ahead"])),
        st.sampled_from(["r1", "r2"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=25,
)
MORE: dict[str, Any] = {
    "field.set": lambda field: {"field": field, "value": 1},
    "record.put": lambda field: {"fields": {field: 2, "c": 3}},
    "record.delete": lambda _: {},
    "note.add": lambda _: {"text": "x"},
}


@given(STEPS)
def test_each_write_names_what_a_view_without_memory_shows(steps):
    devices = {name: open_replica(name) for name in ("ann", "bob")}
    now_ms = T0_MS
    for name, step, record, field in steps:
        now_ms += 1
        here = devices[name]
        other = devices["bob" if name == "ann" else "ann"]
        match step:
            case "meet":
                share(other, here, now_ms)
            case "settle":
                here.settle()
            case "wait":
                now_ms += SKEW_MS_MAX
            case "ahead":  # from now on what it writes is held until the others' clocks pass it
                write(
                    here,
                    "field.set",
                    now_ms + 2 * SKEW_MS_MAX,
                    record_id=record,
                    field=field,
                    value=4,
                )
            case _:
                write(here, step, now_ms, record_id=record, **MORE[step](field))
    share(devices["ann"], devices["bob"], now_ms)
    share(devices["bob"], devices["ann"], now_ms)
    for device in devices.values():
        device.advance_horizon(now_ms + 9 * SKEW_MS_MAX)
        device.settle()
    assert holds_alike(*devices.values())


WRITES = st.tuples(
    st.sampled_from([*MORE]),
    st.sampled_from(["r1", "r2"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["saw", "nothing"]),
)


def told(kind: str, record: str, field: str, saw: str) -> tuple[str, dict[str, Any]]:
    more: dict[str, Any] = MORE[kind](field)
    if saw == "nothing" and kind != "note.add":
        more["replaces"] = {} if kind == "record.put" else ()
    return kind, {"record_id": record} | more


@given(st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.lists(WRITES, max_size=6))))
def test_what_is_written_together_names_what_each_write_alone_would(steps):
    frontiers = []
    for is_together in (False, True):
        devices = {name: open_replica(name) for name in ("ann", "bob")}
        for now_ms, (name, writes) in enumerate(steps, T0_MS):
            here, other = devices[name], devices["bob" if name == "ann" else "ann"]
            items = [told(*one) for one in writes]
            if is_together:
                here.append_many(items, now_ms)
            for kind, payload in [] if is_together else items:
                write(here, kind, now_ms, **payload)
            if len(items) % 2 == 0:
                share(other, here, now_ms)
        frontiers.append([device.frontier() for device in devices.values()])

    assert frontiers[0] == frontiers[1]


def test_a_value_of_a_forked_feed_is_named_as_long_as_it_is_live():
    ann, mallory = open_replica("ann"), Stranger(identity("mallory"))
    bodies = [
        encode_body("field.set", {"record_id": "r", "field": "a", "value": at}) for at in range(3)
    ]
    trunk = mallory.run_of(bodies[0])
    twins = [chain(mallory.who, mallory.data, [1], trunk[-1], bodies=[body]) for body in bodies[1:]]
    ann.ingest(segs(mallory.opening(), trunk, *twins), T0_MS)
    assert len(ann.frontier()[mallory.data]) > 1

    for now_ms in range(T0_MS + 1, T0_MS + 4):
        write(ann, "field.set", now_ms, record_id="r", field="a", value=4)
        write(ann, "field.set", now_ms, record_id="r", field="b", value=4)

    ann.settle()
    assert ann.view.check() == []


def test_a_batch_names_what_it_saw_once():
    ann, bob = open_replica("ann"), open_replica("bob")
    bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, T0_MS)
    share(bob, ann)
    again = ("field.set", {"record_id": "r", "field": "a", "value": 2})

    first, second = ann.append_many([again, again], T0_MS + 1)

    assert len(first.payload["replaces"]) == 1
    assert "replaces" not in second.payload, "its own feed's value alone is left"


def test_records_that_are_written_to_together_are_looked_up_together():
    """However many there are, and whether anybody else wrote to them or not."""
    store = SqliteStore()
    ann, bob = open_replica("ann", store=store), open_replica("bob")
    held = [("note.add", {"record_id": f"held {at}", "text": "x"}) for at in range(20)]
    bob.append_many(held, T0_MS)
    share(bob, ann)
    ann.settle()
    counts = []
    for names in (["one"], [f"new {at}" for at in range(20)] + [f"held {at}" for at in range(20)]):
        statements: list[str] = []
        store._file._open.set_trace_callback(statements.append)
        ann.append_many([("note.add", {"record_id": name, "text": "x"}) for name in names], T0_MS)
        counts.append(len(statements))

    assert counts[1] <= counts[0]


def test_a_write_that_failed_was_never_seen(monkeypatch):
    ann, bob = open_replica("ann"), open_replica("bob")
    bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, T0_MS)
    share(bob, ann)
    write(ann, "note.add", T0_MS, record_id="r", text="x")
    good = ("field.set", {"record_id": "r", "field": "a", "value": 2})
    with pytest.raises(InputError):
        ann.append_many([good, ("field.set", {"record_id": 7})], T0_MS + 1)

    write(ann, "field.set", T0_MS + 2, record_id="r", field="a", value=3)

    assert ann.view.conflicts() == []


def test_what_is_no_kind_is_refused_though_it_names_what_it_saw():
    ann, bob = open_replica("ann"), open_replica("bob")
    bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, T0_MS)
    share(bob, ann)
    kind: Any = ["field.set"]
    with pytest.raises(InputError, match="a kind is text"):
        ann.append(kind, {"record_id": "r", "replaces": []}, T0_MS + 1)
    nothing: Any = [("field.set", None)]
    with pytest.raises(InputError, match="a payload is a mapping"):
        ann.append_many(nothing, T0_MS + 1)


@pytest.mark.parametrize("others", [False, True])
def test_of_writes_that_cannot_be_carried_the_first_is_named(others: bool):
    """Whether or not records have to be looked up for what they replace."""
    ann = open_replica("ann")
    if others:
        bob = open_replica("bob")
        write(bob, "field.set", T0_MS, record_id="r1", field="a", value=1)
        share(bob, ann)
    no_name = ("note.add", {"record_id": "\ud800", "text": "x"})

    with pytest.raises(InputError, match="text is not text"):
        ann.append_many([("note.add", {"record_id": "r1", "text": 5}), no_name], T0_MS)
    with pytest.raises(InputError, match=r"^text holds a lone surrogate$"):
        ann.append_many([no_name], T0_MS)


class Changing(Mapping[str, Any]):
    """A payload that says this when it is copied first, and something else from then on."""

    def __init__(self, *said: dict[str, Any]) -> None:
        self.said = [*said]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.said[0]])

    def __len__(self) -> int:
        return len(self.said[0])

    def __getitem__(self, key: str) -> Any:
        return self.said[0][key]

    def items(self) -> Any:
        return (self.said.pop(0) if len(self.said) > 1 else self.said[0]).items()


def test_a_payload_that_changes_while_it_is_read_is_remembered_as_it_was_written():
    ann, bob = open_replica("ann"), open_replica("bob")
    write(bob, "field.set", T0_MS, record_id="r1", field="a", value=1)
    share(bob, ann)
    saw = {"record_id": "r1", "field": "a", "value": 2, "replaces": [[feed_ref(bob.data_feed), 1]]}

    ann.append("field.set", Changing(saw, saw | {"field": "b"}), T0_MS)

    write(ann, "field.set", T0_MS + 1, record_id="r1", field="a", value=3)
    assert ann.view.conflicts() == []


def test_a_full_disk_is_not_remembered_as_written(tmp_path):
    with closing(SqliteStore(tmp_path / "s.db")) as store:
        ann, bob = open_replica("ann", store=store), open_replica("bob")
        bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, T0_MS)
        share(bob, ann)
        write(ann, "note.add", T0_MS, record_id="r", text="x")
        limit_pages(store, 2)
        much = [("field.set", {"record_id": "r", "field": "a", "value": bytes(60_000)})] * 4
        with pytest.raises(StoreError):
            ann.append_many(much, T0_MS + 1)
        limit_pages(store, 100)

        write(ann, "field.set", T0_MS + 2, record_id="r", field="a", value=3)

        assert ann.view.check() == []


@pytest.mark.parametrize(("records", "size"), [(4, 10**6), (10**6, 700)])
def test_what_is_remembered_is_bounded(monkeypatch, records, size):
    monkeypatch.setattr(recent, "RECENT_RECORDS", records)
    monkeypatch.setattr(recent, "RECENT_SIZE", size)
    ann, bob = open_replica("ann"), open_replica("bob")
    names = [f"r{at}" for at in range(12)]
    bob.append_many([("note.add", {"record_id": name, "text": "x" * 99}) for name in names], T0_MS)
    bob.append_many(
        [("field.set", {"record_id": name, "field": "a", "value": 1}) for name in names], T0_MS
    )
    share(bob, ann)

    for round_ in range(2):
        for name in Random(round_).sample(names, 12):
            write(ann, "field.set", T0_MS + 1, record_id=name, field="a", value=2)
            assert len(ann._desk.recent._known) <= 5
            assert ann._desk.recent._size_bytes >= 0
    again = [("field.set", {"record_id": name, "field": "a", "value": 3}) for name in names * 2]
    bob.append_many(again, T0_MS + 2)
    share(bob, ann)
    later = [("field.set", {"record_id": name, "field": "b", "value": 3}) for name in names]
    ann.append_many(again + later, T0_MS + 3)
    for name in reversed(names):
        write(ann, "field.set", T0_MS + 4, record_id=name, field="a", value=4)

    assert ann.view.check() == []
    assert ann.view.conflicts() == []


def test_what_the_clock_has_reached_is_seen():
    ann, bob = open_replica("ann"), open_replica("bob")
    due_ms = T0_MS + 2 * SKEW_MS_MAX
    bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, due_ms)
    share(bob, ann)
    write(ann, "field.set", T0_MS + 1, record_id="r", field="a", value=2)

    write(ann, "field.set", due_ms, record_id="r", field="a", value=3)

    assert ann.view.conflicts() == []


def test_a_decree_that_lets_events_stand_otherwise_is_seen():
    base = founder()
    bob = invited(base, "bob")
    bob.append("field.set", {"record_id": "r", "field": "a", "value": 1}, T0_MS)
    write(base, "field.set", T0_MS, record_id="r", field="a", value=2)
    share(base, bob)
    share(bob, base)
    write(base, "field.set", T0_MS + 5, record_id="r", field="b", value=2)

    revoke(base, bob)

    write(base, "field.set", T0_MS + 7, record_id="r", field="a", value=3)
