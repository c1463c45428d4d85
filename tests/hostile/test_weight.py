"""What one request of somebody with the dataset's key makes a node hold, at most, beside itself."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

import pytest

from meshlog.core.codec import block
from meshlog.core.compact.run import COMPACT, RunWriter, encode_compact
from meshlog.core.event import NO_PREV, SEQ_MAX, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId
from meshlog.core.segment import encode_segment
from meshlog.ports.links import Asked, LinkUp
from meshlog.sync import hints
from meshlog.sync import messages as say
from meshlog.sync import statements as state
from meshlog.sync.bundle import DEFLATED, encode_bundle
from meshlog.sync.holdings import Verdict
from meshlog.sync.peers import PeerState
from tests.replica.devices import T0_MS, Pump, founder, identity, invited, name_of, note

GROWTH_MAX = 2**20
"""The bar: bytes beyond the request itself, its answer included."""

ROOM = say.BUNDLE_SIZE_MAX - 12_000
BATCH = 262_144
NOWHERE = say.Beacon(0, bytes(8), bytes(4), 0)


class Liar:
    """A member that turned, and a base that knows it and holds a little."""

    def __init__(self) -> None:
        self.base = founder()
        self.turned = invited(self.base, "mallory", Role.WRITER)
        note(self.base, "here")
        self.tip = note(self.turned, "trust me")
        Pump(self.base, self.turned).meet(self.base, self.turned)
        self.rng = Random(1)
        self.base.handle(LinkUp(name_of(self.turned), BATCH), T0_MS)

    @property
    def state(self) -> PeerState:
        """What the base remembers of the liar."""
        state = self.base.engine.peers.known(name_of(self.turned))
        assert state is not None
        return state

    def heavy(self, request: bytes, now_ms: int = T0_MS) -> int:
        """Return what answering a request takes at the peak, the request itself left out."""
        who = name_of(self.turned)
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            self.base.handle(Asked(who, 1, request), now_ms)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak - before

    def run(self, bodies: list[bytes], seq: int = 0, life: int | None = None) -> list[Event]:
        """Return a signed run after the last event held, or anywhere."""
        feed, tip = self.tip.feed, self.tip
        if life is not None:
            feed = FeedKey(feed.author, FeedKind.DATA, life)
        prev = tip.id if not seq else self.rng.randbytes(32)
        stamp, events = tip.stamp, []
        for n, body in enumerate(bodies):
            stamp = Stamp(stamp.wall_ms, stamp.counter + 1)
            place = (seq or tip.seq + 1) + n
            event = Event.make(feed, place, stamp, prev, body, self.base.dataset)
            events.append(event)
            prev = event.id
        return [*events[:-1], events[-1].signed(self.turned.identity)]


def filled(piece: bytes) -> bytes:
    """Return as many copies of a message as a request holds."""
    return b"\x01" + piece * min(ROOM // len(piece), say.SEGMENTS_MAX)


def packed(plain: bytes) -> bytes:
    """Return a request deflated, with as much noise as makes its ratio one that is read."""
    noise = b"\x7f" + block(Random(2).randbytes(len(plain) // 100))
    return bytes((plain[0] | DEFLATED,)) + zlib.compress(plain[1:] + noise, 9, -15)


def tiny_events(liar: Liar) -> bytes:
    return filled(say.encode_message(say.Seg(encode_segment(liar.run([b""] * 256, seq=50)))))


def tiny_segments(liar: Liar) -> bytes:
    return filled(say.encode_message(say.Seg(encode_segment(liar.run([b""], seq=50)))))


def large_segments(liar: Liar) -> bytes:
    bodies = [liar.rng.randbytes(65_000) for _ in range(4)]
    return filled(say.encode_message(say.Seg(encode_segment(liar.run(bodies, seq=50)))))


def one_valid_segment(liar: Liar) -> bytes:
    bodies = [encode_body("note.add", {"record_id": "W", "text": "x" * 60_000})] * 4
    return b"\x01" + say.encode_message(say.Seg(encode_segment(liar.run(bodies))))


def many_valid_events(liar: Liar) -> bytes:
    """Two hundred and fifty-six of each segment, one after another, all of them believed."""
    said = []
    for n in range(14):
        record = {"record_id": f"W-{n}", "text": "y" * 200}
        run = liar.run([encode_body("note.add", record)] * 256)
        liar.tip = run[-1]
        said.append(say.encode_message(say.Seg(encode_segment(run))))
    return b"\x01" + b"".join(said)


def many_ids(liar: Liar) -> bytes:
    feeds = tuple(
        (FeedKey(AuthorId(liar.rng.randbytes(16)), FeedKind.CONTROL, n),
         (hints.HeadHint(1 + liar.rng.randrange(9_999), b"hint"),))
        for n in range(state.FEEDS_MAX)
    )  # fmt: skip
    return encode_bundle([NOWHERE, state.Ids(feeds)])


def many_heads(liar: Liar) -> bytes:
    heads = tuple(hints.HeadHint(1 + n, liar.rng.randbytes(4)) for n in range(64))
    feeds = tuple(
        (FeedKey(AuthorId(liar.rng.randbytes(16)), FeedKind.CONTROL, n), heads)
        for n in range(2_900)
    )
    return encode_bundle([NOWHERE, state.Ids(feeds)])


def many_data_feeds(liar: Liar) -> bytes:
    digest = liar.base.roster_digest()[:4]
    feeds = tuple((hints.HeadHint(1 + n % 7, b""),) for n in range(20_000))
    return encode_bundle([NOWHERE, state.Vec(digest, hashed=False, feeds=feeds)])


def many_points(liar: Liar) -> bytes:
    locs = [
        state.Loc(
            FeedKey(AuthorId(liar.rng.randbytes(16)), FeedKind.DATA, n),
            tuple(hints.Point(1 + m, liar.rng.randbytes(8)) for m in range(state.POINTS_MAX)),
        )
        for n in range(say.LOCATORS_MAX)
    ]
    return encode_bundle(locs)


def many_wants(liar: Liar) -> bytes:
    runs = tuple(say.Run(liar.tip.feed, 1, SEQ_MAX) for _ in range(say.RUNS_MAX))
    return encode_bundle([say.Want(2**40, runs)])


def unknown_message(_liar: Liar) -> bytes:
    return b"\x01\x7f" + block(bytes(ROOM - 10))


def inflating(_liar: Liar) -> bytes:
    return packed(b"\x01\x7f" + block(bytes(ROOM - 10)))


def inflating_part(_liar: Liar) -> bytes:
    return packed(b"\x01\x0b" + block(b"name\x00\x01" + bytes(ROOM - 20)))


def many_steps(_liar: Liar) -> bytes:
    steps = tuple(state.Step(n, 1, holes=((1, 1),)) for n in range(state.STEPS_MAX))
    return encode_bundle([state.Delta(b"base", b"r", 255, steps)])


def empty_maps(liar: Liar) -> bytes:
    """A body of 64 kB that is nothing but empty maps, in an opening: read before it is believed."""
    who = identity("nobody")
    body = b"\x82\x69feed.open\xa1\x61x\x9a" + (60_000).to_bytes(4, "big") + b"\xa0" * 60_000
    feed = FeedKey(who.author, FeedKind.CONTROL, 7)
    event = Event.make(feed, 1, liar.tip.stamp, NO_PREV, body, liar.base.dataset).signed(who)
    return b"\x01" + say.encode_message(say.Seg(encode_segment([event])))


def valid_maps(liar: Liar) -> bytes:
    """As many maps as a body may hold, in as many bodies as go into one transaction."""
    said = []
    for n in range(8):
        held = {"record_id": f"W-{n}", "form": "x", "fields": {"a": [{}] * 2_000}}
        run = liar.run([encode_body("record.put", held)] * 8)
        liar.tip = run[-1]
        said.append(say.encode_message(say.Seg(encode_segment(run))))
    return b"\x01" + b"".join(said)


def wants_of_a_forked_feed(liar: Liar) -> bytes:
    """A feed with 300 branches, wanted a thousand times over."""
    for n in range(300):
        body = encode_body("note.add", {"record_id": "W", "text": str(n)})
        liar.base.ingest([encode_segment(liar.run([body]))], T0_MS)
    return many_wants(liar)


def texts_and_numbers(liar: Liar) -> bytes:
    """As much as a body may hold that is read before it is believed."""
    who = identity("nobody")
    few, many = [chr(97 + n % 26) + "z" for n in range(8_000)], [300 + n for n in range(12_000)]
    body = encode_body("feed.open", {"keys": few, "name": many})
    feed = FeedKey(who.author, FeedKind.CONTROL, 7)
    event = Event.make(feed, 1, liar.tip.stamp, NO_PREV, body, liar.base.dataset).signed(who)
    return b"\x01" + say.encode_message(say.Seg(encode_segment([event])))


HEAVY: tuple[Callable[[Liar], bytes], ...] = (
    tiny_events, tiny_segments, large_segments, one_valid_segment, many_valid_events, many_ids,
    many_heads, many_data_feeds, many_points, many_wants, unknown_message, inflating,
    inflating_part, many_steps, empty_maps, texts_and_numbers,
    wants_of_a_forked_feed,
)  # fmt: skip


@pytest.mark.parametrize("make", HEAVY, ids=lambda make: make.__name__)
@pytest.mark.parametrize("deflated", [False, True], ids=["plain", "deflated"])
def test_no_request_takes_a_mebibyte_more_than_itself(
    make: Callable[[Liar], bytes], deflated: bool
) -> None:
    liar = Liar()
    request = make(liar)
    if deflated and not request[0] & DEFLATED:
        request = packed(request)

    grown = liar.heavy(request)

    print(f"{make.__name__}: {len(request):,} B, {grown / 2**20:.2f} MiB beside it")
    assert grown <= GROWTH_MAX


def test_compact_segments_that_take_minutes_to_read_are_postponed_after_a_second() -> None:
    """Three kilobytes inflate to thousands of segments, each of 20 ms; over links they go plain."""
    liar = Liar()
    run = liar.run(
        [encode_body("note.add", {"record_id": "W", "text": c * 2_000}) for c in "abcdef"]
    )
    book = liar.base.ledger.codebook
    writer = RunWriter(run[0], book, None)
    for event in run:
        writer.add(event)
    segment = bytes((COMPACT,)) + writer.finish() + run[-1].signature
    request = packed(filled(say.encode_message(say.Seg(segment))))

    liar.base.handle(Asked(name_of(liar.turned), 1, request), T0_MS)

    counts = liar.state.counts
    assert 10 < counts[Verdict.MALFORMED] < 64
    assert counts[Verdict.BUSY] > 3_000


def test_one_compact_segment_is_read_over_a_link_as_over_the_air() -> None:
    liar = Liar()
    run = liar.run([encode_body("note.add", {"record_id": "W", "text": "hello"})])
    segment = encode_compact(run, liar.base.ledger.codebook, liar.tip.stamp)
    assert segment is not None
    liar.state.counts.clear()

    liar.base.handle(Asked(name_of(liar.turned), 1, encode_bundle([say.Seg(segment)])), T0_MS)

    assert liar.state.counts == {Verdict.ACCEPTED: 1}


def test_valid_events_of_nothing_but_maps_take_no_more_than_others() -> None:
    liar = Liar()

    assert liar.heavy(valid_maps(liar)) <= GROWTH_MAX
