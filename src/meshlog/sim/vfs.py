"""SQLite on a disk that forgets: a VFS over the platform's own, which does the real work.

Registered by ctypes with the very library that ``sqlite3`` uses, so that the store under test is
the store that runs. A file's own methods are called directly, except for those that change it.

Source: https://sqlite.org/vfs.html; ``os_unix.c`` for when the folder is synced: with the first
sync of a journal or WAL that was made, and with a removal that asks for it.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import itertools
import random
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from meshlog.errors import StoreError
from meshlog.sim.disk import Disk, File

_OK, _IOERR, _FULL = 0, 10, 13
_IOERR_WRITE, _IOERR_FSYNC = _IOERR | 3 << 8, _IOERR | 4 << 8
_IOERR_TRUNCATE, _IOERR_DELETE, _CANTOPEN = _IOERR | 6 << 8, _IOERR | 10 << 8, 14
_MAIN_DB, _MAIN_JOURNAL, _WAL = 0x100, 0x800, 0x80000

_WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
_CLOSE = CFUNCTYPE(c_int, c_void_p)
# Paths are addresses: SQLite keeps a URI's parameters around the bytes of the path.
_OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, version 3."""

    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        *((f"rest{number}", c_void_p) for number in range(13)),
    ]


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, version 3."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("path_size_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        *((f"rest{number}", c_void_p) for number in range(14)),
    ]


_numbers = itertools.count(1)
_left_open: list[_Vfs] = []
"""A store that outlives its disk still looks at the VFS: about 200 bytes each."""


