"""The attacks in the predecessor's words: JSON over a link, as its documentation describes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

NOW_MS = 1_750_000_000_000
_BATCH = 500

_WRONG: tuple[Any, ...] = (None, True, -1, 1.5, "x", [], {}, [1, "x"], "9" * 4_300, 10**400)


def event(author: Any = "mallory", seq: Any = 1, **changed: Any) -> dict[str, Any]:
    """Return an event whose id is that of its content; ``changed`` replaces keys before that."""
    wire = {
        "a": author, "s": seq, "h": [NOW_MS, 0], "k": "field.set", "v": "",
        "p": {"record_id": "W-1", "field": "depth", "value": "forged"},
    } | changed  # fmt: skip
    names = {"a": "author", "s": "seq", "h": "hlc", "k": "kind", "p": "payload", "v": "prev"}
    parts = {names[key]: wire[key] for key in names}
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    return wire | {"i": hashlib.sha256(canonical).hexdigest()[:32]}


def _events(*events: dict[str, Any]) -> bytes:
    return json.dumps({"t": "events", "e": events}, separators=(",", ":")).encode()


def messages(attack: str, victim: str) -> Iterator[bytes]:
    """Yield the messages of one attack on the node of an author."""
    match attack:
        case "forged author":
            yield _events(event("base camp"))
        case "squatted slot":
            yield _events(event(victim, 51))
            yield _events(event("0123456789abcdef0123456789abcdef", 1))
        case "frontier request":
            yield b'{"t":"frontier","f":{}}'
        case "20,000 made-up authors":
            for first in range(0, 20_000, _BATCH):
                yield _events(*(event(f"{n:032x}") for n in range(first, first + _BATCH)))
        case "one packet, wrong type":
            yield _events(event(7, k="x", p={}, h=[1, 0]))
        case "seq-gap flood, 31 MB":
            for first in range(0, 31_000, _BATCH):
                numbers = range(first + 60, first + 60 + _BATCH)
                yield _events(*(event("gap", n, p={"x": f"{n:08}" * 125}) for n in numbers))
        case "a Resource that inflates":
            yield bytes(10 * 1024 * 1024)
        case "far-future stamps":
            yield _events(event("future", h=[9_000_000_000_000_000, 0]))
        case "small-order key":
            yield _events(event("small", g="01" + "00" * 63))
        case "malformed of every kind":
            yield from _malformed()


def _malformed() -> Iterator[bytes]:
    yield from (
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b'{"t":1}',
        b'{"t":"events"}',
        b'{"t":"frontier"}',
    )
    for wrong in _WRONG:
        yield json.dumps({"t": "frontier", "f": wrong}).encode()
        yield json.dumps({"t": "frontier", "f": {"base": wrong}}).encode()
        yield json.dumps({"t": "events", "e": wrong}).encode()
        yield json.dumps({"t": "events", "e": [wrong]}).encode()
        for key in "ashkpvi":
            try:
                yield _events(
                    event(f"m{key}", **({} if key == "i" else {key: wrong})) | {key: wrong}
                )
            except (TypeError, ValueError):
                continue
