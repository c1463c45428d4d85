"""The Store port on SQLite: one file, one writer, memory that changes after the commit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from meshlog.errors import StoreError
from meshlog.store.events import EventTable
from meshlog.store.file import MEMORY, StoreFile
from meshlog.store.instance import FileGuard, Guard, Instance
from meshlog.store.meta import MetaValues, read_meta, write_meta
from meshlog.store.records import RecordRows
from meshlog.store.reductions import ReductionRows
from meshlog.store.selfcheck import FileCheck, check_file

WITNESS_KEY = "store.guard"
"""Meta key, the store's own: see ``instance.Mark.witness``."""

_INDEX_MENDED = "an index of events was damaged, and is made anew from the log: check the disk"


class _Transaction(AbstractContextManager[None]):
    """Commits at its end, or takes all back; a generator would cost twice as much."""

    __slots__ = ("_begin", "_commit", "_roll_back")

    def __init__(
        self, begin: Callable[[], None], commit: Callable[[], None], roll_back: Callable[[], None]
    ) -> None:
        self._begin, self._commit, self._roll_back = begin, commit, roll_back

    def __enter__(self) -> None:
        self._begin()

    def __exit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is not None:
            self._roll_back()
            return
        try:
            self._commit()
        except BaseException:
            self._roll_back()
            raise


