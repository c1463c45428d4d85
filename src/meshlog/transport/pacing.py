"""How long to wait and how much to send: the numbers of the link lane, and why.

Pure functions and small counters. Time is told, in seconds of a monotonic clock; luck is a
passed ``random.Random``.
"""

from __future__ import annotations

from random import Random

FAST_BPS = 100_000
"""Bits per second from which a medium counts as fast. Above every LoRa setting (at most
21,900 bit/s at SF5, 500 kHz) and packet radio; below Wi-Fi, TCP and UDP interfaces."""

IDLE_CLOSE_BPS = 20_000
"""Bits per second below which an idle link is closed: its keepalives would cost air."""

IDLE_CLOSE_S = 60.0
"""Seconds without an exchange after which a link on such a medium is closed."""

ANNOUNCE_FIRST_S = 5.0
"""Seconds from the first announce to the second, while nobody answered on a fast medium."""

ANNOUNCE_CAP_S = 60.0
"""The longest such pause; the pauses double up to it."""

ANNOUNCE_REST_S = 6 * 3600.0
"""Seconds between announces when somebody is in contact, and always on slow media. Source:
the habit of the Reticulum ecosystem (every 360 minutes)."""

ANNOUNCE_GAP_FAST_S = 2.0
"""The least between two announces on fast media, whoever asks."""

ANNOUNCE_ECHO_S = 10.0
"""A second announce of a peer that did not dial meanwhile is not answered so soon after one of
ours, for it may be the answer to that: two who answer each other would never end. Longer than a
round trip, slow hops further on included; whoever lost our answer announces again. A choice."""

ANNOUNCE_GAP_SLOW_S = 60.0
"""The least between two announces when a slow medium hears them: 0.25 kB of air each."""

BATCH_S = 30.0
"""Seconds of link time that one request or answer may take. A Reticulum Resource does not
resume, so this is what an outage can cost. Source: RETICULUM, "what bites", 3."""

BATCH_MIN_BYTES = 2_048
"""Below this, the 400 bytes of a Resource's own packets would outweigh the load."""

BATCH_MAX_BYTES = 65_536
"""The largest batch on ordinary links: small enough to lose."""

BATCH_MAX_FAST_BYTES = 262_144
"""The largest batch from ``BATCH_FAST_BPS`` on. There it takes ten seconds at most (on
loopback 0.1 s, measured), and the round trips and commits per batch, not the bytes, are
what a bulk transfer waits for."""

BATCH_FAST_BPS = 210_000
"""Payload bits per second from which ``BATCH_MAX_FAST_BYTES`` holds."""

RESOURCE_EFFICIENCY = 0.6
"""Part of a medium's bit rate that arrives as payload. Measured 0.64-0.85 on clean links
and 0.42-0.75 at 10 % loss."""

ANSWER_LIMIT_S = 30.0
"""Seconds that the node above has for one answer; later ones are dropped."""

TRIES_PER_LINK = 3
"""How often one request goes over one slow link: Reticulum repeats none of them."""

TRIES_PER_FAST_LINK = 6
"""The same on fast media, in about the same time: a link outlives an outage of half a minute,
and whoever comes back into range is met within ``QUICK_TRY_MAX_S``."""

QUICK_TRY_MAX_S = 8.0
"""The longest wait between two tries of a one-packet request on fast media."""

DIALS_PER_EXCHANGE = 3
"""How many links one exchange may open before it fails."""

HEADER_BYTES = 19
"""Of Reticulum, before the payload of a PLAIN packet."""

MODEM_FRAME_BYTES, MODEM_FRAME_COST_BYTES = 254, 32
"""What a LoRa modem of this ecosystem (RNode) carries in one frame, and what preamble and
header of one cost: 250 to 260 bits' time at SF8 to SF12. Source: the air times in Semtech's
formula at 125 kHz, CR 4/5, preamble of 18 symbols, against size / bit rate."""

