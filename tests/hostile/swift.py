"""The liar in a hurry: what it made once is mixed, changed and sealed or signed anew.

Making a lie from nothing takes milliseconds, most of them range coding and CBOR; a change takes
microseconds. Lengths, seals and signatures are made to hold again, so that what comes after the
first check is reached.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random

from meshlog.core.codec import VARINT_MAX, block, varint
from meshlog.core.event import SEQ_MAX, Event
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.segment import encode_segment
from meshlog.errors import InputError
from meshlog.sync import messages as say
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from tests.hostile.mallory import STAMPS, Mallory

PER_KIND = 24
"""Examples of each type of message, of which each change is made."""

LARGE = 600
"""Bytes of a content from which on it is rarely told: decoding takes milliseconds."""

NUMBERS = (0, 1, 63, 64, 65, 127, 128, 255, 256, 1_024, 1_025, 20_000, 20_001, 65_535, 65_536,
           SEQ_MAX, SEQ_MAX + 1, VARINT_MAX)  # fmt: skip
EDGES = (*map(varint, NUMBERS), b"\xff" * 9, b"\x80\x00", b"\xff", bytes(16))


class Swift:
    """Tells changed lies of one liar; speaks through the doors that ``Mallory`` does."""

    def __init__(self, mallory: Mallory) -> None:
        """Make examples of every type of message, small ones and a few large ones."""
        self.mallory, self.who, self.rng = mallory, mallory.who, mallory.rng
        self.small: dict[int, list[bytes]] = {kind: [] for kind in say.Kind}
        self.large: list[tuple[int, bytes]] = []
        while any(len(found) < PER_KIND for found in self.small.values()):
            made = say.encode_message(mallory.message())
            kind, content = made[0], _content(made)
            if len(content) >= LARGE:
                self.large.append((kind, content))
            elif len(self.small[kind]) < PER_KIND:
                self.small[kind].append(content)
        self.bodies = [mallory.body() for _ in range(200)]
        self.kinds = [*self.small]

    def bundle(self) -> bytes:
        """A request or an answer: one message of it changed, now and then its frame."""
        rng = self.rng
        said = [self.message() for _ in range(rng.choice((1, 1, 2, 3)))]
        if rng.random() < 0.85:
            said = [*{one[0]: one for one in said}.values()]  # most types stand once
        at = rng.randrange(len(said))
        said[at] = self.message(rng.choice((0, 1, 1, 1, 2)))
        whole = b"".join(said)
        shape = rng.random()
        if shape < 0.03:
            return b"\x01" + changed(rng, whole)
        if shape < 0.05:
            return changed(rng, b"\x81" + zlib.compress(whole, 1, -15))
        return b"\x81" + zlib.compress(whole, 1, -15) if shape < 0.15 else b"\x01" + whole

    def message(self, changes: int = 0) -> bytes:
        """One message with so many changes inside; its length fits."""
        rng = self.rng
        if rng.random() < 0.1:
            return b"\x05" + block(self.signed())
        if rng.random() < 0.004 and self.large:
            kind, content = rng.choice(self.large)
        else:
            kind = rng.choice(self.kinds)
            content = rng.choice(self.small[kind])
        for _ in range(changes):
            content = changed(rng, content)
        return bytes((kind,)) + block(content)

    def signed(self) -> bytes:
        """A segment whose signature holds, of one or two events with a body that was changed."""
        rng, mallory = self.rng, self.mallory
        feed, first, prev, stamp = mallory.place()
        events: list[Event] = []
        for n in range(rng.choice((1, 1, 2))):
            body = rng.choice(self.bodies)
            if rng.random() < 0.5:
                body = changed(rng, body)
            stamp = _after(stamp) if rng.random() < 0.98 else rng.choice(STAMPS[:-3])
            place = min(first + n, SEQ_MAX)
            events.append(Event.make(feed, place, stamp, prev, body, mallory.replica.dataset))
            prev = events[-1].id
        try:
            data = encode_segment([*events[:-1], events[-1].signed(self.who)])
        except InputError:  # stamps that run backwards have no plain form
            return rng.choice(self.small[say.Kind.SEG])
        return changed(rng, data) if rng.random() < 0.1 else data

    def packet(self, air: AirKey) -> bytes:
        """A broadcast packet whose seal holds."""
        rng = self.rng
        if rng.random() < 0.1:
            return air.pack_beacon(self.mallory.beacon())
        cargo = self.message(rng.choice((0, 1, 1, 2)))[:CARGO_SIZE_MAX]
        return air.seal_bytes(rng.randbytes(2) + cargo)


def changed(rng: Random, data: bytes) -> bytes:
    """Return bytes with one change: an edge written over or put in, a cut, a flip, a repetition."""
    at = rng.randrange(len(data) + 1)
    edge = _pick(rng, EDGES)
    match rng.randrange(8):
        case 0 | 6 | 7:
            return data[:at] + edge + data[at + len(edge) :]
        case 1:
            return data[:at] + edge + data[at:]
        case 2:
            return data[:at]
        case 3:
            return data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]
        case 4:
            return data[:at] + data[at + rng.choice((1, 4, 8, 32)) :]
        case _:
            return data[:at] + data[max(at - 21, 0) :]


def _after(stamp: Stamp) -> Stamp:
    """Return the next stamp that there is."""
    if stamp.counter < COUNTER_MAX:
        return Stamp(stamp.wall_ms, stamp.counter + 1)
    return Stamp(min(stamp.wall_ms + 1, WALL_MS_MAX), 0)


def _pick(rng: Random, of: Sequence[bytes]) -> bytes:
    return of[rng.randrange(len(of))]


def _content(message: bytes) -> bytes:
    """Return the content of one encoded message."""
    at = 1
    while message[at] & 0x80:
        at += 1
    return message[at + 1 :]
