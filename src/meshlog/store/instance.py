"""The instance guard: two small files beside the store that tell a copy from the original.

``<store>.instance`` is written once in the life of a device: which life it is, and which file the
store is. ``<store>.instance-note`` says how many events the store held. A store that they do
not bear out was copied, restored or set back, and goes on as a new life (docs/adr/0016).
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
NOTE_SUFFIX = ".instance-note"
MODE = 0o600
ANYWHERE = "-"
"""Stands for a file that cannot be told from its copies."""

_SIZE_MAX = 512
"""More than either file has."""

_GUARD = re.compile(
    rb"(meshlog instance 1\nlife ([0-9a-f]{8})\nfile ([0-9a-f:-]+)\n)check ([0-9a-f]{32})\n"
)
_NOTE = re.compile(rb"(life ([0-9a-f]{8})\nevents (\d{10})\n)check ([0-9a-f]{32})\n")

_UNSTEADY = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "9p"})
"""File systems that make up a file's number anew at every mount: there it proves nothing."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a guard says."""

    life: int
    """Incarnation of the device's own feeds, 32 bits."""
    file: str
    """Names the store's file on this disk, or ``ANYWHERE``."""
    witness: str = ANYWHERE
    """When the guard's own file was last changed in any way: the store keeps it, too."""
    events: int = 0
    """Events that the store held, at least; a store that holds fewer was set back."""


class Guard(Protocol):
    """Keeps one mark outside of the store: in a file, or, for simulated disks, anywhere."""

    def read(self) -> Mark | None:
        """Return the mark; None where it is missing, torn or damaged."""

    def here(self) -> str:
        """Return the name of the store's file now, as a mark tells it."""

    def bind(self, mark: Mark) -> Mark:
        """Keep a mark, durably; return it with its witness.

        Raises:
            StoreError: The disk refused.
        """

    def note(self, mark: Mark) -> None:
        """Keep how many events a life holds, soon; never raises: what is behind harms nothing."""

    def close(self) -> None:
        """Make the latest note durable. Idempotent."""


class FileGuard:
    """The guard of a store in a file; both of its files are 0600 and have a checksum."""

    def __init__(self, store: str | Path) -> None:
        """Guard the store in this file; nothing is read or written yet."""
        self._store = Path(store).resolve()  # a link to the store is the same store
        self.path = self._store.with_name(self._store.name + SUFFIX)
        self._note_path = self._store.with_name(self._store.name + NOTE_SUFFIX)
        self._note: int | None = None

    def read(self) -> Mark | None:
        """See Guard.read."""
        try:
            mark = decode(_read(self.path))
            if mark is None:
                return None
            mark = replace(mark, witness=self._witness())
        except OSError:
            return None
        with contextlib.suppress(OSError):
            noted = decode_note(_read(self._note_path))
            if noted is not None and noted[0] == mark.life:
                mark = replace(mark, events=noted[1])
        return mark

    def here(self) -> str:
        """See Guard.here: id of the file system and number of the file; steady over ``mv``."""
        try:
            if not _is_steady(self._store):
                return ANYWHERE
            disk = os.statvfs(self._store).f_fsid & (2**64 - 1)
            return f"{disk:x}:{self._store.stat().st_ino:x}"
        except OSError:
            return ANYWHERE

    def _witness(self) -> str:
        """Return when the guard was written: nobody can copy a file and keep its ctime."""
        return str(self.path.stat().st_ctime_ns) if _is_steady(self._store) else ANYWHERE

    def bind(self, mark: Mark) -> Mark:
        """See Guard.bind. Written whole beside, then put in place: a crash leaves old or new."""
        self.close()
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            temporary.unlink(missing_ok=True)  # of a crash; opened anew for the sake of its mode
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
            try:
                os.write(fd, encode(mark))
                os.fsync(fd)
                temporary.replace(self.path)
                os.fsync(fd)  # the ctime that ``replace`` gave it
            finally:
                os.close(fd)
                temporary.unlink(missing_ok=True)
            _sync_folder(self.path.parent)
            return replace(mark, witness=self._witness())
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written ({error.strerror}): check its folder and the disk"
            ) from error

    def note(self, mark: Mark) -> None:
        """See Guard.note. One small write in place, left to the kernel to flush."""
        try:
            if self._note is None:
                self._note = os.open(self._note_path, os.O_RDWR | os.O_CREAT, MODE)
            os.pwrite(self._note, encode_note(mark.life, mark.events), 0)
        except OSError:
            return

    def close(self) -> None:
        """See Guard.close."""
        fd, self._note = self._note, None
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

    def continues(self, life: int, events: int, witness: str) -> bool:
        """Say whether the store is as this life left it here: not copied, not set back.

        Args:
            life: Which the store says it is.
            events: How many it holds.
            witness: What ``bind`` returned when that life began.
        """
        if self._guard is None:
            return True
        mark = self._guard.read()
        if mark is None or mark.life != life or mark.events > events:
            return False
        if not (_is_same(mark.witness, witness) and _is_same(mark.file, self._guard.here())):
            return False
        self._kept = mark
        return True

    def bind(self, life: int, events: int) -> str:
        """Let the guard name a new life, before the transaction that begins it is durable.

        A crash in between leaves a guard that the store does not bear out: one more new life.

        Returns:
            The witness, which the store keeps within that transaction.
        """
        if self._guard is None:
            return ANYWHERE
        self._new = self._guard.bind(Mark(life, self._guard.here(), events=events))
        return self._new.witness

    def accept(self, events: int) -> None:
        """Note how many events are durable now."""
        kept, self._new = self._new or self._kept, None
        if kept is not None and kept.events != events:
            assert self._guard is not None, "a mark stands in a guard"
            kept = Mark(kept.life, kept.file, kept.witness, events)  # each transaction pays it
            self._guard.note(kept)
        self._kept = kept

    def restore(self) -> None:
        """Forget a life that never began: the guard names it, so the next start is a new one."""
        self._new = None

    def close(self) -> None:
        """Let go of the guard."""
        if self._guard is not None:
            self._guard.close()


def encode(mark: Mark) -> bytes:
    """Return the guard file's bytes."""
    text = f"meshlog instance 1\nlife {mark.life:08x}\nfile {mark.file}\n".encode()
    return text + f"check {_checksum(text)}\n".encode()


def decode(data: bytes) -> Mark | None:
    """Return what a guard file says; None where it is torn or damaged."""
    found = _GUARD.fullmatch(data)
    if found is None or found[4].decode() != _checksum(found[1]):
        return None
    return Mark(int(found[2], 16), found[3].decode())


def encode_note(life: int, events: int) -> bytes:
    """Return the note's bytes, as many for every note, so that it is written in place."""
    text = b"life %08x\nevents %010d\n" % (life, events)
    return b"%scheck %s\n" % (text, _checksum(text).encode())


def decode_note(data: bytes) -> tuple[int, int] | None:
    """Return the life and the number of events that a note tells; None where it is torn."""
    found = _NOTE.fullmatch(data)
    if found is None or found[4].decode() != _checksum(found[1]):
        return None
    return int(found[2], 16), int(found[3])


def _is_same(one: str, other: str) -> bool:
    return ANYWHERE in (one, other) or one == other


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SIZE_MAX)


def _is_steady(path: Path) -> bool:
    return kind_of_file_system(path) not in _UNSTEADY


def _checksum(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def kind_of_file_system(path: Path) -> str:
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
