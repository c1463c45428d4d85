"""A disk that forgets: what a file system may hold after the power was cut at any moment.

Whatever was not synced is lost, kept, reordered or torn, sector by sector; a name that was made,
replaced or removed without a sync of its folder may be as it was before; a file may already be as
long as it was going to be, with zeros or leavings where nothing arrived. Everything follows from
the luck that is passed in. ``sim.vfs`` puts SQLite on it.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR_SIZE = 512
"""Bytes that reach the platter together, or not; a torn one is cut in its middle. The least that
any disk promises; flash with larger pages keeps more together, which is easier for us."""

_LEAVINGS, _LENGTH_FIRST, _TORN = 0.25, 0.5, 0.1
"""How often a gap holds leavings, a length comes before its content, a sector is torn: choices."""
_IN_ORDER_MOODS, _MOODS = 4, 8
_SHARES = (0.1, 0.5, 0.9)


class Write(NamedTuple):
    """Bytes on their way to a file; ``moment`` counts all changes of the disk."""

    moment: int
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A new length on its way to a file."""

    moment: int
    size: int


class Naming(NamedTuple):
    """Names on their way to the folder, all of them or none; a removed name has no file."""

    moment: int
    names: tuple[tuple[str, File | None], ...]


@dataclass(eq=False, slots=True)
class File:
    """One file: what is on the platter, and what is only on its way there."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write | Truncate] = field(default_factory=list)
    size: int = 0
    """As programs see it."""

    def sync(self) -> None:
        """Bring everything that is on its way to the platter."""
        for change in self.pending:
            _apply(self.durable, change)
        self.pending.clear()

    def lose(self, rng: random.Random) -> None:
        """Fail to sync as Linux does: what did not arrive is never tried again."""
        for change in self.pending:
            if rng.random() < _SHARES[1]:
                _apply(self.durable, change)
        self.pending.clear()


class Disk:
    """One folder of files, as a power cut sees it; programs tell it each change as they make it."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        """Take a folder; files in it that nobody tells of are durable as they are.

        Args:
            folder: On a real file system, which always holds what programs see.
            rng: Decides what a cut leaves.
        """
        self.folder = folder
        self.rng = rng
        self.operations = 0
        """How many writes, truncations, syncs and namings there were: each is a moment to cut."""
        self.is_off = False
        self.capacity_bytes: int | None = None
        """What all files may hold together; None is no limit."""
        self.watch: Callable[[], None] = lambda: None
        """Called after each operation, e.g. to draw an ``image``."""
        self.names: dict[str, File] = {}
        self._durable_names: dict[str, File] = {}
        self._namings: list[Naming] = []
        self._cut_at: int | None = None
        self._faults: dict[int, int] = {}

    # ── What a test or a storm does ──

    def cut_power(self, after: int | None = 0) -> None:
        """Let the power fail in the middle of an operation; every later one is refused.

        Args:
            after: How many operations pass before it: 0 lets the next one be the last; None
                takes an announced cut back.
        """
        self._cut_at = None if after is None else self.operations + after + 1

    def switch_off(self) -> None:
        """Cut the power now, between two operations."""
        self.is_off = True

    def fail(self, after: int, error: int, times: int = 1) -> None:
        """Let operations fail, once ``after`` more have passed.

        Args:
            after: 0 is the next operation.
            error: ``errno.EIO`` or ``errno.ENOSPC``; a failing write may leave a part of itself.
            times: How many operations in a row.
        """
        first = self.operations + after + 1
        self._faults.update(dict.fromkeys(range(first, first + times), error))

    def power_on(self) -> None:
        """Put what the cut left into the folder, and go on. Close every store on it first."""
        found = self.image(self.rng)
        for path in self.folder.iterdir():
            if path.name in self.names or path.name.endswith("-shm"):
                path.unlink()
        for name, content in found.items():
            (self.folder / name).write_bytes(content)
        self.names = {name: _file(content) for name, content in found.items()}
        self._durable_names = dict(self.names)
        self._namings.clear()
        self._faults.clear()
        self._cut_at, self.is_off = None, False

    def image(self, rng: random.Random) -> dict[str, bytes]:
        """Return what may be found, by name, if the power were cut at this moment.

        Cost: O(bytes of all files). Changes nothing.
        """
        cut = _Cut.draw(rng, self._moments())
        names = dict(self._durable_names)
        for naming in self._namings:
            if cut.keeps(naming.moment):
                names.update({name: file for name, file in naming.names if file})
                for name, file in naming.names:
                    if file is None:
                        names.pop(name, None)
        return {name: cut.left(file) for name, file in names.items()}

    def _moments(self) -> list[int]:
        changes: Iterable[Iterable[Write | Truncate]] = (
            file.pending for file in {*self.names.values(), *self._durable_names.values()}
        )
        return sorted(
            [change.moment for pending in changes for change in pending]
            + [naming.moment for naming in self._namings]
        )

    # ── What the adapters tell ──

    def adopt(self, name: str) -> File:
        """Return the file of this name; one that was never told of was always there."""
        if name not in self.names:
            self.names[name] = self._durable_names[name] = _file((self.folder / name).read_bytes())
        return self.names[name]

    def begin(self) -> int:
        """Count an operation; return the errno that it fails with, 0 where it goes well.

        A write or truncation during which the power fails is told all the same: a part of it
        may arrive.
        """
        if self.is_off:
            return errno.EIO
        self.operations += 1
        if self.operations == self._cut_at:
            self.is_off = True
            return errno.EIO
        return self._faults.pop(self.operations, 0)

    def room(self, file: File, offset: int, size: int) -> int:
        """Return how many bytes of a write find room."""
        if self.capacity_bytes is None:
            return size
        used = sum(one.size for one in self.names.values())
        return max(min(size, file.size + self.capacity_bytes - used - offset), 0)

    def write(self, file: File, offset: int, data: bytes) -> None:
        """Note a write."""
        file.pending.append(Write(self.operations, offset, data))
        file.size = max(file.size, offset + len(data))
        self.watch()

    def truncate(self, file: File, size: int) -> None:
        """Note a truncation."""
        file.pending.append(Truncate(self.operations, size))
        file.size = size
        self.watch()

    def sync(self, file: File) -> None:
        """Note a sync of a file's content, which says nothing of its name."""
        file.sync()
        self.watch()

    def name(self, *names: tuple[str, File | None]) -> None:
        """Note that names were made, replaced or removed, in one step."""
        self._namings.append(Naming(self.operations, names))
        for name, file in names:
            if file is None:
                self.names.pop(name, None)
            else:
                self.names[name] = file
        self.watch()

    def sync_folder(self) -> None:
        """Note a sync of the folder."""
        self._namings.clear()
        self._durable_names = dict(self.names)
        self.watch()


