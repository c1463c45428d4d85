"""The golden vectors of docs/protocol.md, as the tests read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshlog.core.event import DatasetId, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId

FOLDER = Path(__file__).parents[1] / "vectors"


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def cases(name: str, group: str) -> Any:
    """Return a parametrization over one list of a file, each case under its name."""
    listed = load(name)[group]
    ids = [case.get("name") if isinstance(case, dict) else None for case in listed]
    return pytest.mark.parametrize("case", listed, ids=ids)


def untagged(value: Any) -> Any:
    """Return a CBOR value from JSON, byte strings restored."""
    if isinstance(value, dict):
        if set(value) == {"$bytes"}:
            return bytes.fromhex(value["$bytes"])
        return {key: untagged(item) for key, item in value.items()}
    return [untagged(item) for item in value] if isinstance(value, list) else value


def feed(text: str) -> FeedKey:
    raw = bytes.fromhex(text)
    return FeedKey(AuthorId(raw[:16]), FeedKind(raw[16]), int.from_bytes(raw[17:], "big"))


def dataset(text: str) -> DatasetId:
    return DatasetId(EventId(bytes.fromhex(text)))
