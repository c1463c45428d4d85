"""Work that makes many small objects, and next to no cycles of them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 100_003
"""New objects after which Python looks for cycles: at most some 10 MB. A choice; no round number,
so that it is known whose it is."""

_holders: list[None] = []
"""One for each that works, in any thread."""

_usual = [*gc.get_threshold()]
"""What the last that works brings back."""


@contextmanager
def collecting_less() -> Iterator[None]:
    """Let Python look for cycles more seldom than after some hundred new objects.

    That is a tenth of the time that a check takes, and a fifth of what settling does. Several
    threads may, and end in any order: no step here depends on what comes between two others, but
    for a turn of work that goes on at the usual pace. Who has set it to be seldom, or never,
    keeps that.
    """
    _holders.append(None)
    found = gc.get_threshold()
    if 0 < found[0] < COLLECT_AFTER:
        _usual[:] = found
        gc.set_threshold(COLLECT_AFTER, *found[1:])
    try:
        yield
    finally:
        _holders.pop()
        if not _holders and gc.get_threshold()[0] == COLLECT_AFTER:
            gc.set_threshold(*_usual)
