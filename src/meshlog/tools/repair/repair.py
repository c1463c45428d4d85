"""Repair: a damaged store is read to the last sound event, and written anew beside itself.

The old file stays under ``.damaged``, the new one goes on as a restored store does: as a new
life of the device. A crash at any moment leaves the old store or the new one in its place.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshlog.core.event import DatasetId, EventId
from meshlog.core.identity import Identity
from meshlog.errors import InputError, StoreError
from meshlog.replica import Replica, seat
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore
from meshlog.store.file import sync_folder
from meshlog.store.instance import NOTE_SUFFIX, SUFFIX
from meshlog.store.lock import ProcessLock
from meshlog.store.passphrase import is_encrypted
from meshlog.sync.holdings import Verdict
from meshlog.tools.bundle.exporting import carry_feed, in_order
from meshlog.tools.fsck.fsck import fsck
from meshlog.tools.repair.salvage import Salvage
from meshlog.tools.repair.shards import Shards
from meshlog.tools.repair.sieve import Sieve
from meshlog.tools.taking import Ingest, Intake, NameOf, Taken

PASSES_MAX = 4
_PLACEHOLDER_LIFE = 2**32 - 1
"""Named while the old feeds come in: none of them is this life's, so none begins another.
Nothing is ever written in it; 0 is the genesis' own."""


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What was read from a store's pages, and what became of it."""

    events: int
    """Events that are in the store now and were not before."""
    lost: int
    """Events that were there and cannot be read."""
    lost_places: tuple[str, ...]
    """The first 100, by feed and number."""
    waiting: int
    """Runs of sound events that follow a lost one: taken once that has come."""
    unsigned: int
    """Sound events of others whose signature is lost: they have them still."""
    unsigned_places: tuple[str, ...]
    """The first 100 runs of these, by feed and numbers."""
    refused: int
    kept_as: str
    """Where the old file is; empty where none was replaced."""


def repair(
    path: Path, identity: Identity, now_ms: int, progress: Callable[[int, int], None]
) -> RepairReport:
    """Write a damaged store anew from all in it that holds. Nobody may have it open.

    Args:
        path: The store.
        identity: Its own.
        now_ms: Wall time.
        progress: Told what was read; how much there is in all is not known.

    Raises:
        StoreBusyError: A process works with the store.
        StoreError: The disk refused, or the seat in the dataset is what is damaged; the store
            is as it was.
    """
    if is_encrypted(path):
        raise StoreError(
            f"{path} is encrypted, and cannot be read around its damage: put a backup in its"
            " place, or join again in a new store, and fill it with `fsck --repair-from`"
        )
    lock = ProcessLock(str(path))
    new = path.with_name(f"{path.name}.repaired")
    try:
        _remove(new)
        with _sifted(path, progress) as sieve:
            shards = sieve.shards
            dataset = _dataset(shards, path)
            salvage = Salvage(sieve, dataset, identity)
            salvage.sort()
            store = SqliteStore(new)
            try:
                _take_seat(shards, store, identity, path)
                intake = _fill(store, salvage, identity, now_ms, progress)
                _check(store, dataset, path)
            finally:
                store.close()
        kept_as = _swap(path, new)
    finally:
        _remove(new)
        lock.release()
    return _report(salvage, intake, intake.events, str(kept_as))


def take_from(
    path: Path,
    dataset: DatasetId,
    ingest: Ingest,
    name_of: NameOf,
    folder: Path,
    progress: Callable[[int, int], None],
) -> RepairReport:
    """Bring in what another store, damaged or not, has and ours lacks.

    Args:
        path: A backup, another device's store, or what a repair left as ``.damaged``; read only.
        dataset: Ours.
        ingest: Where the segments go.
        name_of: For the report.
        folder: Where there is room for as much again.
        progress: As for ``repair``.

    Raises:
        InputError: It is a store of another dataset, or none at all.
        StoreError: The disk refused; or it is encrypted, and damaged, or of an older meshlog.
    """
    if is_encrypted(path):
        return _take_from_encrypted(path, dataset, ingest, name_of, progress)
    with _sifted(path, progress, folder) as sieve:
        shards = sieve.shards
        if not shards.count():
            raise InputError(f"nothing of a store can be read in {path}: name another file")
        if dataset not in shards.meta("dataset") and shards.meta("dataset"):
            raise InputError(f"{path} is a store of another dataset: nothing of it was taken")
        salvage = Salvage(sieve, dataset, None)
        salvage.sort()
        intake, events = _pour(salvage, ingest, name_of, progress)
    return _report(salvage, intake, events, "")


