"""Bulk over a link, as Reticulum's Resources do it: offered, pulled in windows, proved.

Simplified: windows grow by one for each that came whole and shrink by one for each that did not,
parts are named by number, patience follows the pace of the last parts, and a lost proof is
fetched by offering again.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from meshlog.core import air
from meshlog.sim.agenda import Agenda
from meshlog.sim.link import Link
from meshlog.sim.wire import Kind, Packet

WINDOW_FIRST, WINDOW_MIN, WINDOW_MAX = 4, 2, 10
"""Parts asked for at once. Source: RNS 1.5.7, its limits for slow links."""

OFFERS_MAX, PULLS_MAX = 5, 16
"""How often an offer stands without a sign of life, and how often in a row parts are asked for
in vain. Source: RNS 1.5.7."""

GRACE_MS = 1_000
"""Patience beyond what the air needs. Source: RNS 1.5.7, for the first offer."""

SIZE_MAX = 1_000_064
"""Bytes of one Resource: a request or answer with its packing."""

DONE_MAX = 64
"""Resources that a station remembers as received, to prove them again."""

_OFFER = struct.Struct(">BIHI")


class Parcel(NamedTuple):
    """What one Resource carries."""

    link: Link
    number: int
    """Of the request or message."""
    kind: Kind
    """REQUEST, RESPONSE or MESSAGE."""
    load: bytes
    packing: int
    """Bytes that Reticulum packs around the load."""
    label: str

    def sizes(self) -> list[int]:
        """Return the sizes on air of its parts."""
        return air.part_sizes(len(self.load) + self.packing)

    def part(self, index: int) -> bytes:
        """Return the load's share in a part."""
        return self.load[index * air.PART_SIZE_MAX : (index + 1) * air.PART_SIZE_MAX]


class Put(Protocol):
    """Sends a packet over a link."""

    def __call__(
        self,
        link: Link,
        kind: Kind,
        size: int,
        label: str,
        number: int = 0,
        *,
        place: int = 0,
        data: bytes = b"",
    ) -> None:
        """Send it, once."""


@dataclass(slots=True)
class _Outgoing:
    parcel: Parcel
    progress: Callable[[float], None]
    done: Callable[[], None] | None
    sent: set[int] = field(default_factory=set)
    offers: int = 0
    timer: int = 0


@dataclass(slots=True)
class _Incoming:
    parcel: Parcel
    """Without its load."""
    total: int
    pace_ms: float
    """How long a part takes, as the last ones did."""
    parts: dict[int, bytes] = field(default_factory=dict)
    wanted: set[int] = field(default_factory=set)
    window: int = WINDOW_FIRST
    vain: int = 0
    since_ms: int = 0
    """When the last part came, or parts were asked for."""
    timer: int = 0


