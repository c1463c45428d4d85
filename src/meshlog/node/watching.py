"""Waiting for the view to change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from meshlog.views.watch import Cursor, ViewChange

POLL_S = 0.2
"""How often a watch looks: one index look-up of some 10 µs, so nobody who writes need know that
somebody watches. A choice: a person takes it for at once."""


def follow(
    place: Cursor,
    read: Callable[[Cursor], tuple[list[ViewChange], Cursor]],
    wait_s: float | None,
) -> Iterator[ViewChange]:
    """Yield changes as ``Node.watch`` promises.

    Args:
        place: Where to begin.
        read: Returns the next changes, and the cursor behind them: the same one where nothing
            is new. Called again and again.
        wait_s: Seconds without a change until the end; None waits for ever.
    """
    quiet_since_s = time.monotonic()
    while True:
        found, then = read(place)
        if then != place:
            yield from found
            place, quiet_since_s = then, time.monotonic()
            continue
        pause_s = POLL_S
        if wait_s is not None:
            pause_s = min(POLL_S, quiet_since_s + wait_s - time.monotonic())
            if pause_s <= 0:
                return
        time.sleep(pause_s)
