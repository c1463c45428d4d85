"""A disk that refuses: an error means that the events are nowhere, and it goes on later."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from meshlog.core.chain import Chain
from meshlog.core.event import Event
from meshlog.errors import StoreError
from meshlog.ports.records import RecordRow
from meshlog.store import SqliteStore
from tests.store.logs import ANN, BOB, T0_MS, add, chain, child


def large_events(count: int, after: Event) -> list[Event]:
    events = []
    for _ in range(count):
        after = child(after, after.feed, random.Random(count).randbytes(10_000))
        events.append(after)
    return events


def limit_pages(store: SqliteStore, more: int) -> None:
    (pages,) = store._file.run("PRAGMA page_count")[0]
    store._file.run(f"PRAGMA max_page_count = {pages + more}")


@pytest.mark.parametrize("more", range(0, 40, 3))
def test_a_full_disk_changes_nothing_and_is_survived(tmp_path: Path, more: int):
    ann, bob = chain(ANN, 3), chain(BOB, 1, records=["r2"])
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        add(store, ann)
        before = (store.heads(), list(store.scan()), store.event_count())
        limit_pages(store, more)
        grown = [*bob, *large_events(20, ann[-1])]

        with pytest.raises(StoreError, match="the disk is full: nothing was written"):
            add(store, grown)

        assert (store.heads(), list(store.scan()), store.event_count()) == before
        assert store.touching("r2") == []
        limit_pages(store, 1000)
        add(store, grown)
        assert store.event_count() == 24
        assert store._file.run("PRAGMA integrity_check") == [("ok",)]


def overlook(store: SqliteStore, write: Callable[[], None]) -> None:
    """Swallow the error of a write, and go on in the same transaction."""
    with store.transaction():
        store.set_meta("before", b"1")
        with pytest.raises(StoreError, match="full"):
            write()
        with suppress(StoreError):
            store.set_meta("after", b"1")


def test_a_failed_write_cannot_be_overlooked(tmp_path: Path):
    """SQLite may have rolled back by itself: what follows would stand alone."""
    with closing(SqliteStore(tmp_path / "ann.meshlog")) as store:
        (first,) = chain(ANN, 1)
        add(store, [first])
        limit_pages(store, 0)
        events = large_events(5, first)
        large_row = RecordRow("r1", "well", visible=True, conflicts=0, state=bytes(50_000))

        for write in (
            lambda: store.add(Chain.of(events), T0_MS),
            lambda: store.put_records([("r1", large_row)], 1),
        ):
            with pytest.raises(StoreError, match="full"):
                overlook(store, write)

            assert (store.get_meta("before"), store.get_meta("after")) == (None, None)
            assert store.event_count() == 1


FILL_UP = """
import resource, sys
from pathlib import Path
from meshlog.errors import StoreError
from meshlog.store import SqliteStore
from tests.store.logs import ANN, add, chain
from tests.store.test_full import large_events

store = SqliteStore(sys.argv[1])
events = chain(ANN, 1)
add(store, events)
(_, hard) = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
for _ in range(100):
    more = large_events(3, events[-1])
    try:
        add(store, more)
    except StoreError as error:
        print(error)
        break
    events += more
assert [arrival.event for arrival in store.scan()] == events
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
add(store, more)
print(store.event_count() - len(events))
store.close()
"""


def test_a_write_that_the_kernel_refuses_changes_nothing(tmp_path: Path):
    """A limit on file sizes stands for the full disk: the WAL cannot grow."""
    path = tmp_path / "ann.meshlog"
    command = [sys.executable, "-c", FILL_UP, str(path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    error, more = done.stdout.splitlines() or [done.stderr, ""]
    assert "nothing was written" in error
    assert more == "3"
    with closing(SqliteStore(path)) as store:
        assert store._file.run("PRAGMA integrity_check") == [("ok",)]
        assert store.event_count() == store.heads()[ANN][0].seq


def test_a_disk_without_room_to_read_is_called_full(tmp_path: Path):
    """SQLite calls it an error of the disk, where its shared memory finds no room."""
    path = tmp_path / "ann.meshlog"
    with closing(SqliteStore(path)) as store:
        add(store, chain(ANN, 3))
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_192, room[1]))
    try:
        with pytest.raises(StoreError, match="the disk is full: free some space"):
            SqliteStore(path, read_only=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)

    with closing(SqliteStore(path, read_only=True)) as store:
        assert store.event_count() == 3
