"""The broadcast lane's rules: the pace of what is sent, the bounds on what is heard.

Sans-I/O but for the lock of `Ear`: time is told, in seconds of a monotonic clock.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from meshlog.errors import InputError
from meshlog.ports.links import SHOUT_SIZE_MAX, LinkEvent, Medium, Overheard
from meshlog.transport import pacing
from meshlog.transport.radio import Radio

OUTBOX_BYTES_MAX = 6_000
"""Bytes of packets that may wait here, a modem's queue full: twelve large packets, 15 s at
3125 bit/s. Past it the oldest go: what they said is the most likely to be outdated."""

CATCH_UP_S = 0.2
"""Seconds by which a packet may start early because the one before started late: deadlines
are noticed by the worker's tick, and the air should not stand idle for it."""

HEARD_BURST = 512
"""Packets that may be passed up at once: an eighth of the node's inbox."""

HEARD_PER_S = 128.0
"""Packets passed up per second in the long run: ten times what 5 kbit/s carry of the
smallest, and 0.5 Mbit/s of the largest. More is a flood, and dropped."""

ECHO_S = 2.0
"""Seconds in which a packet equal to one of ours counts as its echo; and three times the
air time of it."""

_SPOKEN_MAX = 256
"""Own packets remembered for that: 120 kB."""


@dataclass(frozen=True, slots=True)
class BroadcastStats:
    """What the broadcast lane did since the start."""

    packets_sent: int = 0
    bytes_sent: int = 0
    """Payload; Reticulum adds 19 bytes to each packet, and 8 to 16 with an access code."""
    air_s: float = 0.0
    """Estimated time on the slowest medium, Reticulum's and the modem's share included."""
    packets_unsent: int = 0
    """Dropped because too many waited, or because there was no interface."""
    packets_heard: int = 0
    """Passed up."""
    bytes_heard: int = 0
    echoes: int = 0
    """Own packets that came back."""
    refused: int = 0
    """Heard, and not passed up: too large, or too many at once."""


class Outbox:
    """Packets that wait for the air, one on it at a time. For the worker's thread."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._size_bytes = 0
        self._free_s = -math.inf
        self.dropped = 0
        """Packets pushed out by later ones."""

    def put(self, packet: bytes) -> None:
        """Queue ``packet``; the oldest give way to it."""
        self._waiting.append(packet)
        self._size_bytes += len(packet)
        while self._size_bytes > OUTBOX_BYTES_MAX:
            self._size_bytes -= len(self._waiting.popleft())
            self.dropped += 1

    def due(self, now_s: float, rate_bps: float) -> bytes | None:
        """Return the next packet once the one before must have left the air; else None.

        Args:
            now_s: Monotonic seconds.
            rate_bps: Of the slowest medium; infinite where there is none.
        """
        if not self._waiting or now_s < self._free_s:
            return None
        packet = self._waiting.popleft()
        self._size_bytes -= len(packet)
        starts_s = max(self._free_s, now_s - CATCH_UP_S)
        self._free_s = starts_s + pacing.air_time_s(len(packet), rate_bps)
        return packet


class Ear:
    """Decides which packets are passed up. Called on Reticulum's threads; constant time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spoken: dict[bytes, float] = {}
        self._tokens = float(HEARD_BURST)
        self._refilled_s = -math.inf
        self.packets = self.bytes = self.echoes = self.refused = 0

    def spoke(self, packet: bytes, now_s: float, air_s: float) -> None:
        """Note a packet of our own: a radio that hears itself is no neighbour."""
        with self._lock:
            self._spoken.pop(packet, None)
            self._spoken[packet] = now_s + ECHO_S + 3 * air_s
            if len(self._spoken) > _SPOKEN_MAX:
                del self._spoken[next(iter(self._spoken))]

    def admit(self, packet: bytes, now_s: float) -> bool:
        """Say whether to pass ``packet`` up, and count it.

        Args:
            packet: Hostile.
            now_s: Monotonic seconds.
        """
        with self._lock:
            if not 0 < len(packet) <= SHOUT_SIZE_MAX:
                self.refused += 1
                return False
            if self._spoken.get(packet, -math.inf) >= now_s:
                self.echoes += 1
                return False
            earned = max(now_s - self._refilled_s, 0.0) * HEARD_PER_S
            self._tokens = min(self._tokens + earned, HEARD_BURST)
            self._refilled_s = now_s
            if self._tokens < 1:
                self.refused += 1
                return False
            self._tokens -= 1
            self.packets += 1
            self.bytes += len(packet)
            return True


class BroadcastLane:
    """Shouts, overhears, and says what medium both go over."""

    def __init__(
        self,
        radio: Radio,
        *,
        post: Callable[[Callable[[], None]], bool],
        deliver: Callable[[LinkEvent], None],
        now_s: Callable[[], float],
    ) -> None:
        """Take what it works with.

        Args:
            radio: Sends what is due.
            post: Brings a job to the worker's thread.
            deliver: Takes `Overheard` on Reticulum's threads and `Medium` on the worker's.
            now_s: Monotonic seconds.
        """
        self._radio = radio
        self._post = post
        self._deliver = deliver
        self._now_s = now_s
        self._outbox = Outbox()
        self._ear = Ear()
        self._rate_bps: float | None = None
        self._sent = self._sent_bytes = self._unsent = 0
        self._air_s = 0.0

    def shout(self, packet: bytes) -> None:
        """See `Links.shout`. Any thread.

        Raises:
            InputError: ``packet`` is empty or larger than ``SHOUT_SIZE_MAX``.
        """
        if not 0 < len(packet) <= SHOUT_SIZE_MAX:
            raise InputError(f"a broadcast packet has 1 to {SHOUT_SIZE_MAX} B, not {len(packet)} B")
        self._post(partial(self._put, packet))

    def overheard(self, packet: bytes) -> None:
        """Take a packet from the air. Reticulum's threads; nothing waits."""
        if self._ear.admit(packet, self._now_s()):
            self._deliver(Overheard(packet))

    def tick(self) -> None:
        """Let time pass. The worker's thread."""
        slowest_bps = self._radio.slowest_bps()
        rate_bps = slowest_bps if math.isfinite(slowest_bps) else 0.0
        if rate_bps != self._rate_bps:
            self._rate_bps = rate_bps
            self._deliver(Medium(rate_bps))
        self._send_due()

    def stats(self) -> BroadcastStats:
        """Return what was sent and heard; a snapshot. Any thread."""
        ear = self._ear
        return BroadcastStats(
            packets_sent=self._sent,
            bytes_sent=self._sent_bytes,
            air_s=self._air_s,
            packets_unsent=self._unsent + self._outbox.dropped,
            packets_heard=ear.packets,
            bytes_heard=ear.bytes,
            echoes=ear.echoes,
            refused=ear.refused,
        )

    def _put(self, packet: bytes) -> None:
        self._outbox.put(packet)
        self._send_due()

    def _send_due(self) -> None:
        rate_bps = self._radio.slowest_bps()
        while (packet := self._outbox.due(self._now_s(), rate_bps)) is not None:
            air_s = pacing.air_time_s(len(packet), rate_bps)
            self._ear.spoke(packet, self._now_s(), air_s)
            if self._radio.broadcast(packet):
                self._sent += 1
                self._sent_bytes += len(packet)
                self._air_s += air_s
            else:
                self._unsent += 1
