"""A file that appears whole and durable, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from meshlog.errors import InputError
from meshlog.store.file import sync_folder

MODE = 0o600
"""Only its owner reads it: what leaves a device is as secret as what is on it."""


def temporary_beside(path: Path) -> Path:
    """Return the name under which ``path`` is made: the same folder, so that it can be renamed."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Yield an empty file of mode 0600 that replaces ``path`` when the block ends without error.

    Raises:
        InputError: ``path`` is a folder, or stands in none.
        OSError: The disk refused; what stood at ``path`` is as it was.
    """
    check_target(path)
    temporary = temporary_beside(path)
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE))
        yield temporary
        with temporary.open("rb+") as made:
            os.fsync(made.fileno())
        temporary.replace(path)
        sync_folder(path)
    except OSError as error:
        if error.filename is None or Path(error.filename) == temporary:
            error.filename = str(path)  # the name that the person gave
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write that is at ``path`` when the block ends; see ``made_whole``."""
    with made_whole(path) as temporary, temporary.open("wb") as out:
        yield out


def check_target(path: Path) -> None:
    """Refuse a place where no file can be.

    Raises:
        InputError: It is a folder, or its folder does not exist; or it is ``-``, by which people
            mean standard output, where nothing can be put back.
    """
    if str(path) == "-":
        raise InputError("this is written to a file, not to standard output: name one")
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file in it")
    if not path.absolute().parent.is_dir():
        raise InputError(f"{path.parent} is not a folder: make it first, or mount the stick")
