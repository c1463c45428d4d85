"""The identity file: 64 private bytes as ``rnid`` writes them, a checksum and a copy beside.

Whoever loses it is a new author, and whoever has it is the old one: so it is written whole
or not at all, readable by its owner alone, and damage is an error, never a new identity.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from meshlog.core.identity import KEYS_SIZE
from meshlog.errors import IdentityError
from meshlog.store.passphrase import passphrase_for
from meshlog.store.sealed_identity import is_sealed, open_identity, seal_identity

MODE = 0o600
_READ_SIZE_MAX = 1_024


def save_identity(path: str | Path, private: bytes, passphrase: str | None = None) -> None:
    """Write an identity, its checksum (``.sum``) and a copy (``.bak``), durably.

    A crash leaves the old identity or the new one, each of which loads.

    Args:
        path: The file; its folder must exist. An identity in it is replaced.
        private: 64 bytes, X25519 ‖ Ed25519.
        passphrase: Under which it is kept; None leaves it as ``rnid`` writes it.

    Raises:
        IdentityError: Not 64 bytes, or the disk refused.
    """
    if len(private) != KEYS_SIZE:
        raise IdentityError(f"an identity is {KEYS_SIZE} bytes, this is {len(private)}")
    path = Path(path)
    try:
        for old in (_beside(path, "bak"), _beside(path, "sum")):  # they speak of the old file
            old.unlink(missing_ok=True)
            _sync_folder(path)
        content = private if passphrase is None else seal_identity(private, passphrase)
        _write_whole(path, content)
        _write_witnesses(path, content)
    except OSError as error:
        reason = f"{path} cannot be written ({error.strerror}): check the disk"
        raise IdentityError(reason) from error


def load_identity(path: str | Path) -> bytes | None:
    """Return the 64 private bytes of an identity file, or None where there is none.

    Of a sealed one the passphrase is asked for as ``store.passphrase`` says.

    A file without a checksum (``rnid`` wrote it) is taken as it is and gets one.

    Raises:
        IdentityError: Torn, flipped, lost while its copy is still there, or unreadable. The
            message says what to do; nothing was written.
    """
    path = Path(path)
    try:
        private = _read(path)
        witness, copy = _read(_beside(path, "sum")), _read(_beside(path, "bak"))
        if private is None and copy is None:
            return None
        trouble = _trouble(path, private, witness, copy)
        if trouble:
            raise IdentityError(trouble)
        assert private is not None, "a missing file is trouble"
        if witness is None or copy is None:
            _write_witnesses(path, private)
    except OSError as error:
        reason = f"{path} cannot be read ({error.strerror}): check who owns it"
        raise IdentityError(reason) from error
    if is_sealed(private):
        try:
            return open_identity(private, passphrase_for(path))
        except IdentityError as error:
            raise IdentityError(f"{path}: {error}") from error
    return private


def is_whole(data: bytes) -> bool:
    """Say whether bytes have the shape of an identity, plain or sealed."""
    return len(data) == KEYS_SIZE or is_sealed(data)


def checksum(private: bytes) -> bytes:
    """Return what stands in the ``.sum`` file: hex BLAKE2b-256 and a newline."""
    return hashlib.blake2b(private, digest_size=32).hexdigest().encode() + b"\n"


def _trouble(path: Path, private: bytes | None, witness: bytes | None, copy: bytes | None) -> str:
    """Return what is wrong and what to do about it, empty where nothing is."""
    if private is not None and is_whole(private) and witness in (None, checksum(private)):
        return ""
    if copy is not None and is_whole(copy):
        if copy == private:
            return f"{path}.sum does not match {path}, whose copy does: delete {path}.sum"
        if witness in (None, checksum(copy)):
            what = "missing" if private is None else "damaged"
            return f"{path} is {what}: restore it with `cp {path}.bak {path}`"
    return f"{path} is damaged, and so is what stands beside it: restore it from a copy of yours"


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}.{suffix}")


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(_READ_SIZE_MAX)
    except FileNotFoundError:
        return None


def _write_witnesses(path: Path, private: bytes) -> None:
    _write_whole(_beside(path, "sum"), checksum(private))
    _write_whole(_beside(path, "bak"), private)


def _write_whole(path: Path, content: bytes) -> None:
    """Replace a file by ``content``, or leave it as it was."""
    temporary = _beside(path, "tmp")
    temporary.unlink(missing_ok=True)  # of a crash; opened anew for the sake of its mode
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    fd = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
