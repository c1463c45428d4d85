"""A store with damage anywhere is written anew from all in it that holds; nothing is made up."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.core.identity import Identity
from meshlog.errors import MeshlogError, StoreBusyError, StoreError
from meshlog.replica import Replica
from meshlog.store import SqliteStore, index
from meshlog.store.pages import Found, Pages
from meshlog.tools.fsck.fsck import fsck
from meshlog.tools.repair import repair as repairs
from meshlog.tools.repair.repair import RepairReport, repair, take_from
from meshlog.tools.repair.sieve import Sieve
from meshlog.tools.taking import Taken
from tests.tools.camp import T0_MS, Device

NOW_MS = T0_MS + 10_000_000
PAGE = 4096


def quiet(_done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Identity]:
    """A store of base's: what it and ann wrote, closed; its indices have some rows, too."""
    path = tmp_path_factory.mktemp("template") / "base.db"
    base = Device("base", 1, path)
    ann = Device("ann", 2, at=base)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "LOT_EVENTS", 8)
        for number in range(40):
            base.write("record.put", record_id=f"W-{number}", form="well", fields={"depth": number})
            if number % 8 == 7:
                base.give(ann)
                ann.write("note.add", record_id=f"W-{number}", text="seen" * 40)
                ann.write("field.set", record_id=f"W-{number}", field="depth", value=-number)
                ann.give(base)
    base.write("note.add", record_id="W-0", text="x" * 9_000)
    base.write("note.add", record_id="W-0", text="the last word")
    base.store.close()
    return path, base.replica.identity


@pytest.fixture
def damaged(template: tuple[Path, Identity], tmp_path: Path) -> Path:
    return Path(shutil.copyfile(template[0], tmp_path / "base.db"))


def ids(path: Path) -> set[bytes]:
    store = SqliteStore(path, read_only=True)
    try:
        return {arrival.event.id for arrival in store.scan()}
    finally:
        store.close()


def clean(path: Path) -> bool:
    store = SqliteStore(path, read_only=True)
    try:
        return fsck(store, store.get_meta("dataset") or b"").is_clean  # type: ignore[arg-type]
    finally:
        store.close()


def mend(path: Path, identity: Identity) -> RepairReport:
    return repair(path, identity, NOW_MS, quiet)