def _take_from_encrypted(
    path: Path,
    dataset: DatasetId,
    ingest: Ingest,
    name_of: NameOf,
    progress: Callable[[int, int], None],
) -> RepairReport:
    """Bring in what a store holds that no page of is readable by itself, as a bundle would."""
    intake, damaged, is_reading = Intake(ingest, name_of), 0, True

    def put(segment: bytes) -> None:
        nonlocal is_reading
        is_reading = False
        intake.add("", segment)
        progress(intake.events, 0)
        is_reading = True

    with closing(SqliteStore(path, read_only=True)) as store:
        if store.get_meta("dataset") != dataset:
            raise InputError(f"{path} is a store of another dataset: nothing of it was taken")
        ledger = Ledger.load(store, dataset)
        for feed in in_order(ledger):
            try:
                carry_feed(store, ledger, feed, lambda *_: 0, put, at_once_bytes=1)
            except StoreError:
                if not is_reading:  # it is the disk of ours that refused
                    raise
                damaged += 1
        intake.flush()
    if damaged:
        raise StoreError(
            f"{path} is encrypted and damaged: of {damaged} of {len(ledger.frontier)} feeds"
            f" not all could be read; {intake.events:,} new events were taken"
        )
    return RepairReport(
        intake.events, 0, (), intake.verdicts[Verdict.GAP], 0, (), intake.refused, ""
    )


@contextmanager
def _sifted(
    path: Path, progress: Callable[[int, int], None], folder: Path | None = None
) -> Iterator[Sieve]:
    try:
        sieve = Sieve(path, folder or path.absolute().parent)
        sieve.sift(lambda rows: progress(rows, 0))
    except sqlite3.Error as error:
        raise StoreError(f"there is no room to sort {path} out ({error}): free some") from error
    try:
        yield sieve
    finally:
        sieve.close()


def _report(salvage: Salvage, intake: Intake, events: int, kept_as: str) -> RepairReport:
    return RepairReport(
        events,
        salvage.lost,
        tuple(salvage.lost_places),
        intake.verdicts[Verdict.GAP],
        salvage.unsigned,
        tuple(salvage.unsigned_places),
        intake.refused,
        kept_as,
    )


# ── the new store ──


def _dataset(shards: Shards, path: Path) -> DatasetId:
    for value in shards.meta("dataset"):
        if len(value) == len(EventId(bytes(32))):
            return DatasetId(EventId(value))
    raise StoreError(_no_seat(path))


def _no_seat(path: Path) -> str:
    return (
        f"{path} does not say any more which dataset it belongs to, or its key: join again in"
        f" a new store, then run `meshlog fsck --repair-from {path}` on that"
    )


def _take_seat(shards: Shards, store: SqliteStore, identity: Identity, path: Path) -> None:
    """Give the new store the seat of the old one."""
    found = {name: shards.meta(name) for name in seat.FIELDS}
    if not all(found.values()):
        raise StoreError(_no_seat(path))
    with store.transaction():
        for name, values in found.items():
            store.set_meta(name, values[0])
        for later in shards.meta("keys")[:1]:  # a cache: the log and our identity give it, too
            store.set_meta("keys", later)
    seat.load(store, identity)