class CrashDisk(Disk):
    """A ``Disk`` that SQLite writes to: open stores on it with ``SqliteStore(path, vfs=disk.vfs)``.

    Example:
        >>> import tempfile
        >>> from meshlog.errors import StoreError
        >>> from meshlog.store import SqliteStore
        >>> folder = Path(tempfile.mkdtemp())
        >>> with CrashDisk(folder, random.Random(1)) as disk:
        ...     store = SqliteStore(folder / "ann.meshlog", vfs=disk.vfs)
        ...     with store.transaction():
        ...         store.set_meta("colour", b"green")
        ...     disk.cut_power()
        ...     try:
        ...         with store.transaction():
        ...             store.set_meta("colour", b"red")
        ...     except StoreError:
        ...         store.close()
        ...     disk.power_on()
        ...     store = SqliteStore(folder / "ann.meshlog", vfs=disk.vfs)
        ...     store.get_meta("colour")
        ...     store.close()
        b'green'
    """

    def __init__(self, folder: Path, rng: random.Random) -> None:
        """Register a VFS of its own; ``close`` it in the end.

        Raises:
            StoreError: This Python's SQLite cannot be reached.
        """
        super().__init__(folder, rng)
        self.vfs = f"meshlog-disk-{next(_numbers)}"
        self.broken: BaseException | None = None
        """What went wrong in the shim itself, raised by ``close``."""
        self._library = _library()
        self._library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._real = self._library.sqlite3_vfs_find(None)
        self._handles: dict[int, tuple[File, _Methods]] = {}
        self._new_journals: set[int] = set()
        self._tables: dict[int, _Methods] = {}
        self._kept: list[object] = []
        self._ours = _Vfs.from_buffer_copy(self._real.contents)
        self._ours.name = self.vfs.encode()
        self._ours.open = self._hook(_OPEN, self._on_open, _CANTOPEN)
        self._ours.delete = self._hook(_DELETE, self._on_delete, _IOERR_DELETE)
        self._hooks = {
            "write": self._hook(_WRITE, self._on_write, _IOERR_WRITE),
            "truncate": self._hook(_TRUNCATE, self._on_truncate, _IOERR_TRUNCATE),
            "sync": self._hook(_SYNC, self._on_sync, _IOERR_FSYNC),
            "close": self._hook(_CLOSE, self._on_close, _IOERR),
        }
        self._library.sqlite3_vfs_register(ctypes.byref(self._ours), 0)

    def close(self) -> None:
        """Take the VFS away; every store on it must be closed."""
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._ours))
        self._ours.open, self._ours.delete = self._real.contents.open, self._real.contents.delete
        for handle, (_, real) in self._handles.items():  # of stores that were left open
            c_void_p.from_address(handle).value = ctypes.addressof(real)
        _left_open.append(self._ours)
        if self.broken is not None:
            raise self.broken

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def power_on(self) -> None:
        """See Disk.power_on."""
        assert not self._handles, "close every store on this disk first"
        super().power_on()

    def _hook(self, prototype: Any, function: Callable[..., int], failure: int) -> int | None:
        """Return the address of a function that SQLite may call; no exception passes through."""

        def safe(*values: Any) -> int:
            try:
                return function(*values)
            except BaseException as error:  # noqa: BLE001 - raised anew by close()
                self.broken = error
                return failure

        hook = prototype(safe)
        self._kept.append(hook)
        return ctypes.cast(hook, c_void_p).value

    # ── What SQLite calls ──

    def _on_open(self, _vfs: int, path: int | None, handle: int, flags: int, out: Any) -> int:
        is_ours = path is not None and flags & (_MAIN_DB | _MAIN_JOURNAL | _WAL)
        name = _name(path)
        is_new = bool(is_ours) and not (self.folder / name).exists()
        if is_new and self.begin():
            return _CANTOPEN
        real_open = ctypes.cast(self._real.contents.open, _OPEN)
        failed: int = real_open(ctypes.addressof(self._real.contents), path, handle, flags, out)
        if failed or not is_ours:
            return failed
        if is_new:
            self.name((name, File()))
            if not flags & _MAIN_DB:
                self._new_journals.add(handle)
        table = c_void_p.from_address(handle)  # a sqlite3_file begins with its methods
        assert table.value is not None, "an open file has methods"
        real = _Methods.from_address(table.value)
        self._handles[handle] = self.adopt(name), real
        table.value = ctypes.addressof(self._table(table.value, real))
        return _OK

    def _table(self, address: int, real: _Methods) -> _Methods:
        if address not in self._tables:
            ours = _Methods.from_buffer_copy(real)
            for name, hook in self._hooks.items():
                setattr(ours, name, hook)
            self._tables[address] = ours
        return self._tables[address]

    def _on_close(self, handle: int) -> int:
        _, real = self._handles.pop(handle)
        self._new_journals.discard(handle)
        failed: int = ctypes.cast(real.close, _CLOSE)(handle)
        return failed

    def _on_write(self, handle: int, data: int, size: int, offset: int) -> int:
        file, real = self._handles[handle]
        was_on = not self.is_off
        error = self.begin()
        room = self.room(file, offset, size)
        if room < size and not error:
            error = errno.ENOSPC
        kept = min(self.rng.randint(0, size), room) if error else size
        if self.is_off and was_on:
            kept = size  # the cut decides what of it arrives
        if kept and was_on:
            failed: int = ctypes.cast(real.write, _WRITE)(handle, data, kept, offset)
            if failed:
                return failed
            self.write(file, offset, ctypes.string_at(data, kept))
        if error == errno.ENOSPC:
            return _FULL
        return _IOERR_WRITE if error else _OK

    def _on_truncate(self, handle: int, size: int) -> int:
        file, real = self._handles[handle]
        if self.begin():
            return _IOERR_TRUNCATE
        failed: int = ctypes.cast(real.truncate, _TRUNCATE)(handle, size)
        if not failed:
            self.truncate(file, size)
        return failed

    def _on_sync(self, handle: int, _flags: int) -> int:
        file, _ = self._handles[handle]
        if self.begin():
            if not self.is_off:
                file.lose(self.rng)
            return _IOERR_FSYNC
        if handle in self._new_journals:
            self._new_journals.remove(handle)
            file.sync()
            self.sync_folder()
        else:
            self.sync(file)
        return _OK

    def _on_delete(self, _vfs: int, path: int, sync: int) -> int:
        if self.begin():
            return _IOERR_DELETE
        real_delete = ctypes.cast(self._real.contents.delete, _DELETE)
        failed: int = real_delete(ctypes.addressof(self._real.contents), path, sync)
        name = _name(path)
        if not failed and name in self.names:
            self.name((name, None))
            if sync:
                self.sync_folder()
        return failed


def _name(path: int | None) -> str:
    """Return the name at the end of the path at an address; temporary files have none."""
    return Path(ctypes.string_at(path).decode()).name if path else ""


def _library() -> Any:
    """Return the SQLite that Python's ``sqlite3`` speaks to."""
    path = getattr(_sqlite3, "__file__", None)
    library = ctypes.CDLL(path)
    if not hasattr(library, "sqlite3_vfs_register"):
        raise StoreError("this Python's SQLite is sealed: a simulated disk needs another build")
    return library