def test_a_sound_store_comes_out_with_every_event(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    before = ids(template[0])

    report = mend(damaged, template[1])

    beside = sorted(path.name for path in damaged.parent.iterdir())
    assert beside == ["base.db", "base.db.damaged", "base.db.lock"]
    assert (report.lost, report.waiting, report.refused) == (0, 0, 0)
    assert ids(damaged) == before
    assert ids(Path(report.kept_as)) == before


def test_the_repaired_store_goes_on_as_a_new_life_and_keeps_seat_and_view(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    before = SqliteStore(damaged, read_only=True)
    key, life = before.get_meta("key"), before.get_meta("incarnation")
    before.close()

    mend(damaged, template[1])
    store = SqliteStore(damaged)
    replica = Replica(store, template[1], NOW_MS, random.Random(3))

    assert (replica.seat.key, replica.seat.name) == (key, "base")
    assert store.get_meta("incarnation") != life
    assert len(replica.view.snapshot()) == 40
    replica.append("note.add", {"record_id": "W-1", "text": "after"}, NOW_MS)
    assert fsck(store, replica.dataset).is_clean
    store.close()


def bodies_of_two(path: Path) -> bytes:
    """Return what the file has of the bodies of a run of two events: both are lost together."""
    sql = "SELECT bodies FROM run WHERE length(ids) = 64 ORDER BY position DESC LIMIT 1"
    with closing(sqlite3.connect(path)) as connection:
        (bodies,) = connection.execute(sql).fetchone()
    assert b"seenseen" not in bodies, "they are compressed"
    return bytes(bodies)


def flips(size: int, count: int, seed: int) -> list[int]:
    luck = random.Random(seed)
    return [luck.randrange(size * 8) for _ in range(count)]


def flipped(whole: bytes, bit: int, path: Path) -> bytes:
    bad = bytearray(whole)
    bad[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bad)
    return bytes(bad)


def test_no_sound_row_is_taken_for_a_damaged_one(
    template: tuple[Path, Identity], tmp_path: Path
) -> None:
    """Damaged ones are looked at bit by bit, and not many: an index has a row per 141 events."""

    class Told(Sieve):
        def _mend(self, doubtful: Iterable[Found]) -> None:
            self.doubtful = [row.values for row in doubtful]

    with closing(Told(template[0], tmp_path)) as found:
        found.sift(lambda _: None)

        assert found.doubtful == []


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_one_flipped_bit_anywhere_costs_nothing(
    template: tuple[Path, Identity], tmp_path: Path, seed: int
) -> None:
    """Checksums, hashes and signatures tell which bit it was."""
    whole = template[0].read_bytes()
    before = ids(template[0])
    for number, bit in enumerate(flips(len(whole), 60, seed)):
        path = tmp_path / f"{number}.db"
        flipped(whole, bit, path)

        report = mend(path, template[1])

        assert (report.lost, report.waiting, report.unsigned) == (0, 0, 0), (seed, bit)
        assert ids(path) == before, (seed, bit)
        assert clean(path), (seed, bit)


@pytest.mark.parametrize("bit", [0, 77, 300, -1])
def test_a_flipped_bit_in_compressed_bodies_costs_nothing(
    template: tuple[Path, Identity], damaged: Path, bit: int
) -> None:
    whole = damaged.read_bytes()
    bodies = bodies_of_two(damaged)
    flipped(whole, 8 * whole.index(bodies) + bit % (8 * len(bodies)), damaged)

    report = mend(damaged, template[1])

    assert (report.lost, report.waiting) == (0, 0)
    assert ids(damaged) == ids(template[0])


@pytest.mark.prove
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(4))
def test_a_flipped_bit_where_a_row_begins_costs_nothing(
    template: tuple[Path, Identity], tmp_path: Path, part: int
) -> None:
    """There stand its size, its number, its types: without them SQLite reads nothing of it."""
    whole = template[0].read_bytes()
    before = ids(template[0])
    pages = Pages(template[0])
    cells = sorted({row.place for row in pages.rows() if row.is_counted and row.fits})
    pages.close()
    luck = random.Random(part)
    for number, place in enumerate(cells[part::4]):
        path = tmp_path / f"{number}.db"
        bit = 8 * (place.offset + place.at) + luck.randrange(8 * 40)
        if bit >= 8 * len(whole):
            continue
        flipped(whole, bit, path)

        report = mend(path, template[1])

        assert (report.lost, report.waiting, report.unsigned) == (0, 0, 0), bit
        assert ids(path) == before, bit
        assert clean(path), bit


def runs(path: Path) -> list[Found]:
    """Return the rows of runs in a file, in the order of the log."""
    pages = Pages(path)
    found = [row for row in pages.rows() if len(row.values) == 9 and type(row.values[7]) is bytes]
    pages.close()
    return sorted(found, key=lambda row: row.rowid or 0)


@pytest.mark.parametrize("bit", [0, 2, 5])
def test_a_row_that_a_flipped_bit_led_to_other_pages_is_led_back(
    template: tuple[Path, Identity], damaged: Path, bit: int
) -> None:
    long = next(row for row in runs(damaged) if row.overflows)
    whole = damaged.read_bytes()
    page = whole[long.place.offset : long.place.offset + PAGE]
    at = page.rindex(b"x" * 100) + 100  # of the number of the page on which the note goes on
    assert 1 < int.from_bytes(page[at : at + 4], "big") <= len(whole) // PAGE
    flipped(whole, 8 * (long.place.offset + at + 3) + bit, damaged)

    report = mend(damaged, template[1])

    assert (report.lost, report.waiting) == (0, 0)
    assert ids(damaged) == ids(template[0])


def test_a_run_that_is_lost_at_the_end_of_the_log_is_named(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    last = runs(damaged)[-1]
    whole = damaged.read_bytes()
    at = last.place.offset + last.place.at
    damaged.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])

    report = mend(damaged, template[1])

    assert report.lost == len(ids(template[0])) - len(ids(damaged)) > 0
    assert all("of the data feed" in place for place in report.lost_places)


