"""What people write during a storm: the same few records, edited by everybody at once."""

from __future__ import annotations

import random
from typing import Any

RECORDS = 6
FIELDS = ("status", "depth_m", "pump", "name")
MANY_MAX = 70
"""Rows of an import: more than one cut."""

Items = list[tuple[str, dict[str, Any]]]


def some_items(luck: random.Random, mark: str) -> Items:
    """Return what one person writes in one go; ``mark`` stands in every text of it."""
    if luck.random() < 0.05:
        return [_note(luck, f"{mark} row {row}") for row in range(luck.randint(2, MANY_MAX))]
    return [_one(luck, mark)]


def _one(luck: random.Random, mark: str) -> tuple[str, dict[str, Any]]:
    record = f"R-{luck.randrange(RECORDS)}"
    field = luck.choice(FIELDS)
    match luck.randrange(10):
        case 0:
            return "record.create", {"record_id": record, "form": "water_point", "by": mark}
        case 1 | 2 | 3:
            value = luck.choice((mark, luck.randrange(100), None, 2.5))
            return "field.set", {"record_id": record, "field": field, "value": value}
        case 4 | 5:
            fields = {name: f"{mark} {luck.randrange(9)}" for name in FIELDS}
            return "record.put", {"record_id": record, "fields": fields}
        case 6:
            return "record.delete", {"record_id": record}
        case 7:
            return "alien.kind", {"mark": mark, "blob": luck.randbytes(40)}
        case 8:
            return _note(luck, mark + " long" * luck.randrange(400))
    return _note(luck, mark)


def _note(luck: random.Random, text: str) -> tuple[str, dict[str, Any]]:
    return "note.add", {"record_id": f"R-{luck.randrange(RECORDS)}", "text": text}
