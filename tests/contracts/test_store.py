"""What every Store promises (ports/store.py), whatever it keeps its bytes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from meshlog.core.chain import Chain
from meshlog.core.feed import FeedKind, Head
from meshlog.core.hlc import ZERO
from meshlog.errors import InputError, StoreError
from meshlog.ports.records import KeptRow, RecordRow
from meshlog.ports.store import Store
from meshlog.store import SqliteStore, index
from tests.store.logs import ANN, BOB, T0_MS, about, add, chain, child, feed, signed


@pytest.fixture(params=["memory", "file", "encrypted"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    (tmp_path / "word").write_text("correct horse")
    monkeypatch.setenv("MESHLOG_PASSPHRASE_FILE", str(tmp_path / "word"))
    path = ":memory:" if request.param == "memory" else tmp_path / "ann.meshlog"
    store = SqliteStore(path, encrypt=request.param == "encrypted")
    yield store
    store.close()


class OutageError(Exception):
    """Stands for anything that goes wrong inside a transaction."""


def row(
    record_id: str, form: str = "well", state: bytes = b"", *, visible: bool = True
) -> RecordRow:
    return RecordRow(record_id, form, visible, 0, state)


# ── Events ──


def test_an_empty_store_holds_nothing(store: Store):
    assert store.heads() == {}
    assert store.event_count() == 0
    assert store.log_size() == 0
    assert store.get(bytes(32)) is None
    assert store.at(ANN, 1) == []
    assert store.branch(Head(3, bytes(32)), ANN, 0, 10) == []
    assert list(store.scan()) == []
    assert list(store.records()) == []
    assert store.touching("r1") == []
    assert store.untouched(["r1"], 0) == {"r1"}
    assert list(store.touches()) == []
    assert store.stale_records() == []
    assert store.touched_between(0, T0_MS) == []


def test_a_log_is_as_large_as_its_bodies_were_however_little_of_them_is_kept(store: Store):
    first = child(None, ANN, bytes(1_600))
    second = child(first, ANN, bytes(1_600))
    third = child(second, ANN, bytes(60_000))
    add(store, [first, second, third])

    assert store.log_size() == 63_200


def test_gives_back_every_part_of_an_event(store: Store):
    first, last = chain(ANN, 2)
    add(store, [first, signed(last)], arrived_ms=T0_MS + 77)

    arrival = store.get(last.id)

    assert arrival is not None
    assert (arrival.position, arrival.arrived_ms) == (2, T0_MS + 77)
    assert arrival.event == last
    assert arrival.event.signature == bytes([1]) * 64
    assert arrival.event.is_authentic()
    assert store.at(ANN, 1) == [first]


@pytest.mark.parametrize("wall_ms", [0, 1, T0_MS, 2**47 - 1])
def test_keeps_extreme_stamps(store: Store, wall_ms: int):
    event = child(None, ANN, about("r1"), wall_ms=wall_ms)
    add(store, [event])

    arrival = store.get(event.id)

    assert arrival is not None
    assert (arrival.event, arrival.arrived_ms) == (event, T0_MS)
    assert store.touched_between(wall_ms - 1, wall_ms) == ["r1"]
    assert store.touched_between(-1, 2**60) == ["r1"]
    assert store.touched_between(wall_ms, 2**60) == []


def test_keeps_a_signature_that_comes_later(store: Store):
    event = chain(ANN, 1)[0]
    add(store, [event])

    with store.transaction():
        store.sign(signed(event))
        store.sign(signed(event, byte=2))

    assert store.at(ANN, 1)[0].signature == bytes([2]) * 64


def test_scans_in_arrival_order_from_any_position(store: Store):
    ann, bob = chain(ANN, 600), chain(BOB, 3)
    add(store, ann[:300])
    add(store, bob)
    add(store, ann[300:])
    events = ann[:300] + bob + ann[300:]

    assert [arrival.event for arrival in store.scan()] == events
    assert [arrival.position for arrival in store.scan(599)] == [600, 601, 602, 603]


def test_a_scan_sees_what_is_added_meanwhile(store: Store):
    events = chain(ANN, 400)
    add(store, events[:300])
    seen = []

    for arrival in store.scan():
        if arrival.position == 1:
            add(store, events[300:])
        seen.append(arrival.event)

    assert seen == events


def test_feeds_differ_by_kind_and_incarnation(store: Store):
    keys = [ANN, feed("ann", FeedKind.CONTROL), feed("ann", incarnation=2**32 - 1)]
    for key in keys:
        add(store, chain(key, 2))

    assert {key: [head.seq for head in heads] for key, heads in store.heads().items()} == {
        key: [2] for key in keys
    }
    assert all(store.at(key, 1)[0].feed == key for key in keys)


def test_heads_come_in_order_of_the_feeds_names(store: Store):
    """Not of arrival, nor of a hash: the same seed gives the same run."""
    keys = [feed(name) for name in ("ed", "bob", "fay", "ann", "cat")]
    for key in keys:
        add(store, chain(key, 1))
        assert list(store.heads()) == sorted(store.heads())
    with suppress(OutageError), store.transaction():
        store.add(Chain.of(chain(feed("aa"), 1)), T0_MS)
        assert next(iter(store.heads())) == feed("aa")
        raise OutageError
    add(store, chain(feed("dan"), 1))

    assert list(store.heads()) == sorted([*keys, feed("dan")])


# ── Branches ──


def test_a_branch_is_read_from_any_place_and_across_arrivals(store: Store):
    ann, bob = chain(ANN, 200), chain(BOB, 200)
    for start in range(0, 200, 20):
        add(store, ann[start : start + 20])
        add(store, bob[start : start + 20])
    (tip,) = store.heads()[ANN]

    assert store.branch(tip, ANN, 0, 1000) == ann
    assert store.branch(tip, ANN, 57, 100) == ann[57:157]
    assert store.branch(Head(90, ann[89].id), ANN, 85, 100) == ann[85:90]
    assert store.branch(tip, ANN, 200, 10) == []
    assert store.branch(tip, ANN, 10, 0) == []


def test_a_branch_of_a_head_that_is_not_held_is_empty(store: Store):
    ann = chain(ANN, 3)
    add(store, ann)

    assert store.branch(Head(3, bytes(32)), ANN, 0, 10) == []
    assert store.branch(Head(2, ann[2].id), ANN, 0, 10) == []
    assert store.branch(Head(3, ann[2].id), BOB, 0, 10) == []


@pytest.mark.parametrize("fork_seq", [0, 1, 63, 64, 65, 100])
def test_both_branches_of_a_fork_are_kept_and_read(store: Store, fork_seq: int):
    trunk = chain(ANN, fork_seq)
    after = trunk[-1] if trunk else None
    left, right = chain(ANN, 150, after, "left"), chain(ANN, 40, after, "right")
    add(store, trunk + left[:10])
    for start in range(0, 40, 10):
        add(store, right[start : start + 10])
        add(store, left[10 + start : 20 + start])
    add(store, left[50:])

    heads = tuple(sorted(Head(event.seq, event.id) for event in (left[-1], right[-1])))
    assert store.heads() == {ANN: heads}
    assert store.event_count() == fork_seq + 190
    assert store.at(ANN, fork_seq + 1) == sorted([left[0], right[0]], key=lambda event: event.id)
    assert store.at(ANN, fork_seq + 100) == [left[99]]
    for branch in (trunk + left, trunk + right):
        tip = Head(branch[-1].seq, branch[-1].id)
        for after_seq in (0, max(fork_seq - 3, 0), fork_seq, fork_seq + 5, fork_seq + 39):
            for limit in (1, 10, 1000):
                expected = branch[after_seq : after_seq + limit]
                assert store.branch(tip, ANN, after_seq, limit) == expected


def test_an_event_whose_prev_is_no_head_makes_a_fork_within_one_batch(store: Store):
    trunk = chain(ANN, 3)
    twin = child(trunk[0], ANN, b"twin")
    add(store, [*trunk, twin])

    assert store.heads()[ANN] == (Head(2, twin.id), Head(3, trunk[2].id))


# ── Records ──


def test_knows_which_records_a_feed_touches(store: Store):
    """Across runs, forks and arrivals; each once, and nobody else's."""
    ann, bob = chain(ANN, 70, records=["r0", "r1", "r2"]), chain(BOB, 3, records=["of bob"])
    late = chain(ANN, 80, ann[-1], records=["late"])
    with store.transaction():
        store.add(Chain.of(ann), T0_MS)
        store.add(Chain.of(bob), T0_MS)
        store.add(Chain.of(late), T0_MS)
        store.add(Chain.of([child(ann[5], ANN, about("twin"))]), T0_MS)

        assert store.records_of([ANN]) == ["late", "r0", "r1", "r2", "twin"]

    assert store.records_of([BOB]) == ["of bob"]
    assert store.records_of([ANN, BOB]) == ["late", "of bob", "r0", "r1", "r2", "twin"]
    assert store.records_of([feed("nobody")]) == store.records_of([]) == []