class SqliteStore(EventTable, RecordRows, ReductionRows, MetaValues):
    """A replica in one SQLite file (WAL, synchronous=FULL), or in memory.

    Every write belongs into a ``transaction``. Use it from one thread at a time.

    Args:
        path: The file, made with mode 0600 where it is missing; its folder must exist.
            ``":memory:"`` (the default) keeps everything in memory.
        read_only: Open without the lock, beside a writer if there is one, and see the store
            as it was at that moment: open anew to see more, and soon, because the writer's
            WAL grows meanwhile. Writes raise StoreError.
        vfs: Which of SQLite's file systems the file is on; a simulation has its own
            (``sim.vfs``). None is the platform's.
        guard: What tells a copy of the store from the original; by default a file beside it,
            and none in memory or on a simulated disk (``sim.card`` has one for those).
        encrypt: Make a new file encrypted (``store.passphrase`` says under what); one that
            is encrypted is opened as such in any case.
        for_check: Read only; open it where a damaged row hides heads, too, for ``fsck`` to say
            what is damaged. Then ``heads`` may lack some.

    Raises:
        StoreBusyError: Another process, or this one, has it open for writing.
        StoreError: Not a store, a newer one, damaged, or the disk refused. Cost of opening:
            O(feeds), whatever the number of events.

    Example:
        >>> store = SqliteStore()
        >>> with store.transaction():
        ...     store.set_meta("colour", b"green")
        >>> store.get_meta("colour")
        b'green'
        >>> store.close()
    """

    def __init__(
        self,
        path: str | Path = MEMORY,
        *,
        read_only: bool = False,
        vfs: str | None = None,
        guard: Guard | None = None,
        encrypt: bool = False,
        for_check: bool = False,
    ) -> None:
        read_only = read_only or for_check
        file = StoreFile(path, read_only=read_only, vfs=vfs, encrypt=encrypt)
        if guard is None and vfs is None and file.path != MEMORY and not read_only:
            guard = FileGuard(path)
        self._instance = Instance(guard)
        try:
            super().__init__(file, for_check=for_check)
            if not read_only:
                self._mend_index()
                self._catch_up()  # an earlier schema's: before others look for events
        except BaseException:
            file.close()
            raise

    def transaction(self) -> AbstractContextManager[None]:
        """See Store.transaction. Does not nest; after a failed write nothing more is written.

        Raises:
            StoreError: On entry, where the store is read-only or locked; on exit, when the
                disk failed. File and memory are then as before.
        """
        return _Transaction(self._file.begin, self._commit, self._roll_back)

    def _commit(self) -> None:
        if self._log.is_due() and self._later.are_known:
            self._write_checkpoint()
        is_forgotten = not self._write_lots()
        is_mended = is_forgotten or self._log.index.is_mended
        self._file.commit()
        self._log.accept()
        self._later.accept()
        self._instance.accept(self._log.tail.position)
        if is_mended:
            self._mended.append(f"{self._file.path}: {_INDEX_MENDED}")
        if is_forgotten:
            with contextlib.suppress(StoreError):  # what was committed is; who opens it goes on
                self._catch_up()

    def _write_lots(self) -> bool:
        """Bring the indices up to date; where the log has not what this needs, forget them.

        Raises:
            StoreError: The disk refused.
        """
        try:
            self._log.index.write_lots()
        except StoreError:
            self._log.index.clear()
            return False
        return True

    def _mend_index(self) -> None:
        """Forget the indices where it cannot be told how far they go; they are made anew then."""
        if not self._log.index.is_sound:
            with contextlib.suppress(StoreError):  # then every look-up says that it is damaged
                with self.transaction():
                    self._log.index.clear()
                self._mended.append(f"{self._file.path}: {_INDEX_MENDED}")

    def _roll_back(self) -> None:
        self._file.rollback()
        self._log.restore()
        self._later.restore()
        self._instance.restore()

    def _write_checkpoint(self) -> None:
        self._log.write_checkpoint()
        self._later.write(self._file)

    # ── Continuity ──

    def continues(self, life: int) -> bool:
        """See Continuity.continues.

        Files that are copied one after the other while somebody writes may belong to two moments,
        and SQLite opens them all the same. Cost: of a copy, reads the whole file, once.
        """
        witness = (read_meta(self._file, WITNESS_KEY) or b"").decode(errors="replace")
        if self._instance.continues(life, self.event_count(), witness):
            return True
        if wrong := check_file(self._file, is_guarded=False):
            raise StoreError(
                f"this copy of a store is not whole ({wrong[0]}): it was copied while somebody"
                " wrote to it, or is damaged. Copy it again with `meshlog backup`, or keep what"
                " holds with `meshlog fsck --repair`"
            )
        return False

    def begin_life(self, life: int) -> None:
        """See Continuity.begin_life."""
        witness = self._instance.bind(life, self.event_count()).encode()
        write_meta(self._file, WITNESS_KEY, witness)

    def mended(self) -> list[str]:
        """See Mending.mended."""
        told, self._mended = self._mended, []
        return told

    def integrity(self) -> list[str]:
        """Return what is wrong with the file, a sentence each; empty where nothing.

        Cost: reads the whole file.
        """
        return check_file(self._file)

    def checking(self) -> FileCheck:
        """Begin what ``integrity`` does, for whoever reads the log anyway."""
        return FileCheck(self._file)

    def remake_index(self) -> None:
        """Make the indices of events again from the events: those that no checkpoint makes.

        Raises:
            StoreError: The disk refused, or the events cannot be read; opening goes on with it.
        """
        with self.transaction():
            self._log.index.clear()
            self._log.places.write_anew()
        self._catch_up()

    def _catch_up(self) -> None:
        while self._log.index.is_due(self._log.tail.position):
            with self.transaction():
                self._log.index_more()

    def close(self) -> None:
        """See Store.close. An open transaction is rolled back.

        A checkpoint that the disk refuses harms nothing: the next opening reads the log instead.
        """
        if self._file.is_writable:
            self._file.rollback()
            self._log.restore()
            self._later.restore()
            if not self._log.is_checkpointed and self._later.are_known:
                with contextlib.suppress(StoreError), self.transaction():
                    self._write_checkpoint()
            if self._log.index.is_due(self._log.index.known, is_closing=True):
                with contextlib.suppress(StoreError), self.transaction():
                    self._log.index.write_lots(is_closing=True)
        self._instance.close()
        self._file.close()