@dataclass(slots=True)
class _Cut:
    """One power cut's luck."""

    rng: random.Random
    last: int
    """In order until this change, nothing after it; it may be torn. Unused where ``share`` is."""
    share: float | None
    """The share of all pieces that arrive, in no order; None for in order."""
    leavings: bool
    """Whether a place where nothing arrived holds leavings instead of zeros."""

    @classmethod
    def draw(cls, rng: random.Random, moments: list[int]) -> _Cut:
        leavings = rng.random() < _LEAVINGS
        mood = rng.randrange(_MOODS)
        if mood == 0 or not moments:
            return cls(rng, -1, None, leavings)
        if mood == 1:
            return cls(rng, moments[-1] + 1, None, leavings)
        if mood <= _IN_ORDER_MOODS:
            return cls(rng, rng.choice(moments), None, leavings)
        return cls(rng, 0, rng.choice(_SHARES), leavings)

    def keeps(self, moment: int) -> bool:
        if self.share is None:
            return moment <= self.last
        return self.rng.random() < self.share

    def left(self, file: File) -> bytes:
        """Return what is found of a file."""
        content = bytearray(file.durable)
        for change in file.pending:
            for piece in self._pieces(change):
                before = len(content)
                _apply(content, piece)
                if self.leavings and isinstance(piece, Write) and piece.offset > before:
                    content[before : piece.offset] = self.rng.randbytes(piece.offset - before)
        gap = file.size - len(content)
        if self.share is not None and gap > 0 and self.rng.random() < _LENGTH_FIRST:
            content += self.rng.randbytes(gap) if self.leavings else bytes(gap)
        return bytes(content)

    def _pieces(self, change: Write | Truncate) -> Iterator[Write | Truncate]:
        """Yield what arrives of one change: whole, in part, or not at all."""
        if isinstance(change, Truncate):
            if self.keeps(change.moment):
                yield change
        elif self.share is None:
            if change.moment < self.last:
                yield change
            elif change.moment == self.last:
                yield change._replace(data=change.data[: self.rng.randint(0, len(change.data))])
        else:
            yield from self._sectors(change, self.share)

    def _sectors(self, change: Write, share: float) -> Iterator[Write]:
        at, end = change.offset, change.offset + len(change.data)
        while at < end:
            stop = min(at - at % SECTOR_SIZE + SECTOR_SIZE, end)
            if self.rng.random() < share:
                torn = self.rng.random() < _TORN
                kept = at + self.rng.randint(0, stop - at) if torn else stop
                yield Write(
                    change.moment, at, change.data[at - change.offset : kept - change.offset]
                )
            at = stop


def _file(content: bytes) -> File:
    return File(bytearray(content), [], len(content))


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
    elif change.data:
        content.extend(bytes(max(change.offset - len(content), 0)))
        content[change.offset : change.offset + len(change.data)] = change.data
