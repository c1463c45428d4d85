"""New keys for a device: the file beside the old identity, until the store is theirs.

Order: ``prepare`` makes the new identity durable as ``.next``; the store hands the seat over in
one transaction; ``finish`` puts the new identity in its place and keeps the old one as ``.old``.
A crash at any point leaves a device that opens: ``finish`` is called at every opening.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from meshlog.core.identity import Identity
from meshlog.errors import IdentityError
from meshlog.store.identity_file import load_identity, save_identity


def prepare(path: Path, heir: Identity) -> None:
    """Make the new identity durable beside the old one.

    Raises:
        IdentityError: The disk refused.
    """
    save_identity(_next(path), heir.private)


def finish(path: Path, author: bytes | None) -> None:
    """End a rotation whose store is handed over; forget one that never came so far.

    Args:
        path: The identity file.
        author: Whose the store is.

    Raises:
        IdentityError: The disk refused, or the new identity is damaged and the store is its.
    """
    if not _next(path).exists():
        return
    current = load_identity(path)
    if current is not None and Identity(current).author == author:
        _forget(_next(path))
        return
    private = load_identity(_next(path))
    if private is None or Identity(private).author != author:
        return  # the store is neither's: opening it says so
    if current is not None:
        save_identity(path.with_name(f"{path.name}.old"), current)
    save_identity(path, private)
    _forget(_next(path))


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _forget(path: Path) -> None:
    try:
        for suffix in ("", ".sum", ".bak"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).unlink()
    except OSError as error:
        raise IdentityError(f"{path} cannot be removed ({error.strerror})") from error
