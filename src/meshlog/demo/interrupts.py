"""Being stopped in order: one interrupt unwinds the demo, and never between two of its steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Turns the first of the signals that stop a program into a KeyboardInterrupt.

    Later ones are swallowed: what they would interrupt is the cleaning up.
    """

    def __init__(self) -> None:
        self._held = self._came = self._raised = False

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch for signals while the block runs; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held = self._came = self._raised = False
        before = {number: signal.signal(number, self._take) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing come between the steps of the block; what came is raised at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._came and not self._raised:
            self._raise()

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        if not self._held and not self._raised:
            self._raise()

    def _raise(self) -> None:
        self._raised = True
        raise KeyboardInterrupt


interrupts = Interrupts()
"""The process's own: signals belong to processes."""
