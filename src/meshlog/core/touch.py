"""Which record an event may touch, told from its body's bytes alone: an index costs little then."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from hashlib import blake2s

from meshlog.core.event import read_body

_NAME = b"record_id"
_TEXT, _LONG_TEXT = 0x60, 0x78
"""Heads of a text in CBOR, its size in the head and in the byte after it (RFC 8949 §3)."""

_SHORT_KEY = bytes((_TEXT + len(_NAME),))
_KEY = _SHORT_KEY + _NAME
_SHORT = {head: slice(1, head - _TEXT + 1) for head in range(_TEXT, _LONG_TEXT)}
"""Where a short text stands, by its head, from the head on."""


def touched(body: bytes) -> bytes:
    """Return the UTF-8 name of the record that a body is about; empty where it is about none.

    Right for every body that a view reads. For one that none reads it may be any bytes, so
    whoever finds an event by it reads what the event does.

    Cost: a search for a word; a decoding where the word is there twice, or oddly coded.
    """
    before, name, after = body.partition(_NAME)
    if not name:
        return b""
    if before[-1:] == _SHORT_KEY and len(after) > 1 and after.find(_NAME, 1) < 0:
        head = after[0]
        if _TEXT <= head < _LONG_TEXT:
            return after[1 : head - _TEXT + 1]
        if head == _LONG_TEXT:
            return after[2 : after[1] + 2]
    content = read_body(body)
    said = content.payload.get("record_id") if content else None
    return said.encode() if type(said) is str else b""


def touched_each(bodies: Sequence[bytes]) -> list[bytes]:
    """Return ``touched`` of each body. Cost: half as much for those that views write, together."""
    if b"".join(bodies).count(_NAME) == len(bodies):  # so each has one, or some have more
        with contextlib.suppress(LookupError):  # one has no such key, or no such text after it
            names = _names([body.split(_KEY)[1] for body in bodies])
            if all(names):
                return names
    return list(map(touched, bodies))


def _names(after: Sequence[bytes]) -> list[bytes]:
    """Return the texts at the start of what comes after each key.

    Raises:
        LookupError: There is none, or a very long one.
    """
    try:
        return [text[_SHORT[text[0]]] for text in after]
    except KeyError:
        return [
            text[2 : text[1] + 2] if text[0] == _LONG_TEXT else text[_SHORT[text[0]]]
            for text in after
        ]


def touch_marks(names: Iterable[bytes]) -> bytes:
    """Return for each name of a record 32 bytes, joined, whose first stand for it in an index.

    Hashes, for whoever looks for one of n names that share what the index keeps reads n events:
    of a CRC-32 a member makes thousands in no time, here each costs 2**32 hashes. BLAKE2s takes
    three quarters of the time of BLAKE2b.
    """
    return b"".join([blake2s(name).digest() for name in names])
