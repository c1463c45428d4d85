"""The attacks in our words: bundles that a peer asks, in one of three roles.

A stranger holds nothing; ``key`` holds the dataset's key and no grant (it leaked); a ``member``
was invited and turned.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from meshlog.core.codec import block, varint
from meshlog.core.event import NO_PREV, SEQ_MAX, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Invite, admit
from meshlog.core.hlc import WALL_MS_MAX, Stamp
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.segment import encode_segment
from meshlog.sync import messages as say
from meshlog.sync.bundle import encode_bundle
from meshlog.sync.hints import HeadHint, Point
from meshlog.sync.statements import Delta, Ids, Loc, Vec

NOW_MS = 1_750_000_000_000
NOWHERE = say.Beacon(0, bytes(8), bytes(4), 0)


@dataclass
class Attacker:
    """Who speaks: keys, and what the dataset gave them."""

    who: Identity
    invite: Invite | None
    admission: bytes = b""

    @property
    def dataset(self) -> DatasetId:
        """The dataset that ids bind; any where we know none."""
        return self.invite.dataset if self.invite else DatasetId(b"\0" * 32)  # type: ignore[arg-type]

    def join(self) -> None:
        """Use the invite: from now on a member."""
        assert self.invite, "a member was invited"
        invite = self.invite
        self.admission = admit(invite.grant, invite.seed, self.who.author, invite.dataset)

    def feed(self, kind: FeedKind = FeedKind.DATA, life: int = 7) -> FeedKey:
        """Return a feed of ours."""
        return FeedKey(self.who.author, kind, life)

    def opening(self, who: Identity | None = None, keys: bytes = b"") -> say.Seg:
        """Return the opening of a feed, ours or a made-up author's."""
        who = who or self.who
        said = {"keys": keys or who.keys, "name": "x", "data": 7}
        if self.admission and who is self.who:
            said["admission"] = self.admission
        body = encode_body("feed.open", said)
        return self.run([body], FeedKey(who.author, FeedKind.CONTROL, 7), who=who)

    def run(
        self,
        bodies: list[bytes],
        feed: FeedKey | None = None,
        first: int = 1,
        stamp: Stamp = Stamp(NOW_MS, 0),  # noqa: B008 - a frozen value
        who: Identity | None = None,
    ) -> say.Seg:
        """Return a signed run."""
        prev, events = NO_PREV if first == 1 else b"\1" * 32, []
        for n, body in enumerate(bodies):
            at = Stamp(stamp.wall_ms, stamp.counter + n)
            event = Event.make(feed or self.feed(), first + n, at, prev, body, self.dataset)
            events.append(event)
            prev = event.id
        events[-1] = events[-1].signed(who or self.who)
        return say.Seg(encode_segment(events))


def _note(text: str = "x") -> bytes:
    return encode_body("note.add", {"record_id": "W-1", "text": text})


def bundles(attack: str, by: Attacker, victim: AuthorId) -> Iterator[bytes]:
    """Yield the requests of one attack on the node of an author."""
    theirs = FeedKey(victim, FeedKind.DATA, 7)
    yield encode_bundle([by.opening()])
    match attack:
        case "forged author":
            yield encode_bundle([by.run([_note("forged")], theirs)])
        case "squatted slot":
            yield encode_bundle([by.run([_note("squat")], theirs, 51)])
        case "frontier request":
            yield encode_bundle([NOWHERE, Ids(())])
        case "20,000 made-up authors":
            for first in range(0, 20_000, 2_000):
                rng = random.Random(first)  # noqa: S311 - no secrets
                made = (by.opening(Identity(rng.randbytes(64))) for _ in range(2_000))
                yield encode_bundle(made)
        case "one packet, wrong type":
            yield encode_bundle([by.run([encode_body("x", {"author": 7})])])
            yield encode_bundle([by.run([encode_body("field.set", {"record_id": 7})])])
        case "seq-gap flood, 31 MB":
            rng = random.Random(1)  # noqa: S311 - no secrets
            for n in range(31):
                runs = [[_note(rng.randbytes(15_000).hex())] for _ in range(32)]
                yield encode_bundle(by.run(run, None, 100 + n) for run in runs)
        case "a Resource that inflates":
            yield bytes(10 * 1024 * 1024)  # Reticulum's bz2
            yield b"\x81" + zlib.compress(b"\x7f" + block(bytes(990_000)), 9, -15)
        case "far-future stamps":
            yield encode_bundle([by.run([_note()], None, 1, Stamp(WALL_MS_MAX, 0))])
        case "small-order key":
            keys = by.who.keys[:32] + b"\1" + bytes(31)
            yield encode_bundle([by.opening(keys=keys)])
        case "malformed of every kind":
            yield from _malformed(by)


def _malformed(by: Attacker) -> Iterator[bytes]:
    rng = random.Random(3)  # noqa: S311 - no secrets
    digest = bytes(4)
    far = (HeadHint(SEQ_MAX, b"aaaa"),)
    points = tuple(Point(n + 1, bytes(8)) for n in range(1_024))
    whole: list[list[say.Message]] = [
        [], [NOWHERE], [say.Want(2**63 - 1, (say.Run(by.feed(), 1, SEQ_MAX),) * 1_024)],
        [NOWHERE, Ids(tuple((by.feed(FeedKind.CONTROL, n), far) for n in range(20_000)))],
        [NOWHERE, Vec(digest, hashed=True, feeds=(far,) * 5_000)],
        [NOWHERE, Loc(by.feed(), points)],
        [say.Ack(NOWHERE, 2**63 - 1, 2**63 - 1), say.Sum(2**63 - 1, 2**63 - 1)],
        [say.Part(b"name", 159, 160, b"x")], [Delta(b"base", b"r", 255, ())],
        [by.run([b"\xff" * 100]), by.run([b""]), by.run([encode_body("record.put", {})])],
        [by.run([_note()], None, SEQ_MAX)], [say.Seg(b"")], [say.Seg(bytes(262_144))],
    ]  # fmt: skip
    for said in whole:
        yield encode_bundle(said)
    yield from (b"", b"\x01", b"\x02", b"\xff", b"\x81", b"\x81\x00", b"\x01\x05" + varint(2**62))
    for n in range(100):
        good = bytearray(encode_bundle(whole[n % len(whole)]))[:4_096]
        for _ in range(3):
            if good:
                good[rng.randrange(len(good))] = rng.randrange(256)
        yield bytes(good)
