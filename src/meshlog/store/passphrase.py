"""Passphrases: which files want one, and where it comes from. docs/adr/0015.

Ten places open stores, and all of them mean the same passphrase: so the process says once how
to come by it. Without a word it is read from the file that ``$MESHLOG_PASSPHRASE_FILE`` names.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from meshlog.errors import StoreError

VARIABLE = "MESHLOG_PASSPHRASE_FILE"

SIZE_MAX = 1_024
"""Bytes of a passphrase. A choice."""

SALT_MAGIC = b"meshlog\x01"
"""First half of an encrypted store's salt, which SQLCipher keeps in its first 16 bytes: by this
a store is known for one without its passphrase. The other half is 64 random bits."""

_asked: list[Callable[[str], str]] = []


def provide(ask: Callable[[str], str]) -> None:
    """Say how this process comes by passphrases: ``ask(path)`` returns that of a file."""
    _asked[:] = [ask]


def is_encrypted(path: str | Path) -> bool:
    """Say whether a file is an encrypted store. Never raises."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(SALT_MAGIC)) == SALT_MAGIC
    except OSError:
        return False


def passphrase_for(path: str | Path) -> str:
    """Return the passphrase of a file.

    Raises:
        StoreError: Nobody says it, or what is said cannot be one.
    """
    if _asked:
        return checked(_asked[0](str(path)))
    named = os.environ.get(VARIABLE)
    if not named:
        raise StoreError(f"{path} is encrypted: name a file with its passphrase in ${VARIABLE}")
    return read_passphrase(named)


def read_passphrase(path: str | Path) -> str:
    """Return the passphrase in a file: its first line.

    Raises:
        StoreError: The file cannot be read, or holds none.
    """
    try:
        with Path(path).expanduser().open("rb") as file:
            line = file.read(SIZE_MAX + 2).split(b"\n")[0].rstrip(b"\r")
        return checked(line.decode())
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): name another file") from error
    except UnicodeDecodeError as error:
        raise StoreError(f"{path} holds no text: a passphrase is its first line") from error


def checked(passphrase: str) -> str:
    """Return a passphrase as it is used, in Unicode's composed form (NFC).

    Raises:
        StoreError: Empty, too long, or with a control character.
    """
    text = unicodedata.normalize("NFC", passphrase)
    if not text or len(text.encode(errors="replace")) > SIZE_MAX or not text.isprintable():
        raise StoreError(f"a passphrase is one line of 1 to {SIZE_MAX} bytes")
    return text