def put(store: Store, *rows: RecordRow, position: int = 1) -> None:
    store.put_records([(row.record_id, row) for row in rows], position)


def drop(store: Store, *names: str, position: int = 1) -> None:
    store.put_records([(name, None) for name in names], position)


def test_a_dropped_row_is_gone_and_its_record_can_come_back(store: Store):
    with store.transaction():
        put(store, row("r1"))
        drop(store, "r1", "never there", position=7)

    assert store.get_record("r1") == store.get_record("never there") == KeptRow(None, 7)
    assert list(store.records()) == []

    with store.transaction():
        put(store, row("r1", "tank"), position=8)

    assert store.get_record("r1") == KeptRow(row("r1", "tank"), 8)


def test_tells_what_changed_after_a_number_each_row_once(store: Store):
    with store.transaction():
        put(store, row("r1"), row("r2"), row("r3"))
    seen = store.last_change()

    with store.transaction():
        put(store, row("r3"), position=9)  # as it was
        put(store, row("r1", "tank"))
        drop(store, "r2", "never there")
        drop(store, "r2")
        put(store, row("r1", "road"))

    changes = store.changes(seen, 10)
    assert [(name, now) for _, name, now in changes] == [("r2", None), ("r1", row("r1", "road"))]
    assert [number > seen for number, _, _ in changes] == [True, True]
    assert store.changes(seen, 1) == changes[:1]
    assert store.changes(changes[0].number, 10) == changes[1:]
    assert store.last_change() == changes[1].number
    assert store.get_record("r3") == KeptRow(row("r3"), 9)


