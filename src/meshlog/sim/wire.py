"""What simulated Reticulum puts on the air. Its own bytes; the sizes are Reticulum's.

A packet's bytes here say who and what; ``core.air`` says how large the real one would be.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum, auto
from typing import NamedTuple


class Kind(IntEnum):
    """What a packet is."""

    SHOUT = auto()
    ANNOUNCE = auto()
    LINK_REQUEST = auto()
    LINK_PROOF = auto()
    LINK_RTT = auto()
    LINK_CLOSE = auto()
    REQUEST = auto()
    RESPONSE = auto()
    MESSAGE = auto()
    MESSAGE_PROOF = auto()
    OFFER = auto()
    """A Resource is advertised."""
    PULL = auto()
    """Its next parts are asked for."""
    PART = auto()
    PROOF = auto()
    """It arrived whole."""


class Packet(NamedTuple):
    """One packet of the link lane, or a broadcast."""

    kind: Kind
    dst: str
    """The station that it is for; empty for all."""
    link: int = 0
    """Names a link, 64 bits."""
    number: int = 0
    """Names a request, a message or a Resource on it, 32 bits."""
    place: int = 0
    """Of a part, from 0."""
    data: bytes = b""


_HEAD = struct.Struct(">BQIHB")
_CHECK = struct.Struct(">I")


def encode(packet: Packet) -> bytes:
    """Return the bytes that travel."""
    dst = packet.dst.encode()
    head = _HEAD.pack(packet.kind, packet.link, packet.number, packet.place, len(dst))
    if packet.kind is Kind.SHOUT:
        return head + packet.data  # nobody checks a broadcast: whoever opens it has to
    body = head + dst + packet.data
    return body + _CHECK.pack(zlib.crc32(body))


def decode(data: bytes) -> Packet | None:
    """Return the packet, or None where a bit is wrong: under a real link's key it shows."""
    if len(data) < _HEAD.size:
        return None
    kind, link, number, place, dst_size = _HEAD.unpack_from(data)
    if kind == Kind.SHOUT:
        return Packet(Kind.SHOUT, "", data=data[_HEAD.size :])
    body, check = data[: -_CHECK.size], data[-_CHECK.size :]
    if check != _CHECK.pack(zlib.crc32(body)):
        return None
    start = _HEAD.size + dst_size
    dst = body[_HEAD.size : start].decode()
    return Packet(Kind(kind), dst, link, number, place, body[start:])
