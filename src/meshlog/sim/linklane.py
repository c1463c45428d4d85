"""The ``Links`` port over simulated Reticulum, without threads.

What is repeated when, when to dial and to give up is decided by the very code that decides it over
real Reticulum: ``transport.exchanges`` and ``transport.pacing``. Peers go by their stations' names.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import assert_never

from meshlog.core.air import LoRa
from meshlog.ports.links import Asked, LinkEvent, Overheard, Peer, PeerSeen
from meshlog.sim.agenda import Agenda
from meshlog.sim.link import Link
from meshlog.sim.linklayer import LinkLayer
from meshlog.sim.radio import Station
from meshlog.sync.gate import KeyGate
from meshlog.transport import pacing
from meshlog.transport.exchanges import (
    NONCE_BYTES,
    Act,
    Conversation,
    Dial,
    Drop,
    Line,
    LinkId,
    Phase,
    Send,
    Tell,
    Undial,
)

HELLO, EXCHANGE = b"h", b"x"
"""First byte of a request: stands for the hash of a path, which ``linklayer`` counts."""

HELLO_TRIES = 2
"""As over real Reticulum."""

PACKET_BYTES = 391
"""The largest request that counts as one packet, as over real Reticulum."""

TICK_MS, RESTING_TICK_MS = 1_000, 5_000
"""How late a deadline may be noticed: while something is under way, and otherwise."""

TAG_SIZE = 8


class LinkLane:
    """One device's end of the link lane; a ``LinkUser``."""

    def __init__(
        self,
        station: Station,
        agenda: Agenda,
        lora: LoRa,
        rng: random.Random,
        *,
        gate: KeyGate,
        hint: Callable[[], bytes],
        deliver: Callable[[LinkEvent], None],
    ) -> None:
        """Take over a station.

        Args:
            station: Its queue and its air become ours.
            agenda: Time.
            lora: What the station is set to.
            rng: Luck.
            gate: Proves and checks every link before it counts.
            hint: What to carry in announces.
            deliver: Takes what happens.
        """
        self.name = Peer(station.name)
        self._agenda = agenda
        self._rate_bps = lora.bit_rate_bps
        self._rng = rng
        self._gate = gate
        self._hint = hint
        self._deliver = deliver
        self._layer = LinkLayer(station, agenda, lora, self, partial(rng.getrandbits, 64))
        self._talks: dict[Peer, Conversation] = {}
        self._known: set[Peer] = set()
        self._dials: dict[Peer, Link | None] = {}
        self._proven: dict[int, Link] = {}
        self._attempts: dict[Peer, int] = {}
        self._tokens = 0
        self._open: dict[int, tuple[Peer, bytes, Callable[[bytes], None]]] = {}
        self._kept: dict[Peer, tuple[bytes, bytes]] = {}
        self._ticking = False
        self._closed = False

    # ── the port ────────────────────────────────────────────────────────────────────

    def ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        """See Links.ask."""
        self._do(peer, self._talk(peer).ask(exchange, request, self._now_s))

    def answer(self, token: int, answer: bytes) -> None:
        """See Links.answer."""
        opened = self._open.pop(token, None)
        if opened is not None:
            peer, nonce, reply = opened
            self._kept[peer] = nonce, answer
            reply(answer)

    def announce(self) -> None:
        """See Links.announce; here at once, whoever plans it keeps to the habit."""
        self._layer.announce(self._gate.tag() + self._hint())

    def shout(self, packet: bytes, label: str) -> None:
        """See Links.shout; counted as ``label``."""
        self._layer.shout(packet, label)

    def close(self) -> None:
        """Lose everything without a word, as a device without power does."""
        self._closed = True
        self._deliver = lambda _event: None
        self._layer.forget_all()
        self._talks.clear()
        self._dials.clear()

    def lose(self, peer: Peer) -> None:
        """See LinkLayer.lose."""
        self._layer.lose(peer)

    # ── what the link layer reports ─────────────────────────────────────────────────

    def shouted(self, src: str, load: bytes) -> None:
        """See LinkUser.shouted: who it was stays unknown, as over the air."""
        del src
        self._deliver(Overheard(load))

    def announced(self, src: str, app_data: bytes) -> None:
        """See LinkUser.announced. A bad tag ends here."""
        if self._closed or app_data[:TAG_SIZE] != self._gate.tag():
            return
        peer = Peer(src)
        self._known.add(peer)
        if talk := self._talks.get(peer):
            self._do(peer, talk.heard(self._now_s))
        self._deliver(PeerSeen(peer, app_data[TAG_SIZE:]))

    def established(self, link: Link) -> None:
        """See LinkUser.established. It proves nothing yet."""
        if link.dialled_by_us and self._dials.get(Peer(link.peer)) is link:
            self._say_hello(link, 1)

    def closed(self, link: Link) -> None:
        """See LinkUser.closed."""
        peer = Peer(link.peer)
        if self._proven.pop(link.number, None) is not None:
            if talk := self._talks.get(peer):
                self._do(peer, talk.lost(_id(link), self._now_s))
        elif self._dials.get(peer) is link:
            self._fail_dial(peer, "no answer")

    def served(self, link: Link, load: bytes, reply: Callable[[bytes], None]) -> None:
        """See LinkUser.served."""
        path, load = load[:1], load[1:]
        if path == HELLO:
            self._check_hello(link, load, reply)
        elif link.number in self._proven:
            self._serve(Peer(link.peer), link, load, reply)
        else:
            self._layer.drop(link)

    def told(self, link: Link, number: int, load: bytes) -> None:
        """Messages are not in use here."""

    def proved(self, link: Link, number: int) -> None:
        """Messages are not in use here."""

    def _serve(self, peer: Peer, link: Link, load: bytes, reply: Callable[[bytes], None]) -> None:
        nonce, request = load[:NONCE_BYTES], load[NONCE_BYTES:]
        if talk := self._talks.get(peer):
            talk.served(_id(link), self._now_s)
        kept = self._kept.get(peer)
        if kept is not None and kept[0] == nonce:
            reply(kept[1])
            return
        for token, (other, of_other, _) in self._open.items():
            if (other, of_other) == (peer, nonce):
                self._open[token] = peer, nonce, reply
                return
        self._tokens += 1
        self._open[self._tokens] = peer, nonce, reply
        self._deliver(Asked(peer, self._tokens, request))

    # ── dialling and proofs ─────────────────────────────────────────────────────────

    def _dial(self, peer: Peer) -> None:
        if peer in self._known:
            self._dials[peer] = self._layer.open(peer)
            return
        self._dials[peer] = None
        wait_s = pacing.path_deadline_s(self._rate_bps)
        self._agenda.later(math.ceil(wait_s * 1_000), partial(self._no_path, peer))

    def _no_path(self, peer: Peer) -> None:
        if self._dials.get(peer, self) is None:
            self._fail_dial(peer, "no path")

    def _say_hello(self, link: Link, nth: int) -> None:
        peer = Peer(link.peer)
        if self._dials.get(peer) is not link or not link.active:
            return
        if nth > HELLO_TRIES:
            self._fail_dial(peer, "no proof")
            return
        hello = HELLO + b"\x01" + self._gate.prove(_id(link), initiator=True)
        self._layer.request(link, hello, "link-hello", partial(self._greeted, link), _ignore)
        wait_s = 2 * pacing.hello_s(link.rtt_ms / 1_000, self._rate_bps)
        self._agenda.later(math.ceil(wait_s * 1_000), partial(self._say_hello, link, nth + 1))

    def _greeted(self, link: Link, answer: bytes) -> None:
        peer = Peer(link.peer)
        if self._dials.get(peer) is not link:
            return
        if self._gate.check(_id(link), answer[1:], initiator=False) is None:
            self._fail_dial(peer, "not a member")
            return
        del self._dials[peer]
        self._prove(link)

    def _check_hello(self, link: Link, proof: bytes, reply: Callable[[bytes], None]) -> None:
        if self._gate.check(_id(link), proof[1:], initiator=True) is None:
            self._layer.drop(link)
            return
        if link.number not in self._proven:
            self._prove(link)
        reply(b"\x01" + self._gate.prove(_id(link), initiator=False))

    def _prove(self, link: Link) -> None:
        peer = Peer(link.peer)
        self._known.add(peer)
        self._proven[link.number] = link
        rtt_s, now_s = link.rtt_ms / 1_000, self._now_s
        line = Line(
            _id(link), link.dialled_by_us, rtt_s, self._rate_bps, PACKET_BYTES, now_s, now_s
        )
        self._do(peer, self._talk(peer).proved(line, None, now_s))

    def _fail_dial(self, peer: Peer, reason: str) -> None:
        self._stop_dial(peer)
        if talk := self._talks.get(peer):
            self._do(peer, talk.dial_failed(reason, self._now_s))

    def _stop_dial(self, peer: Peer) -> None:
        link = self._dials.pop(peer, None)
        if link is not None:
            self._layer.drop(link)

    # ── conversations ───────────────────────────────────────────────────────────────

    @property
    def _now_s(self) -> float:
        return self._agenda.now_ms / 1_000

    def _talk(self, peer: Peer) -> Conversation:
        talk = self._talks.setdefault(peer, Conversation(self.name, peer, self._rng))
        self._tick_later()
        return talk

    def _do(self, peer: Peer, acts: list[Act]) -> None:
        todo = deque(acts)
        while todo:
            match todo.popleft():
                case Send(link, attempt, request):
                    self._send(peer, self._proven[int.from_bytes(link, "big")], attempt, request)
                case Dial():
                    self._dial(peer)
                case Undial():
                    self._stop_dial(peer)
                case Drop(link):
                    held = self._proven.pop(int.from_bytes(link, "big"), None)
                    if held is not None:
                        self._layer.drop(held)
                case Tell(event):
                    self._deliver(event)
                case never:
                    assert_never(never)

    def _send(self, peer: Peer, link: Link, attempt: int, request: bytes) -> None:
        self._attempts[peer] = attempt

        def answered(answer: bytes) -> None:
            if talk := self._talks.get(peer):
                self._do(peer, talk.answered(attempt, _id(link), answer, self._now_s))

        def moved(progress: float) -> None:
            talk = self._talks.get(peer)
            if talk is not None and talk.running == attempt:
                talk.moved(attempt, *_phase(progress), self._now_s)

        self._layer.request(link, EXCHANGE + request, "link", answered, moved)

    def _tick_later(self) -> None:
        if self._ticking or self._closed or not self._talks:
            return
        self._ticking = True
        resting = all(talk.lines and talk.running is None for talk in self._talks.values())
        self._agenda.later(RESTING_TICK_MS if resting else TICK_MS, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        for peer, talk in list(self._talks.items()):
            self._do(peer, talk.tick(self._now_s))
            if talk.idle:
                self._talks.pop(peer, None)
        self._tick_later()


def _id(link: Link) -> LinkId:
    return LinkId(link.number.to_bytes(16, "big"))


def _phase(progress: float) -> tuple[Phase, float]:
    if progress < 1:
        return Phase.SENDING, progress
    if progress == 1:
        return Phase.WAITING, 0.0
    return Phase.RECEIVING, progress - 1


def _ignore(_progress: float) -> None:
    pass