def test_tells_which_records_left_a_form_by_the_change_by_which_they_did(store: Store):
    with store.transaction():
        for name in ("r1", "r2", "r3", "r4"):
            put(store, row(name))
    seen = store.last_change()
    assert store.left("well", 0, 10) == []

    with store.transaction():
        put(store, row("r1", "tank"))
        drop(store, "r2")
        put(store, row("r3", "tank"))
        put(store, row("r3"))  # and back
        put(store, row("r4")._replace(conflicts=9))
        put(store, row("r1", "road"))

    left = store.left("well", seen, 10)
    assert [(name, now) for _, name, now in left] == [("r1", row("r1", "road")), ("r2", None)]
    assert [number for number, _, _ in left] == [seen + 1, seen + 2]
    assert store.left("well", seen, 1) == left[:1]
    assert store.left("well", seen + 1, 10) == left[1:]
    assert [name for _, name, _ in store.left("tank", seen, 10)] == ["r3", "r1"]
    assert store.left("well", store.last_change(), 10) == []


def test_a_change_that_was_rolled_back_gives_its_number_to_the_next(store: Store):
    with suppress(OutageError), store.transaction():
        put(store, row("r1"))
        raise OutageError
    assert (store.changes(0, 10), store.last_change()) == ([], 0)

    with store.transaction():
        put(store, row("r2"))

    assert store.changes(0, 10) == [(1, "r2", row("r2"))]


