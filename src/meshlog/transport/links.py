"""The link lane over a `Radio`: discovery, dialling, proofs, exchanges.

Everything happens on one worker thread. Foreign threads leave jobs and return; the only
ones that wait are Reticulum's request threads, each for the answer it will send.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from random import Random
from typing import assert_never

from meshlog.errors import InputError
from meshlog.ports.links import Asked, AskFailed, Gate, LinkEvent, Peer, PeerSeen
from meshlog.transport import pacing
from meshlog.transport.broadcast import BroadcastLane, BroadcastStats
from meshlog.transport.desk import Desk
from meshlog.transport.dialling import HELLO, Dialler
from meshlog.transport.door import Door
from meshlog.transport.exchanges import (
    MESSAGE_SIZE_MAX,
    NONCE_BYTES,
    Act,
    Conversation,
    Dial,
    Drop,
    Line,
    LinkId,
    Send,
    Tell,
    Undial,
)
from meshlog.transport.journal import Journal
from meshlog.transport.peers import InterfaceStats, PeerStats, PublicKeys
from meshlog.transport.proofs import TAG_BYTES, Proofs
from meshlog.transport.radio import Radio, Receipt
from meshlog.transport.worker import Worker

EXCHANGE = "x"
"""Request path of everything but proofs: nonce and request."""

HINT_BYTES_MAX = 64
"""Bytes of the hint in announces; more are cut off. With the tag 72, far below the 317 at
which transport nodes choke."""

_EARLY_S = 3.0
"""Seconds that a request may come before our end has noticed the proof."""


class RadioLinks:
    """See `meshlog.ports.links.Links`. What differs: see each method.

    ``deliver`` and ``hint`` are called on the worker's thread, ``deliver`` with `Asked` also
    on Reticulum's.
    """

    def __init__(
        self,
        radio: Radio,
        *,
        announce_interval_s: float | None = None,
        rng: Random | None = None,
        log: logging.Logger | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peer = radio.peer
        self._radio = radio
        self._rng = rng or Random()  # noqa: S311 - jitter and nonces, no secrets
        self._log = log or logging.getLogger("meshlog.transport")
        self._now_s = clock_s
        self._worker = Worker("meshlog-links", self._tick, self._log)
        self._pace = pacing.AnnouncePace(self._rng, announce_interval_s)
        self._keys = PublicKeys()
        self._journal = Journal(self._log)
        self._counters = self._journal.counters
        self._desk = Desk()
        self._door = Door(radio, clock_s)
        self._air = BroadcastLane(
            radio,
            post=self._worker.post,
            deliver=self._pass_up,
            now_s=clock_s,
        )
        self._talks: dict[Peer, Conversation] = {}
        self._receipts: dict[Peer, tuple[int, Receipt]] = {}
        self._started = self._closed = False

    # ── the port ─────────────────────────────────────────────────────────────────────

    def start(
        self, gate: Gate, hint: Callable[[], bytes], deliver: Callable[[LinkEvent], None]
    ) -> None:
        """See `Links.start`. Call it on the main thread: Reticulum wants that.

        Raises:
            TransportError: Reticulum is missing or cannot start.
        """
        self._hint, self._deliver = hint, deliver
        self._proofs = Proofs(gate, self._log)
        self._dialler = Dialler(
            self._radio,
            self._proofs,
            self._keys,
            post=self._worker.post,
            now_s=self._now_s,
            proved=partial(self._prove, dialled_by_us=True),
            failed=self._dial_failed,
        )
        self._radio.start(self, self._proofs.tag)
        self._started = True
        self._worker.start()

    def ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        """See `Links.ask`."""
        job = partial(self._ask, peer, exchange, request)
        if not self._worker.post(job) and not self._closed:
            self._deliver(AskFailed(peer, exchange, "busy"))

    def answer(self, token: int, answer: bytes) -> None:
        """See `Links.answer`. Answers later than `pacing.ANSWER_LIMIT_S` are dropped.

        Raises:
            InputError: ``answer`` is larger than ``MESSAGE_SIZE_MAX``.
        """
        if len(answer) > MESSAGE_SIZE_MAX:
            raise InputError(f"an answer has at most {MESSAGE_SIZE_MAX} B, not {len(answer)} B")
        peer = self._desk.answer(token, answer)
        if peer is not None:
            self._worker.post(partial(self._counters.add, peer, sent=len(answer)))

    def announce(self) -> None:
        """See `Links.announce`: now, or 2 s (slow media: 60 s) after the last one."""
        self._worker.post(self._pace.ask)

    def shout(self, packet: bytes) -> None:
        """See `Links.shout`. Waits for the air; the oldest of 6 kB that wait are dropped.

        Raises:
            InputError: ``packet`` is empty or larger than ``SHOUT_SIZE_MAX``.
        """
        self._air.shout(packet)

    def hang_up(self, peer: Peer) -> None:
        """See `Links.hang_up`. Open exchanges fail as ``"hung up"``."""
        self._worker.post(lambda: self._with(peer, lambda talk: talk.hang_up(self._now_s())))

    def close(self) -> None:
        """See `Links.close`. Reticulum itself runs on until the process ends."""
        if self._closed:
            return
        self._closed = True
        self._deliver = lambda _event: None
        self._desk.close()
        if self._started:
            self._worker.close(self._radio.close, limit_s=5.0)

    # ── what can be seen ─────────────────────────────────────────────────────────────

    def stats(self) -> dict[Peer, PeerStats]:
        """Return what was exchanged with whom; a snapshot. Any thread."""
        return self._counters.snapshot()

    def broadcasts(self) -> BroadcastStats:
        """Return what the broadcast lane sent and heard; a snapshot. Any thread."""
        return self._air.stats()

    def interfaces(self) -> list[InterfaceStats]:
        """Return Reticulum's interfaces and their counters; a snapshot, empty before ``start``.

        Any thread.
        """
        return self._radio.interfaces() if self._started else []

    @property
    def refused(self) -> int:
        """Links that did not prove themselves, and jobs dropped in a flood."""
        return self._door.refused + self._worker.dropped

    # ── what Reticulum calls, on its threads (`RadioEvents`) ─────────────────────────

    def heard(self, peer: Peer, public_key: bytes, app_data: bytes, *, live: bool) -> None:
        """See `RadioEvents.heard`. Strangers end here, at the cost of one comparison."""
        if app_data[:TAG_BYTES] == self._proofs.tag and peer != self.peer:
            hint = app_data[TAG_BYTES : TAG_BYTES + HINT_BYTES_MAX]
            self._worker.post(partial(self._heard, peer, public_key, hint, live=live))

    def overheard(self, packet: bytes) -> None:
        """See `RadioEvents.overheard`."""
        self._air.overheard(packet)

    def established(self, link: LinkId, *, dialled_by_us: bool) -> None:
        """See `RadioEvents.established`."""
        self._worker.post(
            partial(self._dialler.established if dialled_by_us else self._door.came, link)
        )

    def closed(self, link: LinkId) -> None:
        """See `RadioEvents.closed`."""
        self._worker.post(partial(self._lost, link))

    def serve(self, path: str, link: LinkId, data: object) -> bytes | None:
        """See `RadioEvents.serve`."""
        if not isinstance(data, bytes):
            return None
        if path == HELLO:
            reply: Future[bytes | None] = Future()
            self._worker.post(partial(self._check_hello, link, data, reply))
            try:
                return reply.result(_EARLY_S)
            except TimeoutError:
                return None
        return self._serve_exchange(link, data)

    def may_transfer(self, link: LinkId, size_bytes: int) -> bool:
        """See `RadioEvents.may_transfer`: from proven links, and not too much."""
        return self._door.whose(link) is not None and size_bytes <= MESSAGE_SIZE_MAX + 64

    def _serve_exchange(self, link: LinkId, data: bytes) -> bytes | None:
        early_until_s = time.monotonic() + _EARLY_S
        while self._dialler.owns(link) and self._door.whose(link) is None:
            if time.monotonic() > early_until_s:
                return None
            time.sleep(0.02)
        peer = self._door.whose(link)
        if peer is None:
            self._worker.post(partial(self._door.refuse, link))
            return None
        if not NONCE_BYTES <= len(data) <= MESSAGE_SIZE_MAX + NONCE_BYTES:
            return None
        nonce, request = data[:NONCE_BYTES], data[NONCE_BYTES:]
        self._worker.post(partial(self._served, peer, link, len(request)))
        taken = self._desk.take(peer, nonce, len(request))
        if taken is None or isinstance(taken, bytes):
            return taken
        token, new = taken
        if new:
            self._deliver(Asked(peer, token, request))
        return self._desk.wait(token, pacing.ANSWER_LIMIT_S)

    # ── everything below runs on the worker ──────────────────────────────────────────

    def _tick(self) -> None:
        now_s = self._now_s()
        self._air.tick()
        slowest_bps = self._radio.slowest_bps()
        if self._pace.due(now_s, alone=self._door.is_empty, fast=slowest_bps >= pacing.FAST_BPS):
            self._radio.announce(self._proofs.tag + self._hint()[:HINT_BYTES_MAX])
        self._dialler.tick(now_s)
        self._door.tick(now_s)
        self._radio.sweep(now_s, pacing.proof_deadline_s(0.0, slowest_bps))
        for peer, talk in list(self._talks.items()):
            attempt, receipt = self._receipts.get(peer, (None, None))
            if attempt is not None and receipt is not None and attempt == talk.running:
                talk.moved(attempt, *receipt.look(), now_s)
            self._do(peer, talk.tick(now_s))
            self._counters.show(peer, linked=bool(talk.lines), progress=talk.progress)
            if talk.idle:
                del self._talks[peer]
                self._receipts.pop(peer, None)

    def _ask(self, peer: Peer, exchange: int, request: bytes) -> None:
        self._do(peer, self._talk(peer).ask(exchange, request, self._now_s()))

    def _talk(self, peer: Peer) -> Conversation:
        return self._talks.setdefault(peer, Conversation(self.peer, peer, self._rng))

    def _with(self, peer: Peer, what: Callable[[Conversation], list[Act]]) -> None:
        if talk := self._talks.get(peer):
            self._do(peer, what(talk))

    def _do(self, peer: Peer, acts: list[Act]) -> None:
        todo = deque(acts)
        while todo:
            match todo.popleft():
                case Send() as send:
                    todo.extend(self._send(peer, send))
                case Dial():
                    self._dialler.dial(peer)
                case Undial():
                    self._dialler.stop(peer)
                case Drop(link):
                    self._door.drop(link)
                case Tell(event):
                    self._tell(event)
                case never:
                    assert_never(never)

    def _pass_up(self, event: LinkEvent) -> None:
        self._deliver(event)

    def _tell(self, event: LinkEvent) -> None:
        self._journal.note(event)
        self._deliver(event)

    # ── announces ────────────────────────────────────────────────────────────────────

    def _heard(self, peer: Peer, public_key: bytes, hint: bytes, *, live: bool) -> None:
        self._keys.learn(peer, public_key)
        self._dialler.heard(peer)
        if live:
            self._counters.heard(peer)
            self._with(peer, lambda talk: talk.heard(self._now_s()))
            self._announce_back(peer)
            is_fast = self._radio.first_hop_bps(peer) >= pacing.FAST_BPS
            self._tell(PeerSeen(peer, hint, max(1, self._radio.hops(peer)), is_fast))

    def _announce_back(self, peer: Peer) -> None:
        """Announce to one that holds a link and yet announces: it mostly restarted, without us.

        On slow media it hears our beacons.
        """
        if self._radio.slowest_bps() < pacing.FAST_BPS:
            return
        again = self._door.announced(peer)
        if again is not None:
            self._pace.answer(self._now_s(), again=again)

    # ── proofs ───────────────────────────────────────────────────────────────────────

    def _check_hello(self, link: LinkId, proof: bytes, reply: Future[bytes | None]) -> None:
        peer = None
        if self._door.may_prove(link):
            peer = self._proofs.check(link, proof, initiator=True)
        before = self._door.whose(link)
        if peer is None or peer == self.peer or before not in (None, peer):
            self._door.refuse(link)
            reply.set_result(None)
            return
        if before is None:
            self._prove(peer, link, dialled_by_us=False)
        reply.set_result(self._proofs.ours(link, initiator=False))

    def _prove(self, peer: Peer, link: LinkId, *, dialled_by_us: bool) -> None:
        facts = self._door.admit(link, peer)
        if facts is None:  # it closed meanwhile
            if dialled_by_us:
                self._dial_failed(peer, "link closed")
            return
        now_s = self._now_s()
        self._keys.prove(peer)
        self._counters.heard(peer)
        line = Line(
            link, dialled_by_us, facts.rtt_s, facts.medium_bps, facts.packet_bytes, now_s, now_s
        )
        self._do(peer, self._talk(peer).proved(line, facts.setup_bps, now_s))

    def _dial_failed(self, peer: Peer, reason: str) -> None:
        self._with(peer, lambda talk: talk.dial_failed(reason, self._now_s()))

    # ── links and exchanges ──────────────────────────────────────────────────────────

    def _send(self, peer: Peer, send: Send) -> list[Act]:
        def done(answer: bytes | None) -> None:
            self._worker.post(partial(self._done, peer, send, answer))

        receipt = self._radio.ask(send.link, EXCHANGE, send.request, pacing.ANSWER_LIMIT_S, done)
        if receipt is None:
            return self._talk(peer).failed(send.attempt, "link closed", self._now_s())
        self._receipts[peer] = (send.attempt, receipt)
        self._counters.add(peer, sent=len(send.request))
        return []

    def _done(self, peer: Peer, send: Send, answer: bytes | None) -> None:
        now_s = self._now_s()
        if answer is None:
            self._with(peer, lambda talk: talk.failed(send.attempt, "timeout", now_s))
        else:
            self._with(peer, lambda talk: talk.answered(send.attempt, send.link, answer, now_s))

    def _served(self, peer: Peer, link: LinkId, size_bytes: int) -> None:
        now_s = self._now_s()
        self._counters.add(peer, received=size_bytes)
        self._counters.heard(peer)
        if talk := self._talks.get(peer):
            talk.served(link, now_s)

    def _lost(self, link: LinkId) -> None:
        if (peer := self._door.lost(link)) is not None:
            self._with(peer, lambda talk: talk.lost(link, self._now_s()))
        else:
            self._dialler.closed(link)
