"""What bytes cost on the air: LoRa's time-on-air, and how large Reticulum makes each packet.

Pure arithmetic. Sizes are those of Reticulum's packets; the air time of one counts what an
RNode adds: preamble, its own header byte, and a second frame where one is too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FRAME_SIZE_MAX = 255
"""Bytes of one LoRa frame; its length field has eight bits."""

FRAME_HEADER = 1
"""Bytes that an RNode puts before the load of every frame."""

PACKET_SIZE_MAX = 2 * (FRAME_SIZE_MAX - FRAME_HEADER)
"""Bytes of one packet: an RNode splits it into two frames at most."""

PREAMBLE_SYMBOLS_MIN = 18
"""Symbols of an RNode's preamble, before the modem's own 4.25."""

PREAMBLE_MS_MIN = 24.0
"""Shortest preamble of an RNode in time, so that fast settings get more symbols. Fits the
measured air times of the table in tests/core/test_air.py."""

LDRO_SYMBOL_MS = 16.0
"""Symbol time from which low data rate optimisation is on. Source: AN1200.13, section 3."""

_SPREADING_FACTORS = range(5, 13)
_CODING_RATES = range(5, 9)


@dataclass(frozen=True, slots=True)
class LoRa:
    """One setting of a LoRa modem, explicit header and CRC on, as RNodes use it.

    Source: Semtech AN1200.13 and the SX1276 data sheet, section 4.1.1.7.

    Example:
        >>> slow = LoRa(sf=10)
        >>> round(slow.bit_rate_bps), round(slow.airtime_ms(83))
        (977, 944)
    """

    sf: int
    """Spreading factor, 5 to 12: bits per symbol."""
    bw_hz: int = 125_000
    cr: int = 5
    """Coding rate 4/``cr``, 5 to 8."""

    def __post_init__(self) -> None:
        if self.sf not in _SPREADING_FACTORS or self.cr not in _CODING_RATES or self.bw_hz < 1:
            raise ValueError(f"{self} is no LoRa setting: SF 5-12, CR 5-8, a bandwidth in Hz")

    @property
    def symbol_ms(self) -> float:
        """How long one symbol takes, in milliseconds."""
        return (1 << self.sf) * 1_000 / self.bw_hz

    @property
    def bit_rate_bps(self) -> float:
        """Raw bits per second, as RNodes and Reticulum state it: before preamble and header."""
        return self.sf * 4 / self.cr * self.bw_hz / (1 << self.sf)

    @property
    def preamble_symbols(self) -> int:
        """Symbols of the preamble that an RNode programs."""
        return max(PREAMBLE_SYMBOLS_MIN, math.ceil(PREAMBLE_MS_MIN / self.symbol_ms))

    def frame_ms(self, size_bytes: int) -> float:
        """Return the time on air of one LoRa frame.

        Args:
            size_bytes: Of its load, 0 to ``FRAME_SIZE_MAX``, the RNode's header byte included.
        """
        slow = 2 if self.symbol_ms >= LDRO_SYMBOL_MS else 0
        bits = 8 * size_bytes - 4 * self.sf + 28 + 16
        blocks = max(math.ceil(bits / (4 * (self.sf - slow))), 0)
        symbols = self.preamble_symbols + 4.25 + 8 + blocks * self.cr
        return symbols * self.symbol_ms

    def airtime_ms(self, size_bytes: int) -> float:
        """Return the time on air of one packet, in one frame or two.

        Args:
            size_bytes: Of the packet, 1 to ``PACKET_SIZE_MAX``.
        """
        if not 0 < size_bytes <= PACKET_SIZE_MAX:
            raise ValueError(f"a packet has 1 to {PACKET_SIZE_MAX} B, not {size_bytes} B")
        first = min(size_bytes, FRAME_SIZE_MAX - FRAME_HEADER)
        rest = size_bytes - first
        total_ms = self.frame_ms(first + FRAME_HEADER)
        return total_ms + self.frame_ms(rest + FRAME_HEADER) if rest else total_ms


# ── Reticulum's packets, at its MTU of 500 ──────────────────────────────────────────
# Source: measured on loopback, RNS 1.5.7; without IFAC, not relayed.

HEADER = 19
"""Bytes before the load of every packet that goes one hop."""

PLAIN_LOAD_MAX = 464
"""Bytes of a PLAIN broadcast."""

LINK_LOAD_MAX = 431
"""Bytes of one packet over a link: more goes as a Resource."""

PART_SIZE_MAX = 464
"""Bytes of one part of a Resource, already encrypted."""

ANNOUNCE_EMPTY = 167
"""Bytes of an announce without application data."""

LINK_REQUEST, LINK_PROOF, LINK_RTT = 86, 118, 83
"""Bytes of the three packets that set a link up."""

LINK_CLOSE = 99
"""Bytes of the packet that tears a link down."""

PACKET_PROOF = 115
"""Bytes of the receipt for one packet over a link."""

RESOURCE_ADVERTISEMENT, RESOURCE_REQUEST, RESOURCE_PROOF = 195, 115, 83
"""Bytes of what frames a Resource: offered once, requested by the window, proved once."""

_CIPHER = 48
_BLOCK = 16


def encrypted_size(load_bytes: int) -> int:
    """Return what ``load_bytes`` become under a link's key: padded, with IV and MAC."""
    return _CIPHER + (load_bytes // _BLOCK + 1) * _BLOCK


def plain_size(load_bytes: int) -> int:
    """Return the size of a PLAIN broadcast.

    Example:
        >>> plain_size(20)
        39
    """
    return HEADER + load_bytes


def announce_size(app_data_bytes: int) -> int:
    """Return the size of an announce."""
    return ANNOUNCE_EMPTY + app_data_bytes


def link_packet_size(load_bytes: int) -> int:
    """Return the size of one packet over a link.

    Example:
        >>> link_packet_size(10), link_packet_size(LINK_LOAD_MAX)
        (83, 499)
    """
    return HEADER + encrypted_size(load_bytes)


def part_sizes(load_bytes: int) -> list[int]:
    """Return the sizes of the packets that carry the parts of a Resource, in order."""
    total = encrypted_size(load_bytes + 4)  # Reticulum puts four random bytes before the load
    full, rest = divmod(total, PART_SIZE_MAX)
    return [HEADER + PART_SIZE_MAX] * full + ([HEADER + rest] if rest else [])
