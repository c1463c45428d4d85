"""One peer's exchanges: which link to use, when to repeat, when to dial, when to give up.

Sans-I/O: every method takes what happened and returns what to do. One exchange is in flight
at a time, because a radio link's queue is short (RETICULUM, "what bites", 4).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import NewType, TypeAlias

from meshlog.ports.links import Answered, AskFailed, LinkDown, LinkEvent, LinkUp, Peer
from meshlog.transport import pacing

LinkId = NewType("LinkId", bytes)
"""Reticulum's 16-byte hash of a link request: names one link, and binds its proofs."""

QUEUE_MAX = 16
"""Exchanges that may wait for one peer; one more fails as ``"busy"``."""

MESSAGE_SIZE_MAX = 1_000_000
"""Bytes of one request or answer. With its packing still one Resource segment (1 MiB - 1)."""

NONCE_BYTES = 4
"""Prefix of a request: the same for every try, so that the other end knows a repetition."""

_TELLING_BYTES, _TELLING_S = 16_384, 2.0
"""A transfer this large, or this slow, says something about bandwidth; others measure the
round trip and the other end's disk."""

_SURPLUS_S = 5.0
"""Seconds that a second link between the same two stays, for what still travels on it."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``request`` over ``link``; report under ``attempt``."""

    link: LinkId
    attempt: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a link to the peer and have it prove itself."""


@dataclass(frozen=True, slots=True)
class Undial:
    """Stop dialling, if that goes on."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Tear ``link`` down."""

    link: LinkId


@dataclass(frozen=True, slots=True)
class Tell:
    """Deliver ``event`` to the node."""

    event: LinkEvent


Act: TypeAlias = Send | Dial | Undial | Drop | Tell


class Phase(Enum):
    """How far a try has come."""

    SENDING = auto()
    """The request is on its way."""
    WAITING = auto()
    """A bulk request arrived whole; its answer is being made."""
    RECEIVING = auto()
    """A bulk answer is arriving."""


@dataclass(slots=True)
class Line:
    """A link that proved itself, as its exchanges see it."""

    link: LinkId
    dialled_by_us: bool
    rtt_s: float
    medium_bps: float
    packet_bytes: int
    """The largest request that travels as one packet."""
    good_s: float
    """When it last proved itself or carried an answer."""
    used_s: float
    """When it last carried anything of either side."""
    failures: int = 0
    """Failed tries since ``good_s``."""


@dataclass(slots=True)
class _Try:
    attempt: int
    link: LinkId
    bulk: bool
    started_s: float
    moved_s: float
    deadline_s: float
    phase: Phase = Phase.SENDING
    progress: float = 0.0


@dataclass(slots=True)
class _Exchange:
    number: int
    request: bytes
    first_attempt: int
    dials: int = 0
    running: _Try | None = None


