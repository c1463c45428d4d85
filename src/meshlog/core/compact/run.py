"""A compact segment: the coding byte, a range-coded run, and the signature.

docs/protocol.md §5 is normative. One function describes the run for writing and reading.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.core.coder import Coder, prior
from meshlog.core.compact.bodies import body
from meshlog.core.compact.memory import SPELLED_FREE, SPELLED_PER_BYTE, Memory, UnknownNameError
from meshlog.core.compact.names import FEED_HINT_SIZE, Codebook, feed_hint
from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import NO_PREV, SEQ_MAX, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.core.rangecoder import WORK_FREE, WORK_PER_BYTE, ReaderCoder, Writer
from meshlog.core.segment import (
    PLAIN,
    SEGMENT_EVENTS_MAX,
    SEGMENT_SIZE_MAX,
    Segment,
    decode_segment,
    encode_segment,
    read_feed_place,
)
from meshlog.errors import MalformedError

COMPACT = 1
BASE_HINT_SIZE = 2
EPOCH_MS = 1_735_689_600_000
"""2025-01-01: what the first stamp of a feed is counted from."""

_BEFORE = Stamp(0, -1)
_STEP_BITS = 47
_STEPS = tuple(1 + 4 * (8 <= bits <= 17) + 12 * (12 <= bits <= 16) for bits in range(_STEP_BITS))  # noqa: PLR2004 - as the next line says
"""People write something every second to every few minutes: 2**13 to 2**17 ms, mostly."""


def encode_compact(events: Sequence[Event], book: Codebook, base: Stamp | None) -> bytes | None:
    """Return a run of one branch, whose last event carries a signature, as a compact segment.

    It is read back before it is returned.

    Args:
        events: At most 256.
        book: What the control events held say.
        base: The stamp of the event before the run; None at seq 1, or where it is not at hand.

    Returns:
        None where the run has no compact form: it takes a plain segment.
    """
    assert events[-1].signature, "a segment ends at a cut"
    run = RunWriter(events[0], book, base)
    for event in events:
        run.add(event)
    data = bytes((COMPACT,)) + run.finish() + events[-1].signature
    try:
        segment = decode_compact(data, book)
    except MalformedError:
        return None
    if segment is None or segment.feed != events[0].feed or len(data) > SEGMENT_SIZE_MAX:
        return None
    return data if segment.bodies == [event.body for event in events] else None


def fitting(events: Sequence[Event], book: Codebook, base: Stamp | None, size_bytes: int) -> int:
    """Return how many of these events, from the first, fit a compact segment of a size.

    At least 1, even where that one alone does not fit. Cost: one coding of what fits.
    """
    run = RunWriter(events[0], book, base)
    for count, event in enumerate(events[:SEGMENT_EVENTS_MAX]):
        run.add(event)
        if count and run.size_bytes > size_bytes:
            return count
    return min(len(events), SEGMENT_EVENTS_MAX)


def read_segment(data: bytes, book: Codebook) -> Segment | None:
    """Return the segment in ``data``, whatever its coding; see ``decode_compact``."""
    return decode_compact(data, book) if is_compact(data) else decode_segment(data)


def read_place(data: bytes, book: Codebook) -> tuple[FeedKey, int] | None:
    """Return the feed and the first seq that a segment begins with, whatever its coding.

    Cost: that of its first 30 bytes. What follows may still be malformed.

    Returns:
        None where it names a feed that the book does not know.

    Raises:
        MalformedError: It has no such beginning.
    """
    if data[:1] == bytes((PLAIN,)):
        feed, first_seq, _ = read_feed_place(data, 1)
        return feed, first_seq
    if data[:1] != bytes((COMPACT,)):
        raise MalformedError("unknown coding")
    try:
        feed, first_seq, _, _ = _head(ReaderCoder(data[1:-SIGNATURE_SIZE]), book)
    except UnknownNameError:
        return None
    return feed, first_seq


def is_compact(data: bytes) -> bool:
    """Say whether a segment is not plain."""
    return data[:1] != bytes((PLAIN,))


def read_work(data: bytes) -> int:
    """Return how many adaptive bits a compact segment may make a reader decode: a µs for each."""
    return WORK_FREE + WORK_PER_BYTE * len(data)


def write_segment(
    events: Sequence[Event], book: Codebook, base: Stamp | None, *, compact: bool
) -> bytes:
    """Return a run as a compact segment where that is wanted and can be, else as a plain one."""
    found = encode_compact(events, book, base) if compact else None
    return found or encode_segment(events)


def decode_compact(data: bytes, book: Codebook) -> Segment | None:
    """Return the compact segment in ``data``.

    Returns:
        None where it names a feed or a form that the book does not know: a gap, because
        control events may still bring it.

    Raises:
        MalformedError: Not a segment, or past a limit.
    """
    if len(data) > SEGMENT_SIZE_MAX:
        raise MalformedError("segment too large")
    if data[:1] != bytes((COMPACT,)):
        raise MalformedError("unknown coding")
    if len(data) < 1 + SIGNATURE_SIZE:
        raise MalformedError("truncated")
    coded, signature = data[1:-SIGNATURE_SIZE], data[-SIGNATURE_SIZE:]
    reader = ReaderCoder(coded)
    try:
        feed, first_seq, hint, relative = _head(reader, book)
        memory = Memory(book, feed, SPELLED_FREE + SPELLED_PER_BYTE * len(coded))
        stamps: list[int] = []
        bodies: list[bytes] = []
        stamp = _BEFORE if relative else None
        while not bodies or (len(bodies) < SEGMENT_EVENTS_MAX and _more(reader)):
            if first_seq + len(bodies) > SEQ_MAX:
                raise MalformedError("seq out of range")
            stamp = _stamp(reader, stamp)
            stamps.append(stamp.packed())
            bodies.append(body(reader, memory))
        reader.end()
    except UnknownNameError:
        return None
    return Segment(feed, first_seq, hint, stamps, bodies, signature, relative)


class RunWriter:
    """Writes a run event by event, so that it can be cut where it would grow too long."""

    def __init__(self, first: Event, book: Codebook, base: Stamp | None) -> None:
        """Write what stands before the events. See ``encode_compact``.

        Args:
            first: The first event of the run; ``add`` takes it, too.
            book: What the control events held say.
            base: The stamp before the run, if any.
        """
        self._coder = Writer()
        self._count = 0
        relative = base is not None and first.seq > 1
        self._base = base if relative else None
        _head(self._coder, book, first, relative=relative)
        self._memory = Memory(book, first.feed, SEGMENT_SIZE_MAX, is_writing=True)
        self._before = _BEFORE if relative else None

    def add(self, event: Event) -> None:
        """Write the next event of the run."""
        assert self._count < SEGMENT_EVENTS_MAX, "a segment holds no more"
        if self._count:
            _more(self._coder, 1)
        stamp = event.stamp
        if self._base is not None:
            wall_ms = stamp.wall_ms - self._base.wall_ms
            stamp = Stamp(wall_ms, stamp.counter - (0 if wall_ms else self._base.counter + 1))
        self._before = _stamp(self._coder, self._before, stamp)
        body(self._coder, self._memory, event.body)
        self._count += 1

    @property
    def size_bytes(self) -> int:
        """Bytes of the segment if it ended here, signature and all; or up to four more."""
        return 2 + self._coder.size_bytes + SIGNATURE_SIZE

    def finish(self) -> bytes:
        """Return the coded run; nothing can be added after that."""
        if self._count < SEGMENT_EVENTS_MAX:
            _more(self._coder, 0)
        return self._coder.finish()


def _more(coder: Coder, value: int = 0) -> int:
    return coder.bit("more", value, prior(1, 3))


def _head(
    coder: Coder, book: Codebook, first: Event | None = None, *, relative: bool = False
) -> tuple[FeedKey, int, bytes, bool]:
    """Code the feed, the first seq, the base hint, and whether stamps count from the base's."""
    feed = first.feed if first else None
    hint = feed_hint(feed) if feed else b""
    named = feed is not None and book.feeds.get(hint) == feed
    if first is not None and first.seq == 1 and first.feed.kind is FeedKind.CONTROL:
        named = False  # it introduces itself: whoever lacks it knows no name of it
    if coder.bit("feed is named", named, prior(1, 30)):
        known = book.feeds.get(coder.plain(FEED_HINT_SIZE, hint))
        if known is None:
            raise UnknownNameError
        feed = known
    else:
        author = AuthorId(coder.plain(AUTHOR_ID_SIZE, feed.author if feed else b""))
        kind = FeedKind(coder.bit("feed kind", feed.kind if feed else 0))
        feed = FeedKey(author, kind, coder.direct(32, feed.incarnation if feed else 0))
    seq = 1 + coder.uint("first seq", first.seq - 1 if first else 0, SEQ_MAX - 1, 9)
    if seq == 1:
        return feed, 1, NO_PREV[:BASE_HINT_SIZE], False
    base = coder.plain(BASE_HINT_SIZE, first.prev[:BASE_HINT_SIZE] if first else b"")
    return feed, seq, base, bool(coder.bit("relative", relative, prior(1, 60)))


def _stamp(coder: Coder, before: Stamp | None, value: Stamp | None = None) -> Stamp:
    """Code a stamp after the one before it; an absolute one where there is none."""
    if before is None:
        told = value.wall_ms - EPOCH_MS if value else 0
        wall_ms = EPOCH_MS + coder.sint("wall_ms", told, WALL_MS_MAX, 35)
        expected = 0
    else:
        step = value.wall_ms - before.wall_ms if value else 0
        bits = coder.bit("later", step > 0)
        if bits:
            bits = 1 + coder.symbol("step", _STEP_BITS, step.bit_length() - 1, _STEPS)
            step = 1 << bits - 1 | coder.direct(bits - 1, step & (1 << bits - 1) - 1)
        wall_ms = before.wall_ms + step
        expected = 0 if bits else before.counter + 1
    counter = value.counter if value else expected
    counter = expected + coder.uint("counter", counter - expected, COUNTER_MAX)
    if not 0 <= wall_ms <= WALL_MS_MAX or counter > COUNTER_MAX:
        raise MalformedError("stamp out of range")
    return Stamp(wall_ms, counter)
