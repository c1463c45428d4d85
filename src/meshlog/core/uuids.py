"""UUIDs: as people write them, and coded.

docs/protocol.md §5 is normative.
"""

from __future__ import annotations

import re

from meshlog.core.coder import Coder, Context, prior


def hex_number(digits: str, length: int) -> int | None:
    """Return the number that so many lower-case hex digits are, or None for anything else."""
    if len(digits) != length or not digits.isascii() or not _HEX.fullmatch(digits):
        return None
    return int(digits, 16)


_HEX = re.compile(r"[0-9a-f]+", re.ASCII)


def dashes(number: int) -> str:
    """Return 128 bits as people write a UUID."""
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_RANDOM = prior(1, 3)


def uuid_number(coder: Coder, context: Context, number: int) -> int:
    """Code 128 bits; 122 where they are a random UUID (RFC 9562 §5.4)."""
    is_random = number >> 76 & 15 == 4 and number >> 62 & 3 == 2  # noqa: PLR2004 - version, variant
    if not coder.bit((context, "random"), is_random, _RANDOM, 2):
        return coder.direct(64, number >> 64) << 64 | coder.direct(64, number & 2**64 - 1)
    high = coder.direct(48, number >> 80)
    middle = coder.direct(12, number >> 64 & 0xFFF)
    return (high << 16 | 4 << 12 | middle) << 64 | 2 << 62 | coder.direct(62, number & 2**62 - 1)
