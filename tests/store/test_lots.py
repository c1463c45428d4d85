"""Keys are found in lots wherever they stand, and however many pairs one has."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.store import SqliteStore, index, lots
from meshlog.store.file import MEMORY, StoreFile
from meshlog.store.lots import TABLES, Lots, merged, pairs_of, rows_of
from tests.store import logs
from tests.store.logs import ANN, chain

KEYS = [bytes(4), b"\0\0\0\1", b"abcd", b"abce", b"bcda", b"\x80\0\0\0", b"\xff" * 4]
keys = st.lists(st.sampled_from(KEYS) | st.binary(min_size=4, max_size=4), max_size=60)


def add(index: Lots, last: int, pairs: bytes) -> None:
    index._file.begin()
    index.add(last, dict.fromkeys(TABLES, pairs))
    index._file.commit()


@given(
    some=st.lists(keys, min_size=1, max_size=9),
    before=st.sampled_from([0, 2**24 - 30, 2**40]),
    width=st.integers(1, 8),
)
def test_every_key_is_found_after_every_position(some: list[list[bytes]], before: int, width: int):
    """Lots of different sizes are merged where they become large, here soon."""
    held: dict[bytes, list[int]] = defaultdict(list)
    with pytest.MonkeyPatch.context() as patch, closing(file_in_memory()) as file:
        patch.setattr(lots, "MERGED_EVENTS", (50, 150))
        patch.setattr(lots, "ROW_PAIRS", width)
        index, last = Lots(file), before
        if before:
            add(index, before, b"")  # many events, which are somewhere else
        for lot in filter(None, some):
            positions = range(last + 1, last + 1 + len(lot))
            for key, position in zip(lot, positions, strict=True):
                held[key].append(position)
            last += len(lot)
            add(index, last, pairs_of(b"".join(lot), positions))

        for found in (index, Lots(file)):
            assert (found.is_sound, found.last, found.strays("touch")) == (True, last, 0)
            for key in {*KEYS, *held}:
                for after in (0, before, *held[key][:3], last):
                    wanted = [position for position in held[key] if position > after]
                    assert found.positions("touch", key, after) == wanted


@given(st.lists(keys, max_size=4))
def test_pairs_are_sorted_by_key_and_then_by_position(some: list[list[bytes]]):
    wanted, parts, last = [], [], 0
    for lot in some:
        positions = range(last + 1, last + 1 + len(lot))
        wanted += [key + at.to_bytes(3, "big") for key, at in zip(lot, positions, strict=True)]
        parts.append(pairs_of(b"".join(lot), positions))
        last += len(lot)

    assert merged(b"".join(parts)) == b"".join(sorted(wanted))


def test_pairs_of_one_key_are_in_one_row():
    many = pairs_of(b"abcd" * 1_000 + b"abce" * 3, range(1, 1_004))

    assert [len(pairs) for _, _, pairs, _ in rows_of(1, many)] == [7_000, 21]


def test_a_million_events_are_a_few_lots():
    with closing(file_in_memory()) as file:
        index = Lots(file)
        for last in range(4_096, 1_000_000, 4_096):
            add(index, last, b"")

        ends = [0, *(last for _, last in index.ends())]

        assert len(ends) < 20
        assert max(last - before for before, last in pairwise(ends)) < 2 * lots.MERGED_EVENTS[-1]


@pytest.mark.parametrize(("events", "in_lots"), [(7, 0), (8, 8), (20, 20)])
def test_closing_leaves_the_next_reader_few_events_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int, in_lots: int
):
    monkeypatch.setattr(index, "CLOSING_LOT_EVENTS", 8)
    path = tmp_path / "ann.meshlog"
    ann = chain(ANN, events, records=["r1", "r2"])
    with closing(SqliteStore(path)) as store:
        logs.add(store, ann)
    with closing(SqliteStore(path)):
        pass  # what was not looked at is left as it is

    with closing(StoreFile(path, read_only=True)) as file:
        assert Lots(file).last == in_lots
    with closing(SqliteStore(path, read_only=True)) as store:
        assert [arrival.event for arrival in store.touching("r1")] == ann[::2]
        assert all(store.get(event.id) for event in ann)


def file_in_memory() -> StoreFile:
    return StoreFile(MEMORY, read_only=False)
