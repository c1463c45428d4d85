"""The fold in a storm: any order, forks, garbage; and against the rules taken literally."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import Event
from meshlog.views.changes import Change, read_change
from meshlog.views.fold import HeldEvents, fold_record
from meshlog.views.materialize import materialize
from meshlog.views.records import decode, encode
from tests.support.cost import lines_run
from tests.views.world import ANN, BOB, RECORDS, Pen, after, histories, ref


def rows(events: list[Event]) -> list[object]:
    lineage = HeldEvents(events)
    return [encode(fold_record(record_id, events, lineage)) for record_id in RECORDS]


@given(histories(), st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(events: list[Event], luck: random.Random):
    shuffled = events * 2
    luck.shuffle(shuffled)

    assert rows(shuffled) == rows(events)
    assert encode_cbor(materialize(shuffled)) == encode_cbor(materialize(events))


@given(histories())
def test_a_record_survives_its_row(events: list[Event]):
    for record_id in RECORDS:
        record = fold_record(record_id, events)
        row = encode(record)

        assert decode(row) == record
        assert encode(decode(row)) == row
        assert encode_cbor(decode(row).public()) == encode_cbor(record.public())


def by_the_letter(events: list[Event], record_id: str) -> tuple[dict[str, list[bytes]], bool]:
    """Return live values per field and visibility by docs/views.md, pair by pair."""
    by_id: dict[bytes, Event] = {event.id: event for event in events}
    told: list[tuple[Event, Change]] = []
    for event in events:
        change = read_change(event)
        if isinstance(change, Change) and change.record_id == record_id:
            told.append((event, change))

    def descends(later: Event, earlier: Event) -> bool:
        at = by_id.get(later.prev)
        while at and at is not earlier:
            at = by_id.get(at.prev)
        return at is earlier

    def names(refs: object, target: Event, rivals: list[Event]) -> bool:
        twins = [event for event in rivals if ref(event) == ref(target)]
        return ref(target) in (refs or ()) and len(twins) == 1  # type: ignore[operator]

    def beaten(target: Event, field: str) -> bool:
        rivals = [event for event, change in told if field in change.fields]
        return any(
            later.order > target.order
            and field in change.fields
            and (descends(later, target) or names(change.replaces.get(field), target, rivals))
            for later, change in told
        )

    def deleted(target: Event) -> bool:
        everything = [event for event, _ in told]
        return any(
            later.order > target.order
            and change.deletes is not None
            and (
                descends(later, target)
                or any(
                    names(change.deletes, named, everything)
                    for named in everything
                    if named is target or descends(named, target)
                )
            )
            for later, change in told
        )

    live: dict[str, list[bytes]] = {}
    alive = []
    for event, change in sorted(told, key=lambda pair: pair[0].order, reverse=True):
        mine = [field for field in change.fields if not beaten(event, field)]
        for field in mine:
            live.setdefault(field, []).append(encode_cbor(change.fields[field]))
        if change.deletes is None and (mine or change.form is not None or not change.fields):
            alive.append(event)
    return live, any(not deleted(event) for event in alive)


@settings(max_examples=300)
@given(histories(24))
def test_the_fold_follows_the_letter_of_the_rules(events: list[Event]):
    lineage = HeldEvents(events)
    for record_id in RECORDS:
        record = fold_record(record_id, events, lineage)

        live = {
            name: [encode_cbor(write.value) for write in writes]
            for name, writes in record.fields.items()
        }
        assert (live, record.visible) == by_the_letter(events, record_id)


def crowd_in_one_feed(count: int) -> list[Event]:
    ann = Pen(ANN)
    return [ann.set(at + 1, at, field=f"f{at % 50}") for at in range(count)]


def crowd_of_twins(count: int) -> list[Event]:
    twins = [
        after(None, ANN, at + 1, "field.set", record_id="r1", field="a", value=at)
        for at in range(count)
    ]
    bob = Pen(BOB)
    return [*twins, *(bob.set(count + at, at, *twins[:64]) for at in range(count // 8))]


def crowd_of_deletes(count: int) -> list[Event]:
    ann, bob = Pen(ANN), Pen(BOB)
    events: list[Event] = []
    for at in range(count // 2):
        events.append(ann.set(2 * at + 1, at))
        events.append(bob(2 * at + 2, "record.delete", record_id="r1", replaces=[ref(events[-1])]))
    return events


def comb(count: int) -> list[Event]:
    """A feed that forks at every event of a long branch."""
    ann = Pen(ANN)
    events: list[Event] = []
    for at in range(count // 2):
        events.append(ann.set(at + 1, at, field=f"f{at}"))
        tooth = {"record_id": "r1", "field": "a", "value": at}
        events.append(after(events[-1], ANN, 10 * count, "field.set", **tooth))
    return events


def brush(count: int) -> list[Event]:
    """A long handle in another record, and bristles that all climb down along it."""
    ann = Pen(ANN)
    first = ann.set(1, "x")
    between = {"record_id": "r2", "text": "between"}
    handle = [first, *(ann(at + 2, "note.add", **between) for at in range(count // 2))]
    bristle = {"record_id": "r1", "field": "a"}
    top = handle[-1]
    return handle + [
        after(top, ANN, 2 * count + at, "field.set", **bristle, value=at)
        for at in range(count // 2)
    ]


@pytest.mark.parametrize(
    "crowd", [crowd_in_one_feed, crowd_of_twins, crowd_of_deletes, comb, brush]
)
def test_a_crowded_record_does_not_cost_the_square_of_its_events(crowd):
    """8 times the events may cost 8 times the work, not 64."""

    def cost(count: int) -> int:
        events = crowd(count)
        return lines_run(lambda: fold_record("r1", events))

    assert cost(4_000) < 10 * cost(500)
