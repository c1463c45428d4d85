"""Which record an event may touch, told from its body's bytes alone: an index costs little then."""

from __future__ import annotations

from hashlib import blake2b

from meshlog.core.event import read_body

_NAME = b"record_id"
_SHORT_KEY = 0x60 + len(_NAME)
_TEXT, _LONG_TEXT = 0x60, 0x78
"""Heads of a text in CBOR, its size in the head and in the byte after it (RFC 8949 §3)."""


def touched(body: bytes) -> bytes:
    """Return the UTF-8 name of the record that a body is about; empty where it is about none.

    Right for every body that a view reads. For one that none reads it may be any bytes, so
    whoever finds an event by it reads what the event does.

    Cost: a search for a word; a decoding where the word is there twice, or oddly coded.
    """
    at = body.find(_NAME)
    if at < 0:
        return b""
    start = at + len(_NAME) + 1
    if 0 < at < len(body) - len(_NAME) - 1 and body[at - 1] == _SHORT_KEY:
        head = body[start - 1]
        if _TEXT <= head <= _LONG_TEXT and body.find(_NAME, start) < 0:
            if head < _LONG_TEXT:
                return body[start : start + head - _TEXT]
            return body[start + 1 : start + 1 + body[start]]
    content = read_body(body)
    name = content.payload.get("record_id") if content else None
    return name.encode() if type(name) is str else b""


def touch_key(name: bytes) -> int:
    """Return 32 bits that stand for a record's name in an index; some names share them.

    A hash, for whoever looks for one of n names that share a key reads n events: of a CRC-32 a
    member makes thousands in no time, here each costs 2**32 hashes.
    """
    return int.from_bytes(blake2b(name, digest_size=4).digest(), "big", signed=True)
