# ruff: noqa: INP001, T201 - a script that prints what it measured
"""What a clock tick costs that releases one event, while others wait under a clock fix.

Run: ``python -m bench.waiting [events] …``
"""

from __future__ import annotations

import random
import sys
import time

from meshlog.core.clockfix import Shift
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.core.identity import Identity
from meshlog.replica import Replica, join_open
from meshlog.store import SqliteStore

T0_MS = 1_750_000_000_000
HOUR_MS = 3_600_000
TICKS = 20


def tick_ms(events: int) -> float:
    """Return the CPU time of one tick, in milliseconds; the events stand a second apart."""
    store, who = SqliteStore(), Identity(random.Random(1).randbytes(64))  # noqa: S311
    join_open(store, who, "ann")
    ann = Replica(store, who, T0_MS, random.Random(2))  # noqa: S311
    for number in range(events):
        payload = {"record_id": f"r{number}", "field": "f", "value": number}
        ann.append("field.set", payload, T0_MS + number * 1_000)
    now_ms = T0_MS + events * 1_000
    ann.fix_clock(ann.data_feed, Shift(1, events, HOUR_MS), now_ms)
    due_ms = T0_MS + HOUR_MS - SKEW_MS_MAX
    ann.advance_horizon(due_ms)
    start_s = time.process_time()
    for number in range(1, TICKS + 1):
        ann.advance_horizon(due_ms + number * 1_000)
    assert len(ann.view.snapshot()) == TICKS + 1, "each tick has released one"
    return (time.process_time() - start_s) / TICKS * 1_000


for count in map(int, sys.argv[1:] or ("500", "2000")):
    print(f"{count} events, all but a few wait: {tick_ms(count):.2f} ms a tick")
