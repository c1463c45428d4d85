"""A member gone bad: every message type, every field at its extremes, under signatures that hold.

Everything follows from one ``random.Random``. What it makes is well-formed as far as a check
looks, and hostile from there on: that is where byte-flipping fuzzers seldom come.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from meshlog.core.codec import VARINT_MAX, block
from meshlog.core.compact.run import encode_compact
from meshlog.core.event import NO_PREV, SEQ_MAX, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import COUNTER_MAX, WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.segment import encode_segment
from meshlog.errors import InputError, MalformedError
from meshlog.replica import Replica
from meshlog.sync import hints
from meshlog.sync import messages as say
from meshlog.sync import statements as state
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX, AirKey
from meshlog.sync.bundle import encode_bundle
from tests.replica.devices import T0_MS, identity

T = TypeVar("T")

NAMES = (
    "",
    "r",
    "W-1",
    "\0",
    "\x1b[2J",
    "a\nb",
    "\u202e\u2066",
    "x" * 300,
    "\ud7ff",
    "$b",
    "é" * 128,
)
COUNTS = (0, 1, 2, 63, 64, 65, 255, 1_023, 65_535, 65_536, 2**31, SEQ_MAX, VARINT_MAX)
SEQS = (1, 2, 3, 7, 64, 65, 1_000, SEQ_MAX - 1, SEQ_MAX)
STAMPS = (
    Stamp(0, 0), Stamp(0, COUNTER_MAX), Stamp(T0_MS - 1, 0), Stamp(T0_MS, 0), Stamp(T0_MS + 1, 7),
    Stamp(T0_MS + 900_001, 0), Stamp(T0_MS + 10**9, 3), Stamp(WALL_MS_MAX, 0),
    Stamp(WALL_MS_MAX, COUNTER_MAX), Stamp(1_735_689_600_000, 0),
)  # fmt: skip
SCALARS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**53, 2**63 - 1, -(2**63), 0.0, -0.0, 1e308, 5e-324, 0.1,
    b"", b"\0" * 16, b"\xff" * 20, b"k" * 32, b"k" * 64, "", "soft", "hard", "x" * 70, *NAMES,
)  # fmt: skip
KEYS: dict[str, tuple[str, ...]] = {
    "record.create": ("record_id", "form", "by"),
    "record.put": ("record_id", "form", "by", "fields", "replaces"),
    "field.set": ("record_id", "field", "value", "replaces"),
    "note.add": ("record_id", "text"),
    "attachment.add": ("record_id", "field", "blob_hash", "size", "mime"),
    "record.delete": ("record_id", "replaces"),
    "feed.open": ("keys", "name", "data", "admission"),
    "feed.seal": ("life", "control", "data", "author"),
    "dataset.genesis": ("keys", "name", "salt", "open"),
    "dataset.key": ("epoch", "id", "boxes"),
    "form.put": ("form", "fields"),
    "member.revoke": ("author", "cuts", "mode", "keeps"),
    "member.readmit": ("author", "answers", "cuts", "keeps"),
    "member.rotate": ("to", "cuts", "keeps"),
    "clock.fix": ("feed", "first", "last", "offset_ms", "author"),
    "unheard.of": ("a", "b"),
}
"""What is read of a body, by its kind; control kinds also land in data feeds, and the reverse."""


@dataclass
class Mallory:
    """The generator. It knows the dataset, its key, and what the replica held in the beginning."""

    replica: Replica
    who: Identity
    rng: Random
    tip: Event
    """Its own last event that is held: what it chains to where it wants to be believed."""
    stranger: Identity = field(default_factory=lambda: identity("nobody"))

    def pick(self, *of: T) -> T:
        return self.rng.choice(of)

    # ── bodies ──

    def value(self, depth: int = 0) -> Any:
        rng = self.rng
        shape = rng.random()
        if depth > 4 or shape < 0.6:
            return rng.choice(SCALARS)
        if shape < 0.8:
            return [self.value(depth + 1) for _ in range(rng.choice((0, 1, 2, 5)))]
        return {rng.choice(NAMES): self.value(depth + 1) for _ in range(rng.choice((0, 1, 3)))}

    def likely(self, key: str) -> Any:
        """A value of the right type that is wrong in what it says."""
        rng, feed = self.rng, self.feed()
        ref = [feed.author + feed.incarnation.to_bytes(4, "big"), rng.choice(SEQS)]
        cut = [feed.packed(), rng.choice(SEQS), rng.randbytes(32)]
        match key:
            case "record_id" | "field" | "form" | "by" | "text" | "name" | "mime" | "mode":
                return rng.choice(NAMES)
            case "replaces":
                return rng.choice(([ref] * rng.choice((1, 64, 65)), {"a": [ref]}, {"b": []}))
            case "fields":
                if rng.random() < 0.5:
                    return {rng.choice(NAMES): self.value() for _ in range(3)}
                kind = rng.choice(("int", "decimal", "choice", "choices", "date", "uuid", "text"))
                many = [str(n) for n in range(256)]
                options = rng.choice(([], ["a"] * 2, ["a", 1, True], many))
                params = rng.choice(({}, {"options": options}, {"scales": [0]},
                                     {"share": 65}, {"self": 1}))  # fmt: skip
                return [[rng.choice(NAMES), kind, params]] * rng.choice((1, 2, 256))
            case "keys":
                return rng.choice((self.who.keys, self.stranger.keys, bytes(64), b"\1" * 64))
            case "author" | "to":
                return rng.choice((self.who.author, self.replica.identity.author, bytes(16)))
            case "cuts" | "control":
                return rng.choice(([], [cut], [cut] * 257, {feed.packed().hex(): 1}))
            case "keeps" | "answers" | "boxes" | "feeds":
                return [rng.randbytes(rng.choice((16, 32)))] * rng.choice((0, 1, 1_025))
            case "data" | "life" | "first" | "last" | "offset_ms" | "size" | "epoch":
                return rng.choice((*COUNTS, -1, -(2**62)))
        return self.value()

    def body(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.05:
            return rng.choice((b"", b"\xff", rng.randbytes(40), b"\x9f" * 50, b"\x82\x60\xa0"))
        kind = rng.choice(tuple(KEYS))
        said = {
            key: self.value() if rng.random() < 0.3 else self.likely(key)
            for key in KEYS[kind]
            if rng.random() < 0.9
        }
        try:
            return encode_body(kind, said)
        except InputError:
            return b"\x82\x61x\xa0"

    # ── segments ──

    def feed(self) -> FeedKey:
        author = self.pick(self.who.author, self.who.author, self.replica.identity.author,
                           self.stranger.author, AuthorId(bytes(16)))  # fmt: skip
        life = self.pick(self.tip.feed.incarnation, 0, 7, 2**32 - 1)
        return FeedKey(author, self.pick(FeedKind.DATA, FeedKind.CONTROL), life)

    def run(self) -> list[Event]:
        """A signed run: chained to what is held, or to nowhere."""
        rng, believed = self.rng, self.rng.random() < 0.5
        feed, first, prev, stamp = self.place(believed=believed)
        count = min(rng.choice((1, 1, 2, 5, 64)), SEQ_MAX - first + 1)
        events: list[Event] = []
        for n in range(count):
            stamp = self.later(stamp) if believed or rng.random() < 0.8 else rng.choice(STAMPS)
            event = Event.make(feed, first + n, stamp, prev, self.body(), self.replica.dataset)
            events.append(event)
            prev = event.id
        signer = self.who if rng.random() < 0.8 else self.pick(self.stranger, Identity(bytes(64)))
        events[-1] = events[-1].signed(signer)
        if rng.random() < 0.1:
            events[-1] = events[-1]._replace(signature=rng.randbytes(64))
        return events

    def place(self, *, believed: bool | None = None) -> tuple[FeedKey, int, bytes, Stamp]:
        """Feed, first seq, prev and the stamp before of a run: after what is held, or nowhere."""
        if self.rng.random() < 0.5 if believed is None else believed:
            return self.tip.feed, self.tip.seq + 1, self.tip.id, self.tip.stamp
        prev = self.pick(NO_PREV, self.rng.randbytes(32))
        return self.feed(), self.pick(*SEQS), prev, STAMPS[0]

    def later(self, stamp: Stamp) -> Stamp:
        later = [one for one in STAMPS if one > stamp]
        if not later or self.rng.random() < 0.7:
            return Stamp(stamp.wall_ms, min(stamp.counter + 1, COUNTER_MAX))
        return self.rng.choice(later[:3] if self.rng.random() < 0.9 else later)

    def segment(self) -> bytes:
        rng, events = self.rng, self.run()
        coded = None
        if rng.random() < 0.4:
            # A writer refuses what no reader takes: such runs go out plain.
            base = self.pick(None, *STAMPS)
            try:
                coded = encode_compact(events, self.replica.ledger.codebook, base)
            except (AssertionError, MalformedError):
                coded = None
        try:
            data = bytearray(coded or encode_segment(events))
        except InputError:  # stamps that run backwards have no plain form
            data = bytearray(rng.randbytes(80))
        if rng.random() < 0.2:
            for _ in range(rng.choice((1, 2, 9))):
                data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.1:
            data = data[: rng.randrange(len(data) + 1)]
        return bytes(data)

    # ── messages ──

    def beacon(self) -> say.Beacon:
        rng = self.rng
        digest = self.replica.roster_digest()[:4]
        hints = (bytes(8), say.root_hint(1, self.replica.root()), rng.randbytes(8))
        return say.Beacon(
            rng.choice((0, 1, T0_MS // 1000, 2**32 - 1)), rng.choice(hints),
            rng.choice((digest, bytes(4))), rng.choice(COUNTS),
        )  # fmt: skip

    def heads(self, *, hashed: bool = True) -> hints.HeadHints:
        if not hashed:
            return self.pick((), (hints.HeadHint(self.pick(*SEQS), b""),))
        count = self.pick(0, 1, 1, 2, 63)
        return tuple(hints.HeadHint(self.pick(*SEQS), self.rng.randbytes(4)) for _ in range(count))

    def message(self) -> say.Message:
        rng = self.rng
        digest = rng.choice((self.replica.roster_digest()[:4], b"nope"))
        size = rng.choice((0, 1, 3, 40))
        makers: tuple[Callable[[], say.Message], ...] = (
            self.beacon,
            lambda: state.Ids(tuple((self.feed(), self.heads()) for _ in range(size))),
            lambda: state.Vec(digest, hashed=True, feeds=tuple(self.heads() for _ in range(size))),
            lambda: state.Vec(
                digest, hashed=False, first=rng.choice((0, 1, 19_999)), partial=rng.random() < 0.5,
                feeds=tuple(self.heads(hashed=False) for _ in range(size)), credit=255,
            ),
            lambda: state.Loc(self.feed(), tuple(
                hints.Point(self.pick(*SEQS), bytes(8)) for _ in range(self.pick(0, 1, 1_024))
            )),
            lambda: state.Delta(
                self.pick(self.replica.root()[:4], rng.randbytes(4)), digest, 255,
                tuple(self.step(place) for place in range(size)),
            ),
            lambda: state.Digests(
                0, 2**24 - 1, tuple(sorted(rng.randrange(2**24) for _ in range(size)))
            ),
            lambda: say.Want(rng.choice(COUNTS), tuple(
                say.Run(self.feed(), rng.choice(SEQS), rng.choice(SEQS)) for _ in range(size)
            )),
            lambda: say.Ack(self.beacon(), rng.choice(COUNTS), rng.choice(COUNTS)),
            lambda: say.Sum(rng.choice(COUNTS), rng.choice(COUNTS)),
            self.part,
            lambda: say.Seg(self.segment()),
            lambda: say.Seg(self.segment()),
        )  # fmt: skip
        return rng.choice(makers)()

    def step(self, place: int) -> state.Step:
        if self.rng.random() < 0.3:
            return state.Step(place, 0, self.heads())
        holes = tuple((self.pick(1, 2, 2**31), self.pick(1, 9)) for _ in range(self.pick(0, 1, 32)))
        return state.Step(place, self.pick(0, 1, -1, SEQ_MAX, -SEQ_MAX), holes=holes)

    def part(self) -> say.Part:
        rng = self.rng
        count = rng.choice((1, 2, 159, 160))
        place = rng.randrange(count)
        return say.Part(rng.choice((b"name", rng.randbytes(4))), place, count, rng.randbytes(300))

    def bundle(self) -> bytes:
        """A request or an answer."""
        rng = self.rng
        said = [self.message() for _ in range(rng.choice((1, 1, 2, 4)))]
        data = bytearray(encode_bundle(said))
        shape = rng.random()
        if shape < 0.05:
            return b"\x81" + zlib.compress(
                b"\x7f" + block(bytes(rng.choice((10**5, 10**7)))), 9, -15
            )
        if shape < 0.2:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif shape < 0.25:
            data = data[: rng.randrange(len(data))]
        return bytes(data)

    def packet(self, air: AirKey) -> bytes:
        """A broadcast packet."""
        if self.rng.random() < 0.2:
            return air.pack_beacon(self.beacon())
        cargo = say.encode_messages([self.message()])[:CARGO_SIZE_MAX]
        sealed = self.rng.randbytes(2) + cargo
        return air.seal_bytes(sealed)
