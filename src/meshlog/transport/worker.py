"""One thread that does everything: callbacks of other threads only leave jobs for it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

JOBS_MAX = 4096
"""Jobs that may wait. Past it callbacks are dropped and counted: the air will repeat them."""

TICK_S = 0.2
"""Seconds between ticks: how late a deadline may be noticed."""


class Worker:
    """Runs jobs in order, and ``tick`` in between; survives whatever they raise."""

    def __init__(self, name: str, tick: Callable[[], None], log: logging.Logger) -> None:
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(JOBS_MAX)
        self._tick = tick
        self._log = log
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.dropped = 0
        """Jobs refused because too many waited."""

    def start(self) -> None:
        """Begin to work on what was left so far and what comes."""
        self._thread.start()

    def post(self, job: Callable[[], None]) -> bool:
        """Leave ``job``; say whether it was taken. Never waits, never raises."""
        if self._stopping:
            return False
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def close(self, last: Callable[[], None], limit_s: float) -> None:
        """Drop what waits, run ``last``, and end the thread. Idempotent.

        Args:
            limit_s: The most to wait for it.
        """
        if self._stopping:
            return
        self._stopping = True
        if not self._thread.is_alive():
            return
        while True:
            try:
                self._jobs.get_nowait()
            except queue.Empty:
                break
        self._jobs.put(last)
        self._jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(limit_s)

    def _run(self) -> None:
        tick_at_s = time.monotonic()
        while True:
            if time.monotonic() >= tick_at_s:  # also in a flood of jobs
                if not self._stopping:
                    self._guarded(self._tick)
                tick_at_s = time.monotonic() + TICK_S
            try:
                job = self._jobs.get(timeout=max(0.0, tick_at_s - time.monotonic()))
            except queue.Empty:
                continue
            if job is None:
                return
            self._guarded(job)

    def _guarded(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - the supervisor of this thread
            self._log.exception("the link lane stumbled and goes on", extra={"event": "fault"})
