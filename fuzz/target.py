"""What a fuzz target is, and how one input is judged."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable
from typing import NamedTuple

from meshlog.errors import MeshlogError

MIB = 1 << 20


class Target(NamedTuple):
    """One decoder under attack."""

    name: str
    check: Callable[[bytes], None]
    """Decodes an input; an ``AssertionError`` where what was accepted is not what comes back."""
    seeds: Callable[[], Iterable[bytes]]
    growth_bytes_max: int
    """The most memory that one input of at most ``size_max`` bytes may take while it is read."""
    size_max: int = 4_096


class TooHungryError(Exception):
    """An input took more memory than its target's limit."""


def judge(target: Target, data: bytes) -> bool:
    """Feed one input; say whether it was accepted.

    Raises:
        Exception: Whatever is no refusal: that is the finding.
    """
    try:
        target.check(data)
    except MeshlogError:
        return False
    return True


def weigh(target: Target, data: bytes) -> int:
    """Feed one input and return the most bytes of memory that this took.

    Raises:
        TooHungryError: More than the target's limit.
        Exception: As ``judge``.
    """
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        judge(target, data)
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    if grown > target.growth_bytes_max:
        raise TooHungryError(f"{target.name}: {len(data)} B of input took {grown} B of memory")
    return grown
