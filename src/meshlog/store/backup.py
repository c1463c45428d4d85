"""A copy of a store in one file, taken beside whoever writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from meshlog.errors import StoreError
from meshlog.store.file import BUSY_WAIT_S
from meshlog.store.migrate import check_first_bytes


def copy_store(source: Path, target: Path) -> None:
    """Write the store in ``source``, as it is at one moment, to ``target``.

    The copy is compact and has no WAL; it takes nothing along of what stands beside the store
    (lock, identity, instance guard). A writer on ``source`` goes on meanwhile.

    Args:
        source: A store.
        target: Empty; its mode and its durability are the caller's matter.

    Raises:
        StoreError: ``source`` is damaged or no store, or the disk refused; ``target`` is
            then worth nothing.
    """
    check_first_bytes(source)
    uri = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_WAIT_S)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise StoreError(
            f"{source} cannot be copied ({error}): run `meshlog fsck`, and check the room on disk"
        ) from error