@pytest.mark.parametrize("bit", [0, 3, 6])
def test_a_flipped_bit_in_how_long_the_ids_of_a_run_are_loses_none_and_makes_none_up(
    tmp_path: Path, bit: int
) -> None:
    """There are more ids then, and nothing stands behind the run: how long is it?"""
    path = tmp_path / "base.db"
    base = Device("base", 1, path)
    ann = Device("ann", 2, at=base)
    for number in range(12):
        ann.write("record.put", record_id=f"W-{number}", form="well", fields={"depth": number})
    ann.give(base)
    base.store.close()
    before, last = ids(path), runs(path)[-1]
    whole = path.read_bytes()
    types = varint_of_blob(12 * 32)
    at = whole.index(types, last.place.offset + last.place.at)
    flipped(whole, 8 * (at + (bit == 6)) + bit, path)

    report = mend(path, base.replica.identity)

    assert (report.lost, report.waiting) == (0, 0)
    assert ids(path) == before


def varint_of_blob(size: int) -> bytes:
    """Return SQLite's serial type of a blob, of two bytes (its file format, 2.1)."""
    serial = 2 * size + 12
    return bytes((0x80 | serial >> 7, serial & 0x7F))


@pytest.mark.parametrize("seed", range(3))
def test_a_zeroed_page_costs_what_stood_on_it(
    template: tuple[Path, Identity], tmp_path: Path, seed: int
) -> None:
    whole = template[0].read_bytes()
    before = ids(template[0])
    page = random.Random(seed).randrange(1, len(whole) // PAGE)
    path = tmp_path / "torn.db"
    path.write_bytes(whole[: page * PAGE] + bytes(PAGE) + whole[(page + 1) * PAGE :])

    try:
        report = mend(path, template[1])
    except StoreError:  # the page of the schema or of the seat: said in a test of its own
        assert path.read_bytes()[page * PAGE : (page + 1) * PAGE] == bytes(PAGE)
        return
    assert ids(path) <= before
    assert clean(path)
    if ids(path) != before:
        assert report.lost + report.waiting + report.unsigned > 0


def test_what_was_lost_comes_from_a_backup(
    template: tuple[Path, Identity], damaged: Path, tmp_path: Path
) -> None:
    before = ids(damaged)
    data = damaged.read_bytes()
    at = data.index(bodies_of_two(damaged)) + 20
    damaged.write_bytes(data[:at] + b"LOST" + data[at + 4 :])

    report = mend(damaged, template[1])
    assert report.lost == 2
    assert "of the data feed" in report.lost_places[0]
    brought = bring(damaged, template[1], template[0])

    assert before <= ids(damaged)
    assert brought.events >= 1
    assert clean(damaged)


def bring(path: Path, identity: Identity, source: Path) -> RepairReport:
    store = SqliteStore(path)
    replica = Replica(store, identity, NOW_MS, random.Random(4))

    def ingest(segments: Sequence[bytes]) -> Taken:
        taken = replica.ingest(segments, NOW_MS)
        return Taken(taken.events, taken.verdicts)

    try:
        return take_from(source, replica.dataset, ingest, bytes.hex, path.parent, quiet)
    finally:
        store.close()


def test_events_after_a_lost_one_wait_in_the_damaged_file_until_it_has_come(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    """First the lost event from somebody who has it, then the rest from the old file."""
    before = ids(damaged)
    data = damaged.read_bytes()
    at = data.index(b"x" * 2_000)
    damaged.write_bytes(data[:at] + b"lost" + data[at + 4 :])

    report = mend(damaged, template[1])
    assert len(before - ids(damaged)) == 2
    assert (report.lost, report.waiting) == (1, 1)


def test_sound_events_whose_signature_is_lost_are_named(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    """Only their author could sign them again; nobody else takes them as they are."""
    store = SqliteStore(damaged, read_only=True)
    others = [arrival.event for arrival in store.scan()]
    others = [event for event in others if event.author != template[1].author and event.signature]
    store.close()
    last = others[-1]
    data = damaged.read_bytes()
    at = data.index(last.signature)
    damaged.write_bytes(data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :])
    before = ids(template[0])

    report = mend(damaged, template[1])

    missing = before - ids(damaged)
    assert last.id in missing
    assert report.unsigned == len(missing)
    [place] = report.unsigned_places
    assert place.endswith(
        f"of the data feed {last.feed.incarnation:08x} of <{last.author.hex()[:8]}>"
    )
    assert str(last.seq) in place


def test_a_run_whose_checksum_is_lost_keeps_its_signature(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    """It stands in the run's row, of which everything else is told by hashes."""
    before = ids(damaged)
    with closing(sqlite3.connect(damaged)) as connection, connection:
        connection.execute(
            "UPDATE run SET crc = 1 WHERE position ="
            " (SELECT max(position) FROM run JOIN feed USING (feed) WHERE author <> ?)",
            (template[1].author,),
        )

    report = mend(damaged, template[1])

    assert report.unsigned == 0
    assert ids(damaged) == before


def test_a_schema_that_is_no_text_any_more_stops_no_repair(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    """SQLite names what is malformed in the bytes that it found."""
    data = damaged.read_bytes()
    at = data.index(b"CREATE TABLE")
    damaged.write_bytes(data[:at] + b"CR\xd3ATE" + data[at + 6 :])
    before = ids(template[0])

    mend(damaged, template[1])

    assert ids(damaged) == before


def test_a_store_that_has_forgotten_its_seat_says_what_to_do(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    connection = sqlite3.connect(damaged)
    connection.execute("DELETE FROM meta")
    connection.execute("PRAGMA secure_delete = ON")
    connection.commit()
    connection.execute("VACUUM")
    connection.close()
    before = damaged.read_bytes()

    with pytest.raises(StoreError, match="join again in a new store"):
        mend(damaged, template[1])

    assert damaged.read_bytes() == before


def test_nothing_is_repaired_while_somebody_works_with_it(
    template: tuple[Path, Identity], damaged: Path
) -> None:
    store = SqliteStore(damaged)

    with pytest.raises(StoreBusyError):
        mend(damaged, template[1])

    store.close()


@pytest.mark.parametrize("step", ["link", "fold", "unlink", "replace"])
def test_interrupted_at_any_step_the_old_store_or_the_new_is_there(
    template: tuple[Path, Identity],
    damaged: Path,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = ids(damaged)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    target: tuple[object, str] = {
        "link": (os, "link"),
        "fold": (repairs, "_fold_wal"),
        "unlink": (repairs, "sync_folder"),
        "replace": (Path, "replace"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(*target, crash)
        with pytest.raises(KeyboardInterrupt):
            mend(damaged, template[1])

    assert ids(damaged) == before
    mend(damaged, template[1])
    assert ids(damaged) == before


def test_what_no_store_is_gives_one_sentence(
    tmp_path: Path, template: tuple[Path, Identity]
) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(random.Random(1).randbytes(20_000))
    store_path = Path(shutil.copyfile(template[0], tmp_path / "base.db"))

    with pytest.raises(MeshlogError, match="nothing of a store"):
        bring(store_path, template[1], photo)


def test_a_store_of_another_dataset_is_refused(
    tmp_path: Path, template: tuple[Path, Identity]
) -> None:
    other = Device("other", 9, tmp_path / "other.db")
    other.store.close()
    store_path = Path(shutil.copyfile(template[0], tmp_path / "base.db"))

    with pytest.raises(MeshlogError, match="another dataset"):
        bring(store_path, template[1], tmp_path / "other.db")
