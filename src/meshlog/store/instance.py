"""The instance guard: a small file beside the store that tells a copy from the original.

It says which life of the device wrote the store last, how many events the store held, and
which file that was. A store that does not bear it out was copied, restored or set back, and
goes on as a new life (docs/adr/0016). Whoever copies the store alone leaves the guard behind.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from meshlog.errors import StoreError

SUFFIX = ".instance"
MODE = 0o600

_SIZE_MAX = 512
"""Within one sector, so that a write in place tears on no disk that keeps its own promise."""

_FORM = "meshlog instance 1\nlife {life:08x}\nevents {events:010d}\nfile {file:>33}\n"
_PATTERN = re.compile(
    rb"(meshlog instance 1\nlife ([0-9a-f]{8})\nevents (\d{10})\nfile +([0-9a-f:-]+)\n)"
    rb"check ([0-9a-f]{32})\n"
)

_UNSTEADY = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "9p"})
"""File systems that make up a file's number anew at every mount: there it proves nothing."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a guard says."""

    life: int
    """Incarnation of the device's own feeds, 32 bits."""
    events: int
    """Events that the store held, at least; a store that holds fewer was set back."""
    file: str
    """Names the store's file on this disk; ``-`` where the file system cannot."""


class Guard(Protocol):
    """Keeps one mark outside of the store: in a file, or, for simulated disks, anywhere."""

    def read(self) -> Mark | None:
        """Return the mark; None where it is missing, torn or damaged."""

    def here(self) -> str:
        """Return the name of the store's file now, as a mark tells it."""

    def bind(self, mark: Mark) -> None:
        """Keep a mark, durably.

        Raises:
            StoreError: The disk refused.
        """

    def note(self, mark: Mark) -> None:
        """Keep a mark soon; never raises: a mark that stays behind harms nothing."""

    def close(self) -> None:
        """Make the latest note durable. Idempotent."""


class FileGuard:
    """The guard of a store in a file: ``<store>.instance``, 0600, with a checksum."""

    def __init__(self, store: str | Path) -> None:
        """Guard the store in this file; nothing is read or written yet."""
        self._store = Path(store).resolve()  # a link to the store is the same store
        self.path = self._store.with_name(self._store.name + SUFFIX)
        self._fd: int | None = None

    def read(self) -> Mark | None:
        """See Guard.read."""
        try:
            with self.path.open("rb") as file:
                return decode(file.read(_SIZE_MAX))
        except OSError:
            return None

    def here(self) -> str:
        """See Guard.here: id of the file system and number of the file; steady over ``mv``."""
        try:
            if _kind_of_file_system(self._store) in _UNSTEADY:
                return "-"
            disk = os.statvfs(self._store).f_fsid & (2**64 - 1)
            return f"{disk:016x}:{self._store.stat().st_ino:016x}"
        except OSError:
            return "-"

    def bind(self, mark: Mark) -> None:
        """See Guard.bind. Written whole beside, then put in place: a crash leaves old or new."""
        self.close()
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            temporary.unlink(missing_ok=True)  # of a crash; opened anew for the sake of its mode
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE)
            try:
                os.write(fd, encode(mark))
                os.fsync(fd)
                temporary.replace(self.path)
                _sync_folder(self.path.parent)
            except OSError:
                os.close(fd)
                temporary.unlink(missing_ok=True)
                raise
            self._fd = fd
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written ({error.strerror}): check its folder and the disk"
            ) from error

    def note(self, mark: Mark) -> None:
        """See Guard.note. One small write in place, left to the kernel to flush."""
        with contextlib.suppress(OSError):
            if self._fd is None:
                self._fd = os.open(self.path, os.O_RDWR)
            os.pwrite(self._fd, encode(mark), 0)

    def close(self) -> None:
        """See Guard.close."""
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):
                os.fsync(fd)
            os.close(fd)


class Instance:
    """A store's guard, and what it is to say once the open transaction is durable."""

    def __init__(self, guard: Guard | None) -> None:
        """Take the guard; None for a store that cannot be copied, in memory."""
        self._guard = guard
        self._kept: Mark | None = None
        self._new: Mark | None = None

    def continues(self, life: int, events: int) -> bool:
        """Say whether the store is as this life left it here: not copied, not set back."""
        if self._guard is None:
            return True
        mark = self._guard.read()
        if mark is None or mark.life != life or mark.events > events:
            return False
        if "-" not in (mark.file, here := self._guard.here()) and mark.file != here:
            return False
        self._kept = mark
        return True

    def bind(self, life: int, events: int) -> None:
        """Let the guard name a new life, before the transaction that begins it is durable.

        A crash in between leaves a guard that the store does not bear out: one more new life.
        """
        if self._guard is not None:
            self._new = Mark(life, events, self._guard.here())
            self._guard.bind(self._new)

    def accept(self, events: int) -> None:
        """Note how many events are durable now."""
        kept, self._new = self._new or self._kept, None
        if kept is not None and kept.events != events:
            assert self._guard is not None, "a mark stands in a guard"
            kept = replace(kept, events=events)
            self._guard.note(kept)
        self._kept = kept

    def restore(self) -> None:
        """Let the guard say what it said: the transaction never was."""
        if self._new is not None and self._kept is not None:
            assert self._guard is not None, "a mark stands in a guard"
            self._guard.note(self._kept)
        self._new = None

    def close(self) -> None:
        """Let go of the guard."""
        if self._guard is not None:
            self._guard.close()


def encode(mark: Mark) -> bytes:
    """Return the guard file's bytes, as many for every mark."""
    text = _FORM.format(life=mark.life, events=mark.events, file=mark.file).encode()
    return text + f"check {_checksum(text)}\n".encode()


def decode(data: bytes) -> Mark | None:
    """Return what a guard file says; None where it is torn or damaged."""
    found = _PATTERN.fullmatch(data)
    if found is None or found[5].decode() != _checksum(found[1]):
        return None
    return Mark(int(found[2], 16), int(found[3]), found[4].decode())


def _checksum(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _kind_of_file_system(path: Path) -> str:
    """Return e.g. ``ext4``, as Linux says it; empty where it does not."""
    device = path.stat().st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    mounts = Path("/proc/self/mountinfo")
    with contextlib.suppress(OSError), mounts.open(encoding="utf-8") as lines:
        for line in lines:
            words = line.split()
            if words[2] == name:
                return words[words.index("-", 6) + 1]
    return ""


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