class Resources:
    """All Resources of one station."""

    def __init__(
        self, agenda: Agenda, lora: air.LoRa, put: Put, came: Callable[[Parcel], None]
    ) -> None:
        """Send with ``put``; ``came`` takes what arrived whole."""
        self._agenda = agenda
        self._put = put
        self._came = came
        self._part_ms = math.ceil(lora.airtime_ms(air.HEADER + air.PART_SIZE_MAX))
        self._numbers = 0
        self._out: dict[tuple[int, int], _Outgoing] = {}
        self._waiting: dict[int, deque[tuple[int, _Outgoing]]] = {}
        self._in: dict[tuple[int, int], _Incoming] = {}
        self._done: dict[tuple[int, int], str] = {}

    def send(
        self,
        parcel: Parcel,
        progress: Callable[[float], None],
        done: Callable[[], None] | None = None,
    ) -> None:
        """Send a parcel, after those before it on the same link."""
        self._numbers += 1
        queue = self._waiting.setdefault(parcel.link.number, deque())
        queue.append((self._numbers, _Outgoing(parcel, progress, done)))
        self._start_next(parcel.link)

    def forget(self, link: Link) -> None:
        """Drop all that belongs to a link."""
        self._waiting.pop(link.number, None)
        for key in [key for key in self._out if key[0] == link.number]:
            del self._out[key]
        for key in [key for key in self._in if key[0] == link.number]:
            del self._in[key]

    def heard(self, link: Link, packet: Packet) -> None:
        """Take one packet of a Resource, of either direction."""
        key = link.number, packet.number
        match packet.kind:
            case Kind.OFFER:
                self._offered(link, key, packet)
            case Kind.PART if incoming := self._in.get(key):
                self._take(key, incoming, packet)
            case Kind.PULL if outgoing := self._out.get(key):
                self._pulled(key, outgoing, packet)
            case Kind.PROOF if outgoing := self._out.pop(key, None):
                outgoing.progress(1.0)
                if outgoing.done is not None:
                    outgoing.done()
                self._start_next(link)
            case _:
                pass

    # ── sending ─────────────────────────────────────────────────────────────────────

    def _start_next(self, link: Link) -> None:
        queue = self._waiting.get(link.number)
        if queue and not any(key[0] == link.number for key in self._out):
            number, outgoing = queue.popleft()
            self._out[link.number, number] = outgoing
            self._offer(number, outgoing)

    def _offer(self, number: int, outgoing: _Outgoing) -> None:
        parcel = outgoing.parcel
        outgoing.offers += 1
        data = _OFFER.pack(parcel.kind, parcel.number, parcel.packing, len(parcel.load))
        data += parcel.label.encode()
        size = air.RESOURCE_ADVERTISEMENT
        self._put(parcel.link, Kind.OFFER, size, parcel.label, number, data=data)
        self._wait_out((parcel.link.number, number), outgoing, 0)

    def _pulled(self, key: tuple[int, int], outgoing: _Outgoing, packet: Packet) -> None:
        parcel, sizes = outgoing.parcel, outgoing.parcel.sizes()
        wanted = [index for (index,) in struct.iter_unpack(">H", packet.data)]
        for index in wanted[:WINDOW_MAX]:
            if index < len(sizes):
                self._put(
                    parcel.link,
                    Kind.PART,
                    sizes[index],
                    parcel.label,
                    key[1],
                    place=index,
                    data=parcel.part(index),
                )
                outgoing.sent.add(index)
        outgoing.offers = 1
        outgoing.progress(min(len(outgoing.sent) / len(sizes), 0.99))
        self._wait_out(key, outgoing, 2 * len(wanted))

    def _wait_out(self, key: tuple[int, int], outgoing: _Outgoing, parts: int) -> None:
        outgoing.timer += 1
        wait_ms = GRACE_MS + 4 * outgoing.parcel.link.rtt_ms + parts * self._part_ms
        late = partial(self._late_out, key, outgoing, outgoing.timer)
        self._agenda.later(wait_ms, late)

    def _late_out(self, key: tuple[int, int], outgoing: _Outgoing, timer: int) -> None:
        if self._out.get(key) is not outgoing or outgoing.timer != timer:
            return
        if outgoing.offers < OFFERS_MAX:
            self._offer(key[1], outgoing)
            return
        del self._out[key]
        self._start_next(outgoing.parcel.link)

    # ── receiving ───────────────────────────────────────────────────────────────────

    def _offered(self, link: Link, key: tuple[int, int], packet: Packet) -> None:
        kind, number, packing, size = _OFFER.unpack_from(packet.data)
        label = packet.data[_OFFER.size :].decode()
        if key in self._done:
            self._put(link, Kind.PROOF, air.RESOURCE_PROOF, label, key[1])
            return
        if size + packing > SIZE_MAX or (kind == Kind.RESPONSE and number not in link.waiting):
            return
        parcel = Parcel(link, number, Kind(kind), b"", packing, label)
        if key not in self._in:
            total = len(air.part_sizes(size + packing))
            self._in[key] = _Incoming(parcel, total, self._part_ms)
        self._pull(key, self._in[key])

    def _pull(self, key: tuple[int, int], incoming: _Incoming) -> None:
        missing = (index for index in range(incoming.total) if index not in incoming.parts)
        wanted = [index for index, _ in zip(missing, range(incoming.window), strict=False)]
        incoming.wanted = set(wanted)
        data = b"".join(struct.pack(">H", index) for index in wanted)
        parcel = incoming.parcel
        self._put(parcel.link, Kind.PULL, air.RESOURCE_REQUEST, parcel.label, key[1], data=data)
        self._wait_in(key, incoming)

    def _take(self, key: tuple[int, int], incoming: _Incoming, packet: Packet) -> None:
        took_ms = self._agenda.now_ms - incoming.since_ms
        incoming.pace_ms = max((incoming.pace_ms + took_ms) / 2, self._part_ms)
        incoming.parts[packet.place] = packet.data
        incoming.wanted.discard(packet.place)
        incoming.vain = 0
        parcel = incoming.parcel
        waiting = parcel.link.waiting.get(parcel.number)
        if parcel.kind is Kind.RESPONSE and waiting is not None:
            waiting[1](1 + len(incoming.parts) / incoming.total)
        if len(incoming.parts) == incoming.total:
            self._finish(key, incoming)
        elif not incoming.wanted:
            incoming.window = min(incoming.window + 1, WINDOW_MAX)
            self._pull(key, incoming)
        else:
            self._wait_in(key, incoming)

    def _finish(self, key: tuple[int, int], incoming: _Incoming) -> None:
        del self._in[key]
        self._done[key] = incoming.parcel.label
        if len(self._done) > DONE_MAX:
            del self._done[next(iter(self._done))]
        parcel = incoming.parcel
        self._put(parcel.link, Kind.PROOF, air.RESOURCE_PROOF, parcel.label, key[1])
        load = b"".join(incoming.parts[index] for index in range(incoming.total))
        self._came(parcel._replace(load=load))

    def _wait_in(self, key: tuple[int, int], incoming: _Incoming) -> None:
        incoming.timer += 1
        incoming.since_ms = self._agenda.now_ms
        parts_ms = int(2 * len(incoming.wanted) * incoming.pace_ms)
        wait_ms = GRACE_MS + 2 * incoming.parcel.link.rtt_ms + parts_ms
        late = partial(self._late_in, key, incoming, incoming.timer)
        self._agenda.later(wait_ms, late)

    def _late_in(self, key: tuple[int, int], incoming: _Incoming, timer: int) -> None:
        if self._in.get(key) is not incoming or incoming.timer != timer:
            return
        incoming.vain += 1
        if incoming.vain > PULLS_MAX:
            del self._in[key]
            return
        incoming.window = max(incoming.window - 1, WINDOW_MIN)
        incoming.pace_ms *= 2
        self._pull(key, incoming)
