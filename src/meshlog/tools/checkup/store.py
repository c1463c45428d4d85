"""The checks that look into the store: schema, holder, guard, and who belongs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from meshlog.core.event import DatasetId, EventId
from meshlog.core.identity import AuthorId
from meshlog.core.roster import label
from meshlog.errors import MeshlogError, StoreUnavailableError
from meshlog.replica.ledger import Ledger, kept_clock
from meshlog.replica.membership import member_count
from meshlog.store import SqliteStore
from meshlog.store.instance import FileGuard
from meshlog.tools.checkup.device import Finding, bad, ok, warn


def check_store(path: Path) -> Iterator[Finding]:
    """Look into the store, beside whoever has it. Reads only the events that say who belongs."""
    if not path.exists():
        advice = "meshlog init NAME makes one, meshlog join INVITE joins one; --data names another"
        yield bad("store", f"{path} does not exist", advice)
        return
    try:
        store = SqliteStore(path, read_only=True)
    except StoreUnavailableError as error:  # whole: what it says is what to do
        what, _, advice = str(error).rpartition(": ")
        yield bad("store", what, advice)
        return
    except MeshlogError as error:
        yield bad("store", str(error), "meshlog fsck --repair")
        return
    try:
        yield from _look(store, path)
    except MeshlogError as error:
        yield bad("store", str(error), "meshlog fsck --repair")
    finally:
        store.close()


def _look(store: SqliteStore, path: Path) -> Iterator[Finding]:
    dataset = store.get_meta("dataset")
    if dataset is None:
        yield bad("store", f"{path} holds no dataset yet", "meshlog init, or meshlog join")
        return
    wal = path.with_name(path.name + "-wal")
    log_bytes = wal.stat().st_size if wal.exists() else 0
    size = (path.stat().st_size + log_bytes) // 1000
    yield ok(
        "store", f"{store.event_count():,} events, {size:,} kB; `meshlog fsck` checks them all"
    )
    yield from _guard(store, path)
    yield from _roster(store, DatasetId(EventId(dataset)))


def _guard(store: SqliteStore, path: Path) -> Iterator[Finding]:
    life = store.get_meta("incarnation")
    mark = FileGuard(path).read()
    if life is None or mark is None or mark.life != int.from_bytes(life, "big"):
        advice = "nothing to do: it goes on as a new life, and nothing is lost"
        yield warn("guard", "this store was copied, restored or repaired", advice)
    elif "-" not in (mark.file, here := FileGuard(path).here()) and mark.file != here:
        advice = "nothing to do, unless the original is in use elsewhere: then stop one of the two"
        yield warn("guard", "this store is a copy of another file", advice)
    else:
        yield ok("guard", "this store is the original")


def _roster(store: SqliteStore, dataset: DatasetId) -> Iterator[Finding]:
    ledger = Ledger.load(store, dataset)
    roster = ledger.roster
    own = AuthorId(store.get_meta("author") or b"")
    if roster.is_open:
        yield warn(
            "members",
            "the open dataset: whoever is in reach may read it and write to it",
            "meshlog init makes a dataset of your own",
        )
    elif not roster.founder:
        advice = "meet a member: meshlog run; or bring in a bundle: meshlog bundle import"
        yield warn("members", "nobody was met yet", advice)
    elif own not in roster.members:
        advice = "ask for a new invite, and join again in a new store"
        yield bad("members", "this device is no member", advice)
    elif gone := _gone(ledger, own):
        yield bad("members", *gone)
    else:
        yield ok("members", f"{member_count(ledger):,}, and this device is one of them")


def _gone(ledger: Ledger, own: AuthorId) -> tuple[str, str] | None:
    """Return why this device is a member no more, and what to do; None where it is one."""
    removals = ledger.decrees.removals.get(own, ())
    heirs = [removal.successor for removal in removals if removal.successor is not None]
    if heirs:
        return (
            f"this device has handed its seat over: it goes on as <{heirs[-1].hex()[:8]}>",
            "use the store and the identity of the new keys; these write nothing that counts",
        )
    if removals:
        by = label(ledger.roster, removals[-1].by)
        return f"this device was revoked by {by}", "ask for a new invite, and join in a new store"
    if why := ledger.decrees.lapsed.get(own):
        return f"what this device writes does not count: {why}", "ask for a new invite"
    return None


def latest_ms(path: Path) -> int:
    """Return the wall time of the latest stamp that the store believes; 0 where unknown."""
    with contextlib.suppress(MeshlogError, OSError):
        store = SqliteStore(path, read_only=True)
        try:
            return kept_clock(store).wall_ms
        finally:
            store.close()
    return 0
