"""The one workload: four authors, a tenth as many records as events, mostly one field each.

Imported by both sides; needs nothing but the standard library, because the predecessor's
environment has its own package under our name.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

AUTHORS = 4
T0_MS = 1_750_000_000_000
FIELDS = ("depth_m", "status", "district", "functional", "visits")


def payloads(events: int, author: int, seed: int = 1) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and payload of each event that one author writes.

    Args:
        events: How many all authors write; each writes a quarter.
        author: 0 to 3.
        seed: The same seed, the same workload.
    """
    rng = random.Random(seed * 1_000 + author)  # noqa: S311 - a seed must repeat
    records = max(events // 10, 1)
    for _ in range(events // AUTHORS):
        field = rng.choice(FIELDS)
        value = {
            "depth_m": rng.randrange(100),
            "status": rng.choice(["OPENED", "CLOSED", "BROKEN"]),
            "district": rng.choice(["North", "Lakeside", "Hills"]),
            "functional": rng.random() < 0.5,
            "visits": rng.randrange(1_000),
        }[field]
        record_id = f"R-{rng.randrange(records)}"
        yield "field.set", {"record_id": record_id, "field": field, "value": value}