def test_knows_which_records_are_to_be_made_anew(store: Store):
    with store.transaction():
        put(store, row("r1"), row("r2"))
        store.mark_stale(["r2", "new"])

    assert store.get_records(["r1", "r2", "new", "nobody"]) == {
        "r1": KeptRow(row("r1"), 1),
        "r2": KeptRow(row("r2"), None),
        "new": KeptRow(None, None),
    }
    assert sorted(store.stale_records()) == ["new", "r2"]
    assert len(store.stale_records(1)) == 1
    changed = store.last_change()

    with store.transaction():
        put(store, row("r2"), position=5)
        drop(store, "new", position=5)
    assert store.stale_records() == []
    assert store.last_change() == changed  # neither is another than it was

    with store.transaction():
        store.mark_stale(None)
    assert sorted(store.stale_records()) == ["new", "r1", "r2"]


def test_knows_which_events_touch_a_record(store: Store):
    first = child(None, ANN, about("r1"))
    second = child(first, ANN)
    third = child(second, ANN, about("r1"))
    control = child(None, feed("ann", FeedKind.CONTROL), about("r1"))
    add(store, [first, second, third, control])

    assert [arrival.event for arrival in store.touching("r1")] == [first, third]
    assert [arrival.position for arrival in store.touching("r1", 1)] == [3]
    assert store.touching("r1", 3) == store.touching("r2") == []
    walked = [(name, arrival.position) for name, arrival in store.touches()]
    assert walked == [("r1", 1), ("", 2), ("r1", 3), ("", 4)]
    assert [(name, arrival.position) for name, arrival in store.touches(2)] == walked[2:]


def test_finds_events_past_what_its_indices_have(store: Store, monkeypatch: pytest.MonkeyPatch):
    """In lots of eight: some in the tables, some in memory, also after a failure."""
    monkeypatch.setattr(index, "LOT_EVENTS", 8)
    ann = chain(ANN, 30, records=["r0", "r1", "r2"])
    for start in range(0, 30, 5):
        with suppress(OutageError), store.transaction():
            store.add(Chain.of(ann[start : start + 5]), T0_MS)
            assert store.get(ann[start + 4].id) is not None
            raise OutageError
        assert store.get(ann[start + 4].id) is None
        add(store, ann[start : start + 5])

        held = ann[: start + 5]
        assert [arrival.event for arrival in store.touching("r1")] == held[1::3]
        assert [store.get(event.id) is not None for event in ann] == [
            event in held for event in ann
        ]


@pytest.mark.parametrize("delay_ms", [-(10**9), -1, 0, 1, 10**9])
def test_finds_what_a_moving_horizon_uncovers_however_late_or_early_it_came(
    store: Store, delay_ms: int
):
    first, second = chain(ANN, 2, records=["r1", "r2"])
    add(store, [first], arrived_ms=first.stamp.wall_ms + delay_ms)
    add(store, [second], arrived_ms=second.stamp.wall_ms + delay_ms)

    assert store.touched_between(T0_MS - 1, T0_MS) == ["r1"]
    assert store.touched_between(T0_MS, T0_MS + 1) == ["r2"]
    assert store.touched_between(0, T0_MS + 5) == ["r1", "r2"]
    assert store.touched_between(T0_MS + 1, 2**60) == []
    assert store.latest_between(T0_MS - 1, T0_MS) == first.stamp
    assert store.latest_between(0, T0_MS + 5) == second.stamp
    assert store.latest_between(T0_MS + 1, 2**60) == ZERO


def test_a_row_is_replaced_and_read(store: Store):
    new = RecordRow("r1", "household", False, 3, b"new")
    with store.transaction():
        put(store, row("r1", state=b"old"))
        put(store, new, position=2)

    assert store.get_record("r1") == KeptRow(new, 2)
    assert store.get_record("r2") is None


