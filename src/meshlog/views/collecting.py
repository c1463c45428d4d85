"""Work that makes many small objects, and next to no cycles of them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 100_000
"""New objects after which Python looks for cycles: at most some 10 MB. A choice."""


@contextmanager
def collecting_less() -> Iterator[None]:
    """Let Python look for cycles more seldom than after some hundred new objects.

    That is a tenth of the time that a check takes, and a fifth of what settling does.
    """
    before = gc.get_threshold()
    gc.set_threshold(COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
