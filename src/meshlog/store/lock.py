"""One writer per store: a lock that the kernel drops when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os

from meshlog.errors import StoreBusyError, StoreError


class ProcessLock:
    """An exclusive lock on ``<path>.lock``, held from construction until ``release``.

    The file names the holder's pid. It stays behind, because removing it would let two
    processes lock two files of one name.

    Raises:
        StoreBusyError: Somebody holds it, perhaps this very process.
        StoreError: The file cannot be made or locked.
    """

    def __init__(self, path: str) -> None:
        """Lock beside ``path``."""
        self._fd: int | None = None
        try:
            fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            reason = f"{path}.lock cannot be opened ({error.strerror}): check its folder"
            raise StoreError(reason) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(fd)
            os.close(fd)
            raise StoreBusyError(path, holder) from error
        except OSError as error:
            os.close(fd)
            reason = f"{path}.lock cannot be locked ({error.strerror}): use a local disk"
            raise StoreError(reason) from error
        self._fd = fd
        self._name_holder(fd)

    def _name_holder(self, fd: int) -> None:
        with contextlib.suppress(OSError):  # a full disk: the lock holds, only the pid is missing
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next process in. Idempotent."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def _holder(fd: int) -> int | None:
    try:
        return int(os.pread(fd, 20, 0))
    except (OSError, ValueError):
        return None
