"""The store against a plain model of it: a list of events, whatever is done in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meshlog.core.chain import Chain
from meshlog.core.event import NO_PREV, Event
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.hlc import ZERO, Stamp
from meshlog.ports.records import KeptRow, RecordRow
from meshlog.store import SqliteStore, append, events, index, lots, runs
from tests.store.logs import T0_MS, about, feed

FEEDS = [feed("ann"), feed("ann", FeedKind.CONTROL), feed("bob")]
RECORDS = [None, "r1", "r2", "r3"]


class OutageError(Exception):
    """Ends a transaction."""


class Model:
    """What a store holds, the slow and obvious way."""

    def __init__(self) -> None:
        self.log: list[tuple[Event, str | None, int]] = []
        self.rows: dict[str, RecordRow] = {}
        self.changes: dict[str, RecordRow | None] = {}
        """The last change of each row, the latest last."""

    def copy(self) -> Model:
        twin = Model()
        twin.log, twin.rows, twin.changes = list(self.log), dict(self.rows), dict(self.changes)
        return twin

    def put(self, row: RecordRow) -> None:
        if self.rows.get(row.record_id) != row:
            self.rows[row.record_id] = row
            self.changes.pop(row.record_id, None)
            self.changes[row.record_id] = row

    def drop(self, record_id: str) -> None:
        if self.rows.pop(record_id, None):
            self.changes.pop(record_id, None)
            self.changes[record_id] = None

    def sign(self, index: int, event: Event) -> None:
        self.log[index] = (event, *self.log[index][1:])

    def heads(self) -> dict[FeedKey, tuple[Head, ...]]:
        parents = {event.prev for event, _, _ in self.log}
        found: dict[FeedKey, list[Head]] = {}
        for event, _, _ in self.log:
            if event.id not in parents:
                found.setdefault(event.feed, []).append(Head(event.seq, event.id))
        return {key: tuple(sorted(heads)) for key, heads in found.items()}

    def branch(self, tip: bytes) -> list[Event]:
        by_id = {bytes(event.id): event for event, _, _ in self.log}
        found = []
        while tip != NO_PREV:
            found.append(by_id[tip])
            tip = by_id[tip].prev
        return found[::-1]

    def touched(self, after_ms: int, until_ms: int) -> list[str]:
        found = {
            record
            for event, record, _ in self.log
            if record and after_ms < event.stamp.wall_ms <= until_ms
        }
        return sorted(found)

    def latest(self, after_ms: int, until_ms: int) -> Stamp:
        stamps = [
            event.stamp
            for event, _, _ in self.log
            if event.feed.kind is FeedKind.DATA and after_ms < event.stamp.wall_ms <= until_ms
        ]
        return max(stamps, default=ZERO)


class StoreMachine(RuleBasedStateMachine):
    """Short runs, small lots and early checkpoints, so that every boundary is met."""

    @initialize(in_file=st.booleans())
    def make(self, in_file: bool) -> None:
        self.folder = Path(tempfile.mkdtemp()) if in_file else None
        self.path = self.folder / "store" if self.folder else ":memory:"
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(runs, "RUN_EVENTS_MAX", 4)
        self.patch.setattr(events, "RUN_EVENTS_MAX", 4)
        self.patch.setattr(index, "LOT_EVENTS", 16)
        self.patch.setattr(lots, "MERGED_EVENTS", (40, 100))
        self.patch.setattr(lots, "ROW_PAIRS", 5)
        self.patch.setattr(append, "CHECKPOINT_EVENTS", 24)
        self.store = SqliteStore(self.path)
        self.model = Model()
        self.number = self.kills = 0

    def draw_chain(self, data: st.DataObject, model: Model) -> list[tuple[Event, str | None]]:
        key = data.draw(st.sampled_from(FEEDS))
        held = [event for event, _, _ in model.log if event.feed == key]
        tips = {head.id for head in model.heads().get(key, ())}
        places = [event for event in held if event.id in tips] * 3 + held  # forks, but not only
        parent = data.draw(st.sampled_from([*places, None])) if places else None
        entries = []
        for _ in range(data.draw(st.integers(1, 12))):
            self.number += 1
            earliest = parent.stamp.packed() + 1 if parent else 0
            ahead_ms = data.draw(st.sampled_from([0, 1, 5, 100_000]))
            stamp = Stamp.unpacked(max(earliest, (T0_MS + ahead_ms) << 16))
            seq, prev = (parent.seq + 1, parent.id) if parent else (1, NO_PREV)
            record = data.draw(st.sampled_from(RECORDS))
            body = about(record, str(self.number)) if record else b"%d" % self.number
            parent = Event.make(key, seq, stamp, prev, body)
            entries.append((parent, record if key.kind is FeedKind.DATA else None))
        if data.draw(st.booleans()):
            last, record = entries[-1]
            entries[-1] = (last._replace(signature=b"s" * 64), record)
        return entries

    @rule(data=st.data(), fails=st.integers(0, 4), arrived_ms=st.integers(T0_MS - 9, T0_MS + 9))
    def write(self, data: st.DataObject, fails: int, arrived_ms: int) -> None:
        """One transaction of several writes; one in five never was."""
        model = self.model.copy()
        try:
            with self.store.transaction():
                for _ in range(data.draw(st.integers(1, 3))):
                    entries = self.draw_chain(data, model)
                    self.store.add(Chain.of([event for event, _ in entries]), arrived_ms)
                    model.log += [(event, record, arrived_ms) for event, record in entries]
                if data.draw(st.booleans()):
                    index = data.draw(st.integers(0, len(model.log) - 1))
                    event = model.log[index][0]._replace(signature=b"t" * 64)
                    self.store.sign(event)
                    model.sign(index, event)
                record_id = data.draw(st.sampled_from(RECORDS[1:]))
                assert record_id is not None
                row = RecordRow(record_id, "well", data.draw(st.booleans()), 1, b"%d" % self.number)
                self.store.put_records([(record_id, row)], self.number)
                model.put(row)
                self.compare(model)
                if fails == 0:
                    raise OutageError
        except OutageError:
            return
        self.model = model

    @rule(record_id=st.sampled_from(RECORDS[1:]))
    def drop(self, record_id: str) -> None:
        with self.store.transaction():
            self.store.put_records([(record_id, None)], self.number)
        self.model.drop(record_id)

    @rule()
    def reopen(self) -> None:
        if self.folder:
            self.store.close()
            self.store = SqliteStore(self.path)

    @rule()
    def kill(self) -> None:
        """Nobody closed it: what the log alone tells is read from it."""
        if self.folder:
            self.kills += 1
            tail, killed = self.store._log.tail, self.folder / f"killed-{self.kills}"
            for suffix in ("", "-wal"):
                shutil.copy(f"{self.path}{suffix}", f"{killed}{suffix}")
            self.store.close()
            self.path, self.store = killed, SqliteStore(killed)
            assert self.store._log.tail == tail

    @rule()
    def read_beside(self) -> None:
        """Somebody opens it for reading while it is written to."""
        if self.folder:
            writer, self.store = self.store, SqliteStore(self.path, read_only=True)
            try:
                self.compare(self.model)
                assert self.store._log.tail == writer._log.tail
            finally:
                self.store.close()
                self.store = writer

    @rule(data=st.data(), after_seq=st.integers(0, 20), limit=st.integers(0, 20))
    def read_a_branch(self, data: st.DataObject, after_seq: int, limit: int) -> None:
        if self.model.log:
            event, _, _ = data.draw(st.sampled_from(self.model.log))
            expected = self.model.branch(event.id)[after_seq:][:limit]
            found = self.store.branch(Head(event.seq, event.id), event.feed, after_seq, limit)
            assert found == expected

    @rule(after_ms=st.integers(T0_MS - 3, T0_MS + 20), width_ms=st.integers(0, 200_000))
    def move_the_horizon(self, after_ms: int, width_ms: int) -> None:
        until_ms = after_ms + width_ms
        assert self.store.touched_between(after_ms, until_ms) == self.model.touched(
            after_ms, until_ms
        )
        assert self.store.latest_between(after_ms, until_ms) == self.model.latest(
            after_ms, until_ms
        )

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "model"):
            self.compare(self.model)

    def compare(self, model: Model) -> None:
        store = self.store
        assert store.heads() == model.heads()
        assert store.event_count() == len(model.log)
        held = [
            (arrival.event, arrival.event.signature, arrival.arrived_ms) for arrival in store.scan()
        ]
        assert held == [(event, event.signature, arrived_ms) for event, _, arrived_ms in model.log]
        for event, _, _ in model.log[-3:]:
            twins = {e.id: e for e, _, _ in model.log if (e.feed, e.seq) == (event.feed, event.seq)}
            assert store.at(event.feed, event.seq) == [
                twins[event_id] for event_id in sorted(twins)
            ]
        for record in RECORDS[1:]:
            assert record is not None
            touching = [event for event, touched, _ in model.log if touched == record]
            assert [arrival.event for arrival in store.touching(record)] == touching
            assert not (touching and store.untouched([record], 0))
            kept = store.get_record(record) or KeptRow(None, None)
            assert kept.row == model.rows.get(record)
        assert list(store.records()) == [model.rows[record_id] for record_id in sorted(model.rows)]
        changes = store.changes(0, 9)
        assert [(name, row) for _, name, row in changes] == list(model.changes.items())
        numbers = [number for number, _, _ in changes]
        assert numbers == sorted(set(numbers))
        assert store.last_change() == (numbers[-1] if numbers else 0)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.patch.undo()
            if self.folder:
                shutil.rmtree(self.folder)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=40, stateful_step_count=20)