def test_an_event_alone_makes_no_row(store: Store):
    add(store, chain(ANN, 1, records=["r1"]))

    assert store.get_record("r1") is None
    assert list(store.records()) == []


def test_rows_come_in_order_of_their_bytes(store: Store):
    ids = [
        "",
        "Z",
        "a",
        "a\x00b",
        "aa",
        "é",
        "\uffff",
        "😀",
        *(f"r{number:04}" for number in range(700)),
    ]
    with store.transaction():
        for record_id in reversed(ids):
            put(store, row(record_id, "well" if record_id < "r" else "road"))

    in_order = sorted(ids, key=str.encode)
    assert [found.record_id for found in store.records()] == in_order


# ── Meta ──


def test_small_values_are_kept_and_replaced(store: Store):
    with store.transaction():
        store.set_meta("clock", b"\x00\x01")
        store.set_meta("clock", b"\x02")

    assert store.get_meta("clock") == b"\x02"
    assert store.get_meta("horizon") is None


# ── Transactions ──


def test_an_open_transaction_is_seen_and_a_failed_one_never_was(store: Store):
    ann = chain(ANN, 2, records=["r1"])
    ann += chain(ANN, 2, ann[-1], records=["r2"])
    bob = chain(BOB, 2, records=["r2"])
    add(store, ann[:2])
    before = store.heads()

    def write_and_look() -> None:
        with store.transaction():
            store.add(Chain.of(ann[2:]), T0_MS)
            store.add(Chain.of(bob), T0_MS)
            put(store, row("r2"))
            store.set_meta("clock", b"1")
            assert store.event_count() == 6
            assert [head.seq for head in store.heads()[BOB]] == [2]
            assert len(store.touching("r2")) == 4
            assert store.branch(Head(4, ann[3].id), ANN, 1, 9) == ann[1:]
            raise OutageError

    with pytest.raises(OutageError):
        write_and_look()

    assert store.heads() == before
    assert store.event_count() == 2
    assert store.get(ann[2].id) is None
    assert (store.touching("r2"), store.get_record("r2"), store.get_meta("clock")) == (
        [],
        None,
        None,
    )
    add(store, bob)
    add(store, ann[2:])
    assert store.branch(store.heads()[ANN][0], ANN, 0, 9) == ann
    assert store.touched_between(0, 2**60) == ["r1", "r2"]


def test_a_snapshot_of_heads_is_the_callers_own(store: Store):
    add(store, chain(ANN, 1))

    store.heads().clear()

    assert ANN in store.heads()


def test_what_a_caller_must_not_do_stops_it(store: Store):
    ann = chain(ANN, 3)
    add(store, ann[:2])

    with pytest.raises(AssertionError, match="transaction"):
        store.set_meta("clock", b"1")
    with pytest.raises(AssertionError, match="nest"), store.transaction(), store.transaction():
        pass
    for wrong in (ann[1], ann[0], child(ann[2], ANN), child(ann[1], BOB), child(ann[0], BOB)):
        with pytest.raises(AssertionError):
            add(store, [wrong])
    assert store.event_count() == 2


def test_closes_twice_and_answers_no_more(store: Store):
    store.close()
    store.close()

    with pytest.raises(StoreError, match="closed"):
        store.get(bytes(32))


def test_rows_are_found_whatever_their_names_hold(store: Store):
    names = ["a", "a\0", "a\0b", "\0", "'", '"', "1", "null", *(f"r{n}" for n in range(600))]
    with store.transaction():
        store.put_records([(name, row(name)) for name in names], 1)

    assert store.get_records(names) == {name: KeptRow(row(name), 1) for name in names}


def test_a_name_that_no_record_can_have_is_refused(store: Store):
    with pytest.raises(InputError, match="lone surrogate"):
        store.get_record("\udcff")
