"""A bundle: what one request or answer says, deflated where that pays. docs/protocol.md §6.

A version byte and messages in a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from meshlog.core.codec import Inflating, Reader, varint
from meshlog.errors import MalformedError
from meshlog.sync.messages import (
    BUNDLE_SIZE_MAX,
    DECODERS,
    Kind,
    Message,
    Seg,
    encode_message,
    walk,
)

VERSION = 1
DEFLATED = 0x80
"""Flag of the version byte: the messages are deflated (RFC 1951, no header). On a bundle of
survey rows this saves four bytes in five."""

DEFLATE_SIZE_MIN = 512
_RAW = -15
RATIO_MAX = 128
"""How many times its size a bundle may inflate to. What people write reaches 20."""

_ALL_BUT_SEGMENTS = frozenset(Kind) - {Kind.SEG}


class Bundle:
    """What a request or an answer says. Its segments stay coded in it until they are taken."""

    def __init__(self, data: bytes) -> None:
        """Read all of a bundle but what its segments carry.

        Raises:
            MalformedError: Another version (reason ``"newer version"``), or past a limit.
        """
        self._data = data
        self.said: list[Message] = []
        """Everything but segments, in order; unknown types of this version are left out."""
        self.has_segments = False
        for kind, message in walk(_opened(data), _ALL_BUT_SEGMENTS):
            if message is None:
                self.has_segments |= kind == Kind.SEG
            else:
                self.said.append(message)

    def segments(self) -> Iterator[bytes]:
        """Yield its segments, in order, read anew: one is in memory at a time."""
        for _, message in walk(_opened(self._data), (Kind.SEG,)):
            if isinstance(message, Seg):
                yield message.data


def encode_bundle(messages: Iterable[Message]) -> bytes:
    """Return the bytes of a request or an answer, deflated where that saves 5 % or more.

    What deflates further than a reader takes goes out by letter frequencies alone: at most 8 : 1.
    """
    chunks = [chunk for message in messages for chunk in _chunks(message)]
    size_bytes = sum(map(len, chunks))
    if size_bytes >= DEFLATE_SIZE_MIN:
        deflated = _deflated(chunks, zlib.Z_DEFAULT_STRATEGY)
        if size_bytes > RATIO_MAX * len(deflated):
            deflated = _deflated(chunks, zlib.Z_HUFFMAN_ONLY)
        if len(deflated) * 20 <= size_bytes * 19:
            return deflated
    return b"".join((bytes((VERSION,)), *chunks))


def _chunks(message: Message) -> tuple[bytes, ...]:
    """Return the bytes of one message; those of a segment are not copied."""
    if isinstance(message, Seg):
        return bytes((Kind.SEG,)) + varint(len(message.data)), message.data
    return (encode_message(message),)


def _deflated(chunks: Iterable[bytes], strategy: int) -> bytes:
    """Return a whole bundle, deflated piece by piece."""
    deflater = zlib.compressobj(9, wbits=_RAW, strategy=strategy)
    out = bytearray((VERSION | DEFLATED,))
    for chunk in chunks:
        out += deflater.compress(chunk)
    out += deflater.flush()
    return bytes(out)


def decode_bundle(data: bytes) -> list[Message]:
    """Return the messages in ``data`` all at once; see ``Bundle``, which takes less room."""
    return [message for _, message in walk(_opened(data), DECODERS) if message is not None]


def _opened(data: bytes) -> Reader:
    """Return a reader of the messages in a bundle. Nothing of it is copied or inflated yet.

    Raises:
        MalformedError: Another version, or too large.
    """
    if len(data) > BUNDLE_SIZE_MAX:
        raise MalformedError("bundle too large")
    reader = Reader(data)
    first = reader.uint(1)
    version = first & ~DEFLATED
    if version != VERSION:
        raise MalformedError("newer version" if version > VERSION else "unknown version")
    if not first & DEFLATED:
        return reader
    return Inflating(data, 1, min(BUNDLE_SIZE_MAX, RATIO_MAX * len(data)))