_PACKET_BITS = 500 * 8
"""One full packet at Reticulum's MTU."""


def air_time_s(payload_bytes: int, rate_bps: float) -> float:
    """Estimate how long a PLAIN packet is on the air.

    Args:
        payload_bytes: Without Reticulum's header.
        rate_bps: Of the medium. Slow ones count as modems; infinite takes no time.

    Example:
        >>> round(air_time_s(464, 3125), 2), round(air_time_s(64, 977), 2)
        (1.4, 0.94)
    """
    size_bytes = HEADER_BYTES + payload_bytes
    if rate_bps < FAST_BPS:
        size_bytes += MODEM_FRAME_COST_BYTES * -(-size_bytes // MODEM_FRAME_BYTES)
    return size_bytes * 8 / rate_bps


def batch_size_bytes(rate_bps: float) -> int:
    """Return what a link of ``rate_bps`` payload bits per second moves in ``BATCH_S``.

    Example:
        >>> batch_size_bytes(1_000), batch_size_bytes(300), batch_size_bytes(5_000_000)
        (3750, 2048, 262144)
    """
    most = BATCH_MAX_FAST_BYTES if rate_bps >= BATCH_FAST_BPS else BATCH_MAX_BYTES
    return int(min(max(rate_bps * BATCH_S / 8, BATCH_MIN_BYTES), most))


def first_rate_bps(medium_bps: float, setup_bps: float | None) -> float:
    """Guess a link's payload rate before anything was measured on it.

    Args:
        medium_bps: What the interface says of itself; config may exaggerate.
        setup_bps: What the three packets of the link's setup achieved. On fast media it
            measures the round trip more than the bandwidth, so there it only warns of a
            slow hop further on; the first transfers correct either.
    """
    latency_bound = setup_bps is None or min(medium_bps, setup_bps) >= FAST_BPS
    carried_bps = medium_bps if latency_bound else min(medium_bps, setup_bps or 0.0)
    return carried_bps * RESOURCE_EFFICIENCY


def tries_per_link(medium_bps: float) -> int:
    """Return how often one request goes over one link."""
    return TRIES_PER_FAST_LINK if medium_bps >= FAST_BPS else TRIES_PER_LINK


def quick_try_s(nth: int, rtt_s: float, medium_bps: float) -> float:
    """Return how long a one-packet request waits for a sign of its answer.

    A repeated request costs one packet, because the other end recognises it; so the first
    waits are short and double, and the last one is as long as an answer may take.

    Args:
        nth: Which try on this link, from 1.
        rtt_s: The link's round trip time.
        medium_bps: Bit rate of its medium; two packets must pass in any case.
    """
    if nth >= tries_per_link(medium_bps):
        return (QUICK_TRY_MAX_S if medium_bps >= FAST_BPS else ANSWER_LIMIT_S) + 6 * rtt_s
    first_s = _base_s(medium_bps, 4.0) + 6 * rtt_s + 4 * _PACKET_BITS / medium_bps
    wait_s = first_s * (1 << (nth - 1))
    return min(wait_s, QUICK_TRY_MAX_S) if medium_bps >= FAST_BPS else wait_s


def _base_s(medium_bps: float, slow_s: float, fast_s: float = 1.0) -> float:
    """Return ``fast_s`` on fast media, ``slow_s`` on slow ones.

    Reticulum drops an answer that comes before it has noted the request (seen on loopback,
    one in some hundred): there only the repetition helps, and it costs nothing.
    """
    return fast_s if medium_bps >= FAST_BPS else slow_s


def stall_s(rtt_s: float, medium_bps: float) -> float:
    """Return how long a bulk transfer may stand still before its link is given up.

    Reticulum repairs gaps by itself for longer than this, but ten packets' time and 15 s
    outlast the outages that a transfer survives (tested: 5-8 s) and end the hopeless ones.
    """
    return _base_s(medium_bps, 15.0, fast_s=6.0) + 6 * rtt_s + 10 * _PACKET_BITS / medium_bps


def hello_s(rtt_s: float, medium_bps: float) -> float:
    """Return how long one ``hello`` may stay unanswered."""
    return _base_s(medium_bps, 3.0) + 4 * rtt_s + 3 * _PACKET_BITS / medium_bps


def proof_deadline_s(rtt_s: float, medium_bps: float) -> float:
    """Return how long an incoming link has to prove itself: two hellos and some luck."""
    return 10.0 + 10 * rtt_s + 10 * _PACKET_BITS / medium_bps


def dial_deadline_s(hops: int, medium_bps: float) -> float:
    """Return how long a link request may stay unanswered.

    Reticulum itself waits 6 s and more per hop; on fast media that is needless.
    """
    return 3.0 + 2.0 * max(1, hops) + 8 * max(1, hops) * _PACKET_BITS / medium_bps


def path_deadline_s(medium_bps: float) -> float:
    """Return how long a path request may stay unanswered."""
    return 5.0 + 16 * _PACKET_BITS / medium_bps


class Backoff:
    """Pauses that double from ``first_s`` to ``cap_s``, each shortened by up to half by luck."""

    def __init__(self, rng: Random, first_s: float, cap_s: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._cap_s = cap_s
        self._pause_s = first_s

    def next_s(self) -> float:
        """Return the next pause, in seconds."""
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, self._cap_s)
        return pause_s * (1 - self._rng.random() / 2)

    def reset(self) -> None:
        """Begin again at the shortest pause."""
        self._pause_s = self._first_s


class AnnouncePace:
    """When to announce: eagerly while alone on fast media, else about every six hours."""

    def __init__(self, rng: Random, interval_s: float | None) -> None:
        """Take the owner's wish.

        Args:
            interval_s: Pause while alone, on whatever medium; None for the polite default.
        """
        self._rng = rng
        self._interval_s = interval_s
        first_s, cap_s = ANNOUNCE_FIRST_S, ANNOUNCE_CAP_S
        self._alone = Backoff(rng, interval_s or first_s, interval_s or cap_s)
        self._was_alone = True
        self._last_s: float | None = None
        self._due_s: float | None = None
        self._asked = False

    def ask(self) -> None:
        """Want an announce as soon as the least pause allows."""
        self._asked = True

    def answer(self, now_s: float, *, again: bool) -> None:
        """Want one for a peer that announced itself, unless it may have answered ours.

        Args:
            now_s: Monotonic seconds.
            again: It was answered before, and did not dial since.
        """
        pause_s = ANNOUNCE_ECHO_S if again else ANNOUNCE_GAP_FAST_S
        if self._last_s is None or now_s >= self._last_s + pause_s:
            self._asked = True

    def due(self, now_s: float, *, alone: bool, fast: bool) -> bool:
        """Say whether to announce now; saying yes counts as having announced.

        Args:
            now_s: Monotonic seconds.
            alone: No link to anybody is up.
            fast: Every medium that would carry the announce is fast.
        """
        eager = alone and (fast or self._interval_s is not None)
        if eager and not self._was_alone:
            self._alone.reset()
            self._due_s = now_s + self._alone.next_s()
        self._was_alone = eager
        if self._last_s is None:
            wanted = True
        elif self._asked:
            gap_s = ANNOUNCE_GAP_FAST_S if fast else ANNOUNCE_GAP_SLOW_S
            wanted = now_s >= self._last_s + gap_s
        else:
            wanted = now_s >= (self._due_s or 0) if eager else now_s >= self._rest_s
        if wanted:
            self._last_s, self._asked = now_s, False
            self._due_s = now_s + self._alone.next_s()
            self._rest_s = now_s + ANNOUNCE_REST_S * (0.9 + self._rng.random() / 5)
        return wanted

    _rest_s = 0.0
