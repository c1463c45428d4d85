"""Texts: named where they are known, packed where they are hex or numbered, else spelled."""

from __future__ import annotations

import re
from functools import lru_cache

from meshlog.core.coder import Coder, Context, Primer
from meshlog.core.compact.memory import Memory, is_nameable, name_form
from meshlog.core.event import BODY_SIZE_MAX
from meshlog.core.feed import FeedKind
from meshlog.core.rangecoder import Writer
from meshlog.core.uuids import dashes, hex_number, uuid_number
from meshlog.errors import MalformedError

_KNOWN, _SPELLED, _HEX, _UUID, _NUMBERED = range(5)
_MODES = (4, 8, 4, 1, 2)
_KEPT_SIZE_MAX = 64
_SPACE = 0x20
PRIMER_SIZE_MAX = 2_048
"""Bytes of a form's words that the first text of a segment is read in the light of."""

_NUMBER_DIGITS_MAX = 15
_NUMBERED_RE = re.compile(r"(.*?)([0-9]{1,15})", re.DOTALL | re.ASCII)
_HEX_RE = re.compile(r"[0-9a-f]{8,254}", re.ASCII)
_HEX_SIZE_MAX = 127
_HEX_SIZES = tuple(200 if size in (8, 16, 20, 32) else 2 for size in range(_HEX_SIZE_MAX + 1))
"""Bytes that hex digits stand for: mostly ids and hashes."""


def text(coder: Coder, memory: Memory, context: Context, value: str = "") -> str:
    """Code a text."""
    mode = _mode_of(memory, value) if coder.is_writing else 0
    mode = coder.symbol((context, "text"), 5, mode, _MODES)
    if mode == _KNOWN:
        last = len(memory.texts) - 1
        back = coder.uint((context, "back"), last - memory.places.get(value, last), last, 2)
        found = memory.texts[last - back]
        memory.charge(len(found))
        return found
    if mode == _HEX:
        return _hex(coder, memory, context, value)
    if mode == _UUID:
        memory.charge(36)
        number = hex_number(value.replace("-", ""), 32) if coder.is_writing else 0
        return dashes(uuid_number(coder, (context, "uuid"), number or 0))
    if mode == _NUMBERED:
        return _numbered(coder, memory, context, value)
    found = spelled(coder, memory, context, value)
    if len(found) <= _KEPT_SIZE_MAX:
        memory.keep(found)
    return found


def _mode_of(memory: Memory, value: str) -> int:
    if value in memory.places:
        return _KNOWN
    if not value.isascii():
        return _SPELLED
    if len(value) % 2 == 0 and _HEX_RE.fullmatch(value):
        return _HEX
    if len(value) == 36 and value[8] == value[23] == "-":  # noqa: PLR2004 - a UUID's shape
        number = hex_number(value.replace("-", ""), 32)
        if number is not None and dashes(number) == value:
            return _UUID
    match = _NUMBERED_RE.fullmatch(value)
    if match and len(match[1]) <= _KEPT_SIZE_MAX and (match[2][0] != "0" or len(match[2]) > 1):
        return _NUMBERED
    return _SPELLED


def _hex(coder: Coder, memory: Memory, context: Context, value: str) -> str:
    size = coder.symbol((context, "hex"), _HEX_SIZE_MAX + 1, len(value) // 2, _HEX_SIZES)
    memory.charge(2 * size)
    return coder.plain(size, bytes.fromhex(value) if coder.is_writing else b"").hex()


def _numbered(coder: Coder, memory: Memory, context: Context, value: str) -> str:
    """Code a prefix and a number; after the first of a prefix, the step from the last one."""
    match = _NUMBERED_RE.fullmatch(value)
    prefix, digits = (match[1], match[2]) if match else ("", "")
    names = list(memory.numbers)
    known = bool(names) and coder.bit((context, "prefix known"), prefix in memory.numbers)
    if known:
        place = names.index(prefix) if match else 0
        prefix = names[coder.uint((context, "prefix"), place, len(names) - 1)]
    else:
        prefix = spelled(coder, memory, "prefix", prefix)
    number, width = memory.numbers.get(prefix, (0, 1))
    width = coder.uint((context, "width", width), len(digits), _NUMBER_DIGITS_MAX)
    step = int(digits or "0") - number
    number += coder.sint((context, "step", known), step, 10**_NUMBER_DIGITS_MAX)
    found = f"{number:0{width}}" if width and number >= 0 else ""
    if len(found) != width or not width:
        raise MalformedError("no such number")
    memory.charge(len(prefix) + width)
    memory.numbers[prefix] = (number, width)
    return prefix + found


def spelled(coder: Coder, memory: Memory, context: Context, value: str = "") -> str:
    """Code a text byte by byte, each in the light of the one before."""
    data = value.encode()
    size = coder.uint((context, "length"), len(data), BODY_SIZE_MAX, 3)
    memory.spell(size)
    if size and not memory.is_primed:
        memory.is_primed = True
        _prime(coder, memory)
    try:
        return _letters(coder, size, data).decode()
    except UnicodeDecodeError as error:
        raise MalformedError("text is not UTF-8") from error


def _letters(coder: Coder, size: int, data: bytes) -> bytes:
    """Code bytes, each in the light of the one and of the three before it."""
    out = bytearray()
    one = two = three = _SPACE
    for place in range(size):
        contexts = ("letters", one, (three, two, one))
        three, two = two, one
        one = coder.nested(contexts, 256, data[place] if data else 0, WEIGHTS)
        out.append(one)
    return bytes(out)


def _prime(coder: Coder, memory: Memory) -> None:
    """Let the first text of a segment know the words of a form: the first named, else one now.

    Never in a control feed: it brings the forms.
    """
    if memory.feed.kind is FeedKind.CONTROL:
        return
    if not memory.forms:
        latest = memory.book.forms.forms[-1:]
        if coder.bit("primed", bool(latest) and is_nameable(memory, latest[0])):
            name_form(coder, memory, latest[0] if latest else None)
    if memory.forms:
        coder.prime(_primer(memory.forms[0].words[:PRIMER_SIZE_MAX]))


@lru_cache(maxsize=4)
def _primer(words: bytes) -> Primer:
    """Return what a coder knows after these words. Cost: about 20 microseconds a byte."""
    writer = Writer()
    _letters(writer, len(words), words)
    return writer.learned()


def _weights() -> tuple[int, ...]:
    """Return how often each byte is expected: letters as in most languages of Latin script."""
    weights = [1] * 256
    for letters, weight in (
        (" ", 120), ("e", 90), ("aiotnrs", 60), ("ldhu", 36), ("cmpgfywbvk", 18), ("jxqz", 4),
        ("0123456789", 12), (".,-_/:'()", 8), ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 6), ("\n", 4),
    ):  # fmt: skip
        for letter in letters:
            weights[ord(letter)] = weight
    return tuple(weights)


WEIGHTS = _weights()
