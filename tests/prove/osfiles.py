"""Python's own files on a simulated disk: ``os`` is listened to, and may be refused.

What is written to a file counts as on its way until ``os.fsync`` names that file; a name, until
``os.fsync`` names the folder. Reading and writing itself stay real.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from meshlog.sim.disk import Disk, File, Write


@contextmanager
def listening(disk: Disk) -> Iterator[None]:
    """Tell ``disk`` of every file that Python makes, syncs, renames or removes in its folder."""
    listener = _Listener(disk)
    with (
        mock.patch.object(os, "open", listener.open),
        mock.patch.object(os, "fsync", listener.fsync),
        mock.patch.object(os, "replace", listener.replace),
        mock.patch.object(os, "unlink", listener.unlink),
    ):
        yield


class _Listener:
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.open_file, self.fsync_file = os.open, os.fsync
        self.replace_file, self.unlink_file = os.replace, os.unlink

    def _name(self, path: object) -> str | None:
        """Return the name of a file in the disk's folder."""
        path = Path(os.fsdecode(path))  # type: ignore[arg-type]
        return path.name if path.parent == self.disk.folder else None

    def _begin(self, path: object) -> None:
        if error := self.disk.begin():
            raise OSError(error, os.strerror(error), os.fspath(path))  # type: ignore[call-overload]

    def _notice(self, name: str) -> File:
        """Compare a file with what the disk knows of it: what differs was written meanwhile."""
        file = self.disk.adopt(name)
        if name.endswith(("-shm", "-wal", ".meshlog")):
            return file  # SQLite's, which tells by itself
        content = (self.disk.folder / name).read_bytes()
        known = bytes(file.durable)
        for change in file.pending:
            known = change.data if isinstance(change, Write) else b""
        if content != known:
            self.disk.truncate(file, 0)
            self.disk.write(file, 0, content)
        return file

    def open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        name = self._name(path)
        is_new = name is not None and flags & os.O_CREAT and not os.path.lexists(path)
        if is_new:
            self._begin(path)
        fd = self.open_file(path, flags, *rest, **more)
        if is_new and name is not None:
            self.disk.name((name, File()))
        return fd

    def fsync(self, fd: int) -> None:
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path == self.disk.folder:
            self._begin(path)
            self.disk.sync_folder()
        elif (name := self._name(path)) is not None:
            file = self._notice(name)
            self._begin(path)
            self.disk.sync(file)
        else:
            self.fsync_file(fd)

    def replace(self, source: Any, target: Any, **more: Any) -> None:
        old, new = self._name(source), self._name(target)
        file = None if old is None else self._notice(old)
        if file is not None:
            self._begin(source)
        self.replace_file(source, target, **more)
        if old is not None and new is not None:
            self.disk.name((old, None), (new, file))

    def unlink(self, path: Any, **more: Any) -> None:
        name = self._name(path)
        if name is not None and os.path.lexists(path):
            self._notice(name)
            self._begin(path)
        self.unlink_file(path, **more)
        if name is not None:
            self.disk.name((name, None))
