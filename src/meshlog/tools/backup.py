"""A backup: the store in one file, looked through before it gets its name."""

from __future__ import annotations

from pathlib import Path

from meshlog.core.event import DatasetId
from meshlog.errors import InputError, StoreError
from meshlog.store import SqliteStore
from meshlog.store.backup import copy_store
from meshlog.store.instance import SUFFIX
from meshlog.store.migrate import check_first_bytes
from meshlog.tools.fsck.fsck import FsckReport, Progress, fsck
from meshlog.tools.wholefile import made_whole


def backup(
    source: Path, target: Path, dataset: DatasetId, *, replace: bool, progress: Progress | None
) -> FsckReport:
    """Write a backup of a store, beside whoever works on it, and check every event in it.

    Args:
        source: The store.
        target: Appears whole and durable, with mode 0600, or not at all.
        dataset: The store's.
        replace: Whether an earlier backup may stand there.
        progress: Told steps of the check done and in all.

    Returns:
        What the check of the copy found; it is clean.

    Raises:
        InputError: Something stands at ``target`` that must not be lost.
        StoreError: The store or the copy does not hold, or the disk refused.
    """
    _check_target(source, target, replace=replace)
    with made_whole(target) as temporary:
        copy_store(source, temporary)
        copy = SqliteStore(temporary, read_only=True)
        try:
            report = fsck(copy, dataset, progress)
        finally:
            copy.close()
        if not report.is_clean:
            raise StoreError(
                f"the copy does not hold ({report.problems[0]}): no backup was written,"
                " run `meshlog fsck` on the store"
            )
    return report


def _check_target(source: Path, target: Path, *, replace: bool) -> None:
    if not target.exists():
        return
    if target.is_dir():
        raise InputError(f"{target} is a folder: name a file in it")
    if target.samefile(source):
        raise InputError(f"{target} is the store itself: name another file")
    if not replace:
        raise InputError(f"{target} is there already: name another file, or add --replace")
    check_first_bytes(target)
    if target.with_name(target.name + SUFFIX).exists():
        raise InputError(f"a device works with {target}, it is no backup: name another file")
