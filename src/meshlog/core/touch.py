"""Which record an event may touch, told from its body's bytes alone: an index costs little then."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b

from meshlog.core.codec import numbers_of
from meshlog.core.event import read_body

_NAME = b"record_id"
_TEXT, _LONG_TEXT = 0x60, 0x78
"""Heads of a text in CBOR, its size in the head and in the byte after it (RFC 8949 §3)."""

_SHORT_KEY = bytes((_TEXT + len(_NAME),))


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


def touch_keys(names: Iterable[bytes]) -> array[int]:
    """Return for each name of a record 32 bits that stand for it in an index; some share them.

    Hashes, for whoever looks for one of n names that share a key reads n events: of a CRC-32 a
    member makes thousands in no time, here each costs 2**32 hashes.
    """
    return numbers_of(b"".join([blake2b(name, digest_size=4).digest() for name in names]))
