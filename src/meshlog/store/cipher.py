"""SQLCipher: connections to encrypted stores. The only file that imports ``sqlcipher3``.

Imported when the first encrypted store is opened; it is the extra ``meshlog[encrypted]``.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
from types import ModuleType
from typing import TYPE_CHECKING, cast

from meshlog.errors import StoreError
from meshlog.store.passphrase import SALT_MAGIC

if TYPE_CHECKING:
    from pathlib import Path

SALT_SIZE = 16

WRONG = "the passphrase is wrong, or the file is damaged: nothing was changed"


def driver(path: str | Path) -> ModuleType:
    """Return the module that speaks SQLCipher, as ``sqlite3`` speaks SQLite.

    Raises:
        StoreError: It is not installed.
    """
    try:
        return importlib.import_module("sqlcipher3.dbapi2")
    except ImportError as error:
        raise StoreError(
            f"{path} needs SQLCipher: install it with `pip install 'meshlog[encrypted]'`"
        ) from error


def unlock(connection: sqlite3.Connection, passphrase: str, *, is_new: bool) -> None:
    """Give a connection its key, before anything else is said on it.

    SQLCipher's own: PBKDF2-HMAC-SHA512, 256,000 rounds; AES-256-CBC and HMAC-SHA512 per page.
    Its command-line tool opens the file with the same passphrase.
    """
    connection.execute("PRAGMA cipher_log_level = NONE")  # it would tell standard error
    quoted = passphrase.replace("'", "''")
    connection.execute(f"PRAGMA key = '{quoted}'")
    if is_new:
        salt = SALT_MAGIC + os.urandom(SALT_SIZE - len(SALT_MAGIC))
        connection.execute(f"PRAGMA cipher_salt = \"x'{salt.hex()}'\"")
    connection.execute("PRAGMA temp_store = MEMORY")


def connect(
    path: str | Path, uri: str, passphrase: str, *, timeout_s: float, is_new: bool
) -> sqlite3.Connection:
    """Return an unlocked connection, looked at once.

    Raises:
        StoreError: SQLCipher is missing, or the passphrase is wrong.
    """
    module = driver(path)
    made = module.connect(
        uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
    )
    connection = cast("sqlite3.Connection", made)  # the same methods
    try:
        unlock(connection, passphrase, is_new=is_new)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except module.DatabaseError as error:
        connection.close()
        if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise StoreError(f"{path}: {WRONG}") from error
        raise
    return connection
