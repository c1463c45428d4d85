"""What a hostile member says: statements about feeds, heads and wants that are not so."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence

from meshlog.core.event import SEQ_MAX
from meshlog.core.feed import FeedKey
from meshlog.sync.bundle import DEFLATED, VERSION, encode_bundle
from meshlog.sync.hints import HeadHint, Point
from meshlog.sync.messages import (
    BUNDLE_SIZE_MAX,
    Ack,
    Beacon,
    Message,
    Part,
    Run,
    Seg,
    Sum,
    Want,
    root_hint,
)
from meshlog.sync.statements import Delta, Digests, Ids, Loc, Step, Vec

_RAW = -15


def lie(luck: random.Random, feeds: Sequence[FeedKey], digest: bytes, root: bytes) -> Message:
    """Return one false message.

    Args:
        luck: Decides.
        feeds: Real ones, to lie about.
        digest: The roster digest, so that indices mean something.
        root: A true root: to claim agreement that is not there.
    """
    number = luck.choice((0, 1, luck.randrange(100), SEQ_MAX))
    hint = luck.randbytes(4)
    feed = luck.choice(feeds)
    match luck.randrange(12):
        case 0:
            time_s = luck.getrandbits(32)
            return Beacon(time_s, root_hint(time_s, root), digest[:4], number)
        case 1:
            return Beacon(luck.getrandbits(32), luck.randbytes(8), luck.randbytes(4), number)
        case 2:
            heads = tuple(
                (HeadHint(max(number, 1), hint),) for _ in range(luck.randint(0, len(feeds)))
            )
            return Vec(digest[:4], luck.random() < 0.5, heads)
        case 3:
            return Vec(
                digest[:4],
                hashed=False,
                feeds=((HeadHint(1, b"a"), HeadHint(1, b"b")),) * len(feeds),
            )
        case 4:
            return Want(luck.choice((0, 1, 10**9)), (Run(feed, 1, SEQ_MAX),) * luck.randint(1, 50))
        case 5:
            return Loc(feed, (Point(max(number, 1), luck.randbytes(8)),))
        case 6:
            return Sum(SEQ_MAX, 2**40)
        case 7:
            return Ack(Beacon(1, root_hint(1, root), digest[:4], 1), 10**6, 0)
        case 8:
            return Digests(0, 2**24 - 1, tuple(range(luck.randrange(200))))
        case 9:
            return Delta(root[:4], digest[:1], 255, (Step(0, -1), Step(19_999, 5)))
        case 10:
            return Part(hint, 0, 160, luck.randbytes(400))
    return Ids(())


def lies(
    luck: random.Random, feeds: Sequence[FeedKey], digest: bytes, root: bytes
) -> list[Message]:
    """Return a few messages, each kind at most once."""
    made = {type(said): said for said in (lie(luck, feeds, digest, root) for _ in range(4))}
    return list(made.values())


def junk(luck: random.Random) -> bytes:
    """Return a bundle that is none: random, cut off, of another version, or a bomb."""
    match luck.randrange(6):
        case 0:
            return luck.randbytes(luck.randrange(300))
        case 1:
            whole = encode_bundle([Seg(luck.randbytes(100)), Sum(1, 1)])
            return whole[: luck.randrange(len(whole))]
        case 2:
            return bytes((luck.randrange(2, 128),)) + luck.randbytes(50)
        case 3:
            return bytes((VERSION | DEFLATED,)) + _deflated(bytes(2 * BUNDLE_SIZE_MAX))
        case 4:
            return bytes((VERSION,)) + bytes((luck.randrange(1, 12), 200)) + luck.randbytes(200)
    return encode_bundle([Seg(luck.randbytes(luck.randrange(2_000))) for _ in range(20)])


def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, level=9, wbits=_RAW)
