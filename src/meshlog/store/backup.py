"""A copy of a store in one file, taken beside whoever writes to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from meshlog.errors import StoreError
from meshlog.store import cipher
from meshlog.store.file import BUSY_WAIT_S
from meshlog.store.migrate import check_first_bytes
from meshlog.store.passphrase import is_encrypted, passphrase_for


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
    if is_encrypted(source):
        _copy_encrypted(source, uri, target)
        return
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_WAIT_S)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise StoreError(
            f"{source} cannot be copied ({error}): run `meshlog fsck`, and check the room on disk"
        ) from error


def _copy_encrypted(source: Path, uri: str, target: Path) -> None:
    """Copy page by page into a file of the same passphrase, with a salt of its own."""
    passphrase, driver = passphrase_for(source), cipher.driver(source)
    new = f"{target.absolute().as_uri()}?mode=rw"
    try:
        with (
            closing(
                cipher.connect(source, uri, passphrase, timeout_s=BUSY_WAIT_S, is_new=False)
            ) as connection,
            closing(
                cipher.connect(target, new, passphrase, timeout_s=BUSY_WAIT_S, is_new=True)
            ) as copy,
        ):
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
    except driver.Error as error:
        raise StoreError(
            f"{source} cannot be copied ({error}): run `meshlog fsck`, and check the room on disk"
        ) from error
