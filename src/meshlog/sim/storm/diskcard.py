"""A device's storage on a disk that forgets: its power goes at any operation, torn sectors and all.

The store is a file on ``sim.vfs``; everything else of a storm sees no difference to ``card``.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from meshlog.errors import StoreError
from meshlog.sim.card import CardGuard
from meshlog.sim.storm.card import Card, PowerLostError
from meshlog.sim.vfs import CrashDisk
from meshlog.store.events import EventTable
from meshlog.store.file import Row, StoreFile
from meshlog.store.instance import Instance

NAME = "store.meshlog"


class DiskFile(StoreFile):
    """A store's file on a disk; when the power is gone it says so instead of an I/O error."""

    def __init__(self, disk: CrashDisk) -> None:
        """Open what the disk holds, or make it."""
        self._disk = disk
        super().__init__(disk.folder / NAME, read_only=False, vfs=disk.vfs)
        self.path = NAME  # errors are told in the trace, which is the same in every run

    @property
    def operations(self) -> int:
        """Operations of the disk so far."""
        return self._disk.operations

    def fail_power(self, after: int | None, *, after_commit: bool) -> None:
        """See CardFile.fail_power; a disk decides by itself what of a commit arrives."""
        del after_commit
        self._disk.cut_power(after)

    def run(self, sql: str, values: Sequence[object] = ()) -> list[Row]:
        """See StoreFile.run."""
        with self._power():
            return super().run(sql, values)

    def write(self, sql: str, values: Sequence[object] = ()) -> int:
        """See StoreFile.write."""
        with self._power():
            return super().write(sql, values)

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """See StoreFile.write_many."""
        with self._power():
            super().write_many(sql, rows)

    def image(self) -> bytes:
        """See CardFile.image."""
        return self._open.serialize()

    def set_room(self, *, is_full: bool) -> None:
        """See CardFile.set_room."""
        used = sum(file.size for file in self._disk.names.values())
        self._disk.capacity_bytes = used if is_full else None

    @contextlib.contextmanager
    def _power(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            if self._disk.is_off:
                raise PowerLostError from error
            raise


class DiskCard(Card):
    """The store of a simulated device whose disk forgets what it did not sync."""

    file: DiskFile  # type: ignore[assignment]

    def __init__(
        self, luck: random.Random, image: bytes | None = None, guard: CardGuard | None = None
    ) -> None:
        """Take what an ``image`` holds; ``luck`` decides what a cut leaves."""
        self._folder = tempfile.TemporaryDirectory(prefix="storm-")
        if image is not None:
            (Path(self._folder.name) / NAME).write_bytes(image)
        self._luck = luck
        self._disk = CrashDisk(Path(self._folder.name), luck)
        self.guard = guard or CardGuard()
        self._open_file()

    def _open_file(self) -> None:
        self.file = DiskFile(self._disk)
        self._instance = Instance(self.guard)
        EventTable.__init__(self, self.file)

    def after_power_cut(self) -> DiskCard:
        """See Card.after_power_cut."""
        self._disk.switch_off()
        with contextlib.suppress(StoreError):
            self.file.close()
        self._disk.power_on()
        self._open_file()
        return self

    def another(self, image: bytes, guard: CardGuard | None) -> DiskCard:
        """See Card.another."""
        return DiskCard(random.Random(self._luck.getrandbits(64)), image, guard)

    def close(self) -> None:
        """Close the store and throw the disk away."""
        super().close()
        self._disk.close()
        self._folder.cleanup()
