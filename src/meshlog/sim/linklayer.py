"""Reticulum's links as one station sees them: set-up, packets, requests, close.

The other end may believe something else: when the third packet of a set-up is lost, only one end
holds a link. Nothing here repeats a packet; that is the user's business, as with Reticulum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

from meshlog.core import air
from meshlog.sim.agenda import Agenda
from meshlog.sim.link import Link
from meshlog.sim.radio import Station
from meshlog.sim.resource import Parcel, Resources
from meshlog.sim.wire import Kind, Packet, decode, encode
from meshlog.transport import pacing

REQUEST_PACKING = 31
"""Bytes that Reticulum packs around a request: time, hash of the path, lengths."""

RESPONSE_PACKING = 22

SETUP_LABEL, CLOSE_LABEL = "link-setup", "link-close"

LINKS_MAX = 256
"""Links that one station holds; the next is refused."""


class LinkUser(Protocol):
    """What happens. Calls back into the layer are welcome."""

    def shouted(self, src: str, load: bytes) -> None:
        """A broadcast was heard."""

    def announced(self, src: str, app_data: bytes) -> None:
        """An announce was heard."""

    def established(self, link: Link) -> None:
        """A link is up, as far as this end knows."""

    def closed(self, link: Link) -> None:
        """A link is gone, or never came up."""

    def served(self, link: Link, load: bytes, reply: Callable[[bytes], None]) -> None:
        """A request came; ``reply`` may be called later, once, or never."""

    def told(self, link: Link, number: int, load: bytes) -> None:
        """A message came, maybe once more."""

    def proved(self, link: Link, number: int) -> None:
        """Our message arrived."""


def _deaf(_src: str, _packet: bytes) -> None:
    """Hear nothing."""


class LinkLayer:
    """All links of one station.

    Loads above what one packet holds travel as Resources.
    """

    def __init__(
        self,
        station: Station,
        agenda: Agenda,
        lora: air.LoRa,
        user: LinkUser,
        new_id: Callable[[], int],
    ) -> None:
        """Listen at ``station``; ``new_id`` draws 64-bit numbers of links."""
        self.links: dict[int, Link] = {}
        self._station = station
        self._agenda = agenda
        self._lora = lora
        self._user = user
        self._new_id = new_id
        self._numbers = 0
        self._resources = Resources(agenda, lora, self._put, self._parcel_came)
        station.on_packet = self._heard

    # ── sending ─────────────────────────────────────────────────────────────────────

    def shout(self, load: bytes, label: str) -> bool:
        """Broadcast at most ``air.PLAIN_LOAD_MAX`` bytes; say whether the modem took it.

        The station's limit does not hold it back: whoever shouts keeps to his own budget.
        """
        assert len(load) <= air.PLAIN_LOAD_MAX, "a broadcast is one packet"
        packet = encode(Packet(Kind.SHOUT, "", data=load))
        return self._station.send(packet, air.plain_size(len(load)), label, limited=False)

    def announce(self, app_data: bytes) -> None:
        """Tell the neighbours that we are here."""
        packet = encode(Packet(Kind.ANNOUNCE, "", data=app_data))
        self._station.send(packet, air.announce_size(len(app_data)), "announce")

    def open(self, peer: str) -> Link:
        """Request a link; ``established`` or ``closed`` follows."""
        link = Link(self._new_id(), peer, dialled_by_us=True, opened_ms=self._agenda.now_ms)
        self.links[link.number] = link
        self._put(link, Kind.LINK_REQUEST, air.LINK_REQUEST, SETUP_LABEL)
        wait_ms = pacing.dial_deadline_s(1, self._lora.bit_rate_bps) * 1_000
        self._agenda.later(math.ceil(wait_ms), partial(self._give_up, link))
        return link

    def request(
        self,
        link: Link,
        load: bytes,
        label: str,
        answered: Callable[[bytes], None],
        progress: Callable[[float], None],
    ) -> None:
        """Send a request, once.

        Args:
            link: One of this end; if it is gone nothing happens.
            load: What ``served`` gets.
            label: What its packets count as; a Resource's as label and ``-bulk``.
            answered: Takes the answer, if there is one.
            progress: Takes 0 to 1 as a bulk request goes out, then 1 to 2 as a bulk answer comes.
        """
        number = self._number()
        link.waiting[number] = answered, progress
        if len(load) + REQUEST_PACKING <= air.LINK_LOAD_MAX:
            size = air.link_packet_size(len(load) + REQUEST_PACKING)
            self._put(link, Kind.REQUEST, size, label, number, data=load)
        else:
            parcel = Parcel(link, number, Kind.REQUEST, load, REQUEST_PACKING, f"{label}-bulk")
            self._resources.send(parcel, progress)

    def message(self, link: Link, number: int, load: bytes, label: str) -> None:
        """Send a message, once; ``proved`` may follow.

        Args:
            link: One of this end.
            number: The sender's own; the same for a repetition.
            load: What ``told`` gets.
            label: What all its packets count as, the receipt included.
        """
        if len(load) <= air.LINK_LOAD_MAX:
            data = bytes((len(label),)) + label.encode() + load
            size = air.link_packet_size(len(load))
            self._put(link, Kind.MESSAGE, size, label, number, data=data)
        else:
            parcel = Parcel(link, number, Kind.MESSAGE, load, 0, label)
            self._resources.send(parcel, lambda _: None, partial(self._user.proved, link, number))

    def drop(self, link: Link) -> None:
        """Tear a link down; the other end learns it if it hears it."""
        if link.active and link.number in self.links:
            self._put(link, Kind.LINK_CLOSE, air.LINK_CLOSE, CLOSE_LABEL)
        self._forget(link)

    def lose(self, peer: str) -> None:
        """Give up every link with somebody who is gone for good, as Reticulum does in the end."""
        for link in [link for link in self.links.values() if link.peer == peer]:
            self._forget(link)
            self._user.closed(link)

    def forget_all(self) -> None:
        """Lose everything and hear nothing more, as after a power cut."""
        self._station.on_packet = _deaf
        for link in list(self.links.values()):
            self._forget(link)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _put(
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
        packet = Packet(kind, link.peer, link.number, number, place, data)
        self._station.send(encode(packet), size, label)

    def _forget(self, link: Link) -> None:
        if self.links.pop(link.number, None) is not None:
            link.active = False
            link.waiting.clear()
            self._resources.forget(link)

    def _give_up(self, link: Link) -> None:
        if not link.active and link.number in self.links:
            self._forget(link)
            self._user.closed(link)

    # ── hearing ─────────────────────────────────────────────────────────────────────

    def _heard(self, src: str, data: bytes) -> None:
        packet = decode(data)
        if packet is None or packet.dst not in ("", self._station.name):
            return
        match packet.kind:
            case Kind.SHOUT:
                self._user.shouted(src, packet.data)
            case Kind.ANNOUNCE:
                self._user.announced(src, packet.data)
            case Kind.LINK_REQUEST:
                self._requested(src, packet)
            case _:
                link = self.links.get(packet.link)
                if link is not None and link.peer == src:
                    self._heard_on(link, packet)

    def _requested(self, src: str, packet: Packet) -> None:
        if packet.link in self.links or len(self.links) >= LINKS_MAX:
            return
        link = Link(packet.link, src, dialled_by_us=False, opened_ms=self._agenda.now_ms)
        self.links[link.number] = link
        self._put(link, Kind.LINK_PROOF, air.LINK_PROOF, SETUP_LABEL)
        wait_ms = pacing.proof_deadline_s(0.0, self._lora.bit_rate_bps) * 1_000
        self._agenda.later(math.ceil(wait_ms), partial(self._give_up, link))

    def _heard_on(self, link: Link, packet: Packet) -> None:
        match packet.kind:
            case Kind.LINK_PROOF if link.dialled_by_us and not link.active:
                self._put(link, Kind.LINK_RTT, air.LINK_RTT, SETUP_LABEL)
                self._activate(link)
            case Kind.LINK_RTT if not link.dialled_by_us and not link.active:
                self._activate(link)
            case Kind.LINK_CLOSE:
                self._forget(link)
                self._user.closed(link)
            case _ if not link.active:
                pass  # the third packet was lost: this end drops everything, silently
            case Kind.REQUEST:
                self._serve(link, packet.number, packet.data, "link")
            case Kind.RESPONSE:
                self._answered(link, packet.number, packet.data)
            case Kind.MESSAGE:
                size = packet.data[0]
                label = packet.data[1 : 1 + size].decode()
                self._put(link, Kind.MESSAGE_PROOF, air.PACKET_PROOF, label, packet.number)
                self._user.told(link, packet.number, packet.data[1 + size :])
            case Kind.MESSAGE_PROOF:
                self._user.proved(link, packet.number)
            case _:
                self._resources.heard(link, packet)

    def _activate(self, link: Link) -> None:
        link.active = True
        link.rtt_ms = self._agenda.now_ms - link.opened_ms
        self._user.established(link)

    def _serve(self, link: Link, number: int, load: bytes, label: str) -> None:
        def reply(answer: bytes) -> None:
            if not link.active:
                return
            if len(answer) + RESPONSE_PACKING <= air.LINK_LOAD_MAX:
                size = air.link_packet_size(len(answer) + RESPONSE_PACKING)
                self._put(link, Kind.RESPONSE, size, label, number, data=answer)
            else:
                parcel = Parcel(
                    link, number, Kind.RESPONSE, answer, RESPONSE_PACKING, f"{label}-bulk"
                )
                self._resources.send(parcel, lambda _: None)

        self._user.served(link, load, reply)

    def _answered(self, link: Link, number: int, answer: bytes) -> None:
        waiting = link.waiting.pop(number, None)
        if waiting is not None:
            waiting[0](answer)

    def _parcel_came(self, parcel: Parcel) -> None:
        match parcel.kind:
            case Kind.REQUEST:
                self._serve(parcel.link, parcel.number, parcel.load, "link")
            case Kind.RESPONSE:
                self._answered(parcel.link, parcel.number, parcel.load)
            case _:
                self._user.told(parcel.link, parcel.number, parcel.load)