@dataclass(slots=True)
class Conversation:
    """All exchanges that we start with ``peer``, and the links for them.

    ``LinkUp`` is told for every link that proves itself while there is no other, so also
    after a redial in mid-exchange; ``LinkDown`` only when the last link is gone and no
    exchange is open any more.
    """

    us: Peer
    peer: Peer
    rng: Random
    lines: dict[LinkId, Line] = field(default_factory=dict)
    _queue: deque[_Exchange] = field(default_factory=deque)
    _current: _Exchange | None = None
    _attempts: int = 0
    _dialling: bool = False
    _dial_from_s: float = 0.0
    _up: bool = False
    _announced_s: float = -math.inf
    _measured_bps: float | None = None
    _backoff: pacing.Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = pacing.Backoff(self.rng, 1.0, 30.0)

    # ── what the node wants ──────────────────────────────────────────────────────────

    def ask(self, number: int, request: bytes, now_s: float) -> list[Act]:
        """Queue an exchange; see `Links.ask`."""
        if len(request) > MESSAGE_SIZE_MAX:
            return [Tell(AskFailed(self.peer, number, "too large"))]
        if len(self._queue) >= QUEUE_MAX:
            return [Tell(AskFailed(self.peer, number, "busy"))]
        nonce = self.rng.getrandbits(8 * NONCE_BYTES).to_bytes(NONCE_BYTES, "big")
        self._queue.append(_Exchange(number, nonce + request, first_attempt=0))
        return self._go_on(now_s)

    def hang_up(self, now_s: float) -> list[Act]:
        """Close everything; see `Links.hang_up`."""
        acts: list[Act] = [Drop(link) for link in self.lines]
        if self._dialling:
            acts.append(Undial())
            self._dialling = False
        self.lines.clear()
        return [*acts, *self._fail_all("hung up"), *self._go_on(now_s)]

    # ── what the links do ────────────────────────────────────────────────────────────

    def heard(self, now_s: float) -> list[Act]:
        """React to an announce of the peer: it is near, so dial without further pause.

        Who announces is mostly alone, so what we took for a link may be dead at its end.
        """
        self._announced_s = now_s
        self._backoff.reset()
        self._dial_from_s = now_s
        return self._go_on(now_s)

    def proved(self, line: Line, setup_bps: float | None, now_s: float) -> list[Act]:
        """Take a link that proved itself into use."""
        acts: list[Act] = []
        for old in list(self.lines.values()):
            if old.dialled_by_us == line.dialled_by_us and old.link != line.link:
                # Nobody dials while his link works: the older one is dead at his end.
                acts += [Drop(old.link), *self._forget(old.link)]
        first = not self.lines
        self.lines[line.link] = line
        if line.dialled_by_us:
            self._dialling = False
        self._backoff.reset()
        if self._measured_bps is None:
            self._measured_bps = pacing.first_rate_bps(line.medium_bps, setup_bps)
        if first:
            self._up = True
            batch = pacing.batch_size_bytes(self._measured_bps)
            acts.append(Tell(LinkUp(self.peer, batch)))
        return acts + self._go_on(now_s)

    def lost(self, link: LinkId, now_s: float) -> list[Act]:
        """React to the end of a link, whoever ended it."""
        if link not in self.lines:
            return []
        self._pause(now_s)
        return [*self._forget(link), *self._go_on(now_s)]

    def dial_failed(self, reason: str, now_s: float) -> list[Act]:
        """React to a dial that led to no proven link."""
        self._dialling = False
        self._pause(now_s)
        current = self._current
        if current and not self.lines and current.dials >= pacing.DIALS_PER_EXCHANGE:
            return [*self._fail_all(reason), *self._go_on(now_s)]
        return self._go_on(now_s)

    def moved(self, attempt: int, phase: Phase, progress: float, now_s: float) -> None:
        """Note how far a try has come; ``progress`` 0 to 1 within its phase."""
        running = self._current.running if self._current else None
        if running is None or running.attempt != attempt:
            return
        if (phase, progress) == (running.phase, running.progress):
            return
        line = self.lines[running.link]
        running.phase, running.progress, running.moved_s = phase, progress, now_s
        line.used_s = now_s
        if phase is Phase.WAITING:
            running.deadline_s = now_s + pacing.ANSWER_LIMIT_S + 6 * line.rtt_s
        else:
            running.deadline_s = now_s + pacing.stall_s(line.rtt_s, line.medium_bps)

    def answered(self, attempt: int, link: LinkId, answer: bytes, now_s: float) -> list[Act]:
        """Take the answer to any try of the current exchange."""
        current = self._current
        if current is None or attempt < current.first_attempt:
            return []
        if line := self.lines.get(link):
            line.good_s = line.used_s = now_s
            line.failures = 0
        if current.running and current.running.attempt == attempt:
            self._measure(len(current.request) + len(answer), now_s - current.running.started_s)
        self._current = None
        return [Tell(Answered(self.peer, current.number, answer)), *self._go_on(now_s)]

    def failed(self, attempt: int, reason: str, now_s: float) -> list[Act]:
        """React to a try that ended without an answer."""
        current = self._current
        running = current.running if current else None
        if current is None or running is None or running.attempt != attempt:
            return []
        current.running = None
        if running.bulk or running.phase is not Phase.SENDING:
            self._measured_bps = (self._measured_bps or 0.0) / 2
        line = self.lines.get(running.link)
        acts: list[Act] = []
        if line:
            line.failures += 1
            hopeless = (
                running.bulk
                or running.phase is not Phase.SENDING
                or self._announced_s > line.good_s
            )
            if hopeless or line.failures >= pacing.tries_per_link(line.medium_bps):
                acts += [Drop(line.link), *self._forget(line.link)]
                self._pause(now_s)
        if not self.lines and current.dials >= pacing.DIALS_PER_EXCHANGE:
            self._current = None
            acts.append(Tell(AskFailed(self.peer, current.number, reason)))
        return acts + self._go_on(now_s)

    def served(self, link: LinkId, now_s: float) -> None:
        """Note that the peer uses ``link``."""
        if line := self.lines.get(link):
            line.used_s = now_s

    def tick(self, now_s: float) -> list[Act]:
        """Let time pass: deadlines, redials, idle and surplus links."""
        acts: list[Act] = []
        running = self._current.running if self._current else None
        if running and self._overdue(running, now_s):
            acts += self.failed(running.attempt, "timeout", now_s)
        for line in list(self.lines.values()):
            if self._superfluous(line, now_s):
                acts += [Drop(line.link), *self._forget(line.link)]
        return acts + self._go_on(now_s)

    # ── what can be seen ─────────────────────────────────────────────────────────────

    @property
    def idle(self) -> bool:
        """Whether nothing is open and no link is up: the conversation may be forgotten."""
        return not (self.lines or self._queue or self._current or self._dialling or self._up)

    @property
    def running(self) -> int | None:
        """The attempt under way, if any."""
        return self._current.running.attempt if self._current and self._current.running else None

    @property
    def progress(self) -> float:
        """Of the transfer under way, 0 to 1."""
        return self._current.running.progress if self._current and self._current.running else 0.0

    # ── how it goes on ───────────────────────────────────────────────────────────────

    def _go_on(self, now_s: float) -> list[Act]:
        if self._current is None and self._queue:
            self._current = self._queue.popleft()
            self._current.first_attempt = self._attempts + 1
        current = self._current
        if current is None:
            if self._up and not self.lines:
                self._up = False
                return [Tell(LinkDown(self.peer))]
            return []
        if current.running is not None:
            return []
        if self.lines:
            return [self._try(current, now_s)]
        if self._dialling or now_s < self._dial_from_s:
            return []
        self._dialling = True
        current.dials += 1
        return [Dial()]

    def _try(self, current: _Exchange, now_s: float) -> Send:
        line = max(self.lines.values(), key=lambda line: (-line.failures, line.good_s))
        self._attempts += 1
        bulk = len(current.request) > line.packet_bytes
        if bulk:
            wait_s = pacing.stall_s(line.rtt_s, line.medium_bps)
        else:
            wait_s = pacing.quick_try_s(line.failures + 1, line.rtt_s, line.medium_bps)
        current.running = _Try(self._attempts, line.link, bulk, now_s, now_s, now_s + wait_s)
        line.used_s = now_s
        return Send(line.link, self._attempts, current.request)

    def _overdue(self, running: _Try, now_s: float) -> bool:
        if now_s >= running.deadline_s:
            return True
        line = self.lines[running.link]
        newer = any(other.good_s > running.started_s for other in self.lines.values())
        suspect = newer or self._announced_s > line.good_s
        return suspect and now_s - running.moved_s > 3 + 2 * line.rtt_s

    def _superfluous(self, line: Line, now_s: float) -> bool:
        if self._current and self._current.running and self._current.running.link == line.link:
            return False
        unused_s = now_s - line.used_s
        if line.medium_bps < pacing.IDLE_CLOSE_BPS and unused_s > pacing.IDLE_CLOSE_S:
            return True
        # Both dialled: the link of the lesser name stays, and who dialled the other ends it.
        kept_by_us = self.us < self.peer
        surplus = len(self.lines) > 1 and line.dialled_by_us and not kept_by_us
        return surplus and unused_s > _SURPLUS_S

    def _forget(self, link: LinkId) -> list[Act]:
        self.lines.pop(link, None)
        if self._current and self._current.running and self._current.running.link == link:
            self._current.running = None
            if not self.lines and self._current.dials >= pacing.DIALS_PER_EXCHANGE:
                number, self._current = self._current.number, None
                return [Tell(AskFailed(self.peer, number, "link closed"))]
        return []

    def _fail_all(self, reason: str) -> list[Act]:
        doomed = [*([self._current] if self._current else []), *self._queue]
        self._current = None
        self._queue.clear()
        return [Tell(AskFailed(self.peer, exchange.number, reason)) for exchange in doomed]

    def _pause(self, now_s: float) -> None:
        self._dial_from_s = max(self._dial_from_s, now_s + self._backoff.next_s())

    def _measure(self, size_bytes: int, took_s: float) -> None:
        """Let a transfer that says something about bandwidth move the estimate half way."""
        telling = size_bytes >= _TELLING_BYTES
        if telling or (size_bytes >= pacing.BATCH_MIN_BYTES and took_s >= _TELLING_S):
            rate_bps = size_bytes * 8 / max(took_s, 0.001)
            self._measured_bps = ((self._measured_bps or rate_bps) + rate_bps) / 2