def _fill(
    store: SqliteStore,
    salvage: Salvage,
    identity: Identity,
    now_ms: int,
    progress: Callable[[int, int], None],
) -> Intake:
    with store.transaction():
        store.begin_life(_PLACEHOLDER_LIFE)
        store.set_meta("incarnation", _PLACEHOLDER_LIFE.to_bytes(4, "big"))
    replica = Replica(store, identity, now_ms, random.SystemRandom())

    def ingest(segments: Sequence[bytes]) -> Taken:
        taken = replica.ingest(segments, now_ms)
        if replica.trouble:
            raise StoreError(replica.trouble)
        return Taken(taken.events, taken.verdicts)

    intake, events = _pour(salvage, ingest, lambda author: author.hex()[:8], progress)
    intake.events = events
    _end_life(store, salvage, identity)
    return intake


def _end_life(store: SqliteStore, salvage: Salvage, identity: Identity) -> None:
    """Leave the store as a restored one: whoever opens it next sees that its life is over."""
    lives = {feed.incarnation for feed in salvage.own_heads}
    old = [int.from_bytes(value, "big") for value in salvage.shards.meta("incarnation")]
    named = [life for life in old if life in lives]
    latest = max(
        (arrival.event for arrival in store.scan() if arrival.event.author == identity.author),
        key=lambda event: event.stamp,
        default=None,
    )
    life = named[0] if named else (latest.feed.incarnation if latest else 0)
    own = latest.stamp.packed().to_bytes(8, "big") if latest else b""
    known = store.get_meta("clock") or b""
    with store.transaction():
        store.set_meta("clock", max(known, own))
        store.set_meta("incarnation", life.to_bytes(4, "big"))
        if store.get_meta("horizon") is None:  # nothing could be taken, and so none was needed
            store.set_meta("horizon", bytes(8))


def _pour(
    salvage: Salvage, ingest: Ingest, name_of: NameOf, progress: Callable[[int, int], None]
) -> tuple[Intake, int]:
    """Hand all segments over, again where some had to wait; return the last pass and all events."""
    intake, passes = _pass(salvage, ingest, name_of, progress), 1
    events = intake.events
    while intake.verdicts[Verdict.GAP] and intake.events and passes < PASSES_MAX:
        intake = _pass(salvage, ingest, name_of, progress)
        events += intake.events
        passes += 1
    return intake, events


def _pass(
    salvage: Salvage, ingest: Ingest, name_of: NameOf, progress: Callable[[int, int], None]
) -> Intake:
    intake = Intake(ingest, name_of)
    for segment in salvage.segments():
        intake.add("", segment)
        progress(intake.events, salvage.events)
    intake.flush()
    return intake


def _check(store: SqliteStore, dataset: DatasetId, path: Path) -> None:
    report = fsck(store, dataset)
    if not report.is_clean:
        raise StoreError(
            f"what was saved of {path} does not hold ({report.problems[0]}): it is as it was;"
            " join again in a new store and use --repair-from there"
        )


# ── the files ──


def _swap(path: Path, new: Path) -> Path:
    """Put the new store in place of the old, which stays beside it; return where.

    The old file's WAL is copied first and then folded in or dropped, because SQLite would
    play it into whatever stands under the name. Up to the rename the old store is in place,
    and whatever of it SQLite can open.
    """
    kept = _free_name(path)
    try:
        os.link(path, kept)
    except OSError:  # no links on this file system
        shutil.copyfile(path, kept)
    wal, kept_wal = (one.with_name(f"{one.name}-wal") for one in (path, kept))
    if wal.exists() and wal.stat().st_size:
        shutil.copyfile(wal, kept_wal)
        _sync(kept_wal)
    _sync(kept)
    sync_folder(path)
    _fold_wal(path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    sync_folder(path)
    new.replace(path)
    for suffix in (SUFFIX, NOTE_SUFFIX):  # the guard of the old file
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    sync_folder(path)
    return kept


def _fold_wal(path: Path) -> None:
    """Write the WAL into the old file where SQLite still can: nobody can use it where not.

    Of a damaged schema SQLite complains in its own damaged words, which may be no text.
    """
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()


def _free_name(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.damaged")
    if kept.exists():
        kept = path.with_name(f"{path.name}.{int(time.time())}.damaged")
    return kept


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _remove(new: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock", SUFFIX, NOTE_SUFFIX):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
