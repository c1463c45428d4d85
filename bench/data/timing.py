"""CPU and wall time of a stretch of work. Needs the standard library alone; see workload.py."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Spent:
    """Seconds of CPU and of the wall, since ``measured`` began."""

    cpu_s = 0.0
    wall_s = 0.0


@contextmanager
def measured(*, collects: bool = True) -> Iterator[Spent]:
    """Measure what the block takes; the collector has nothing left to do from before.

    Args:
        collects: False for less than a millisecond: a collection pushes everything out of the
            processor's caches, which then costs as much again, and nobody collects before a read.
    """
    if collects:
        gc.collect()
    spent = Spent()
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    yield spent
    spent.cpu_s, spent.wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s


def resident_bytes() -> int:
    """Return the memory of this process that is resident and its own (Linux)."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - both sides
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1_024
    return 0
