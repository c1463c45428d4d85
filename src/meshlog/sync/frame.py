"""Exchanges carried in plain messages, each with a MAC: the seed's transport seam, the simulator.

A message is a type byte, four bytes of exchange number, eight bytes of MAC under a key of
the dataset's, and a bundle: whoever holds none is not heard.
"""

from __future__ import annotations

from typing import NamedTuple

from meshlog.core.codec import Reader
from meshlog.errors import MalformedError
from meshlog.sync.gate import KeyGate

ASK = 0x51
ANSWER = 0x41
FRAME_DOMAIN = b"meshlog.frame.1\x00"


class Frame(NamedTuple):
    """A message, its MAC checked."""

    kind: int
    exchange: int
    bundle: bytes
    key: bytes
    """The dataset's key that its sender holds: an answer is made with the same."""


def encode_frame(
    gate: KeyGate, kind: int, exchange: int, bundle: bytes, key: bytes | None = None
) -> bytes:
    """Return the message that carries ``bundle``, under ``key`` or the current one."""
    head = bytes((kind,)) + exchange.to_bytes(4, "big")
    return head + gate.mac(FRAME_DOMAIN + head + bundle, key) + bundle


def decode_frame(gate: KeyGate, message: bytes) -> Frame | None:
    """Return the frame in a message, or None where it is not one of our dataset's."""
    try:
        reader = Reader(message)
        kind, exchange, mac = reader.uint(1), reader.uint(4), reader.take(8)
    except (MalformedError, TypeError):
        return None
    bundle = message[13:]
    if kind not in (ASK, ANSWER):
        return None
    key = gate.key_of(mac, FRAME_DOMAIN + message[:5] + bundle)
    return None if key is None else Frame(kind, exchange, bundle, key)
