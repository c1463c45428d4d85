# ruff: noqa: INP001, S311, T201 - a script, seeded, that prints what it measured
"""What a hostile member who makes many branches, or many lives, costs the others.

Run: ``python -m bench.equivocator [branches] [lives]``
"""

from __future__ import annotations

import resource
import sys
import time
from random import Random

from meshlog.core.event import NO_PREV, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.segment import encode_segment
from meshlog.replica import Replica, join_open
from meshlog.store import SqliteStore
from meshlog.sync.difference import state_control, state_data
from meshlog.sync.messages import encode_message

T0_MS = 1_750_000_000_000


def one(who: Identity, kind: FeedKind, life: int, seq: int, prev: bytes, body: bytes) -> Event:
    """Return one signed event."""
    feed = FeedKey(who.author, kind, life)
    return Event.make(feed, seq, Stamp(T0_MS + seq, 0), prev, body).signed(who)


def opening(who: Identity, life: int) -> Event:
    """Return the opening of a life."""
    body = encode_body("feed.open", {"keys": who.keys, "name": "mallory", "data": life})
    return one(who, FeedKind.CONTROL, life, 1, NO_PREV, body)


def note(who: Identity, life: int, seq: int, prev: bytes, text: str) -> Event:
    """Return a note."""
    body = encode_body("note.add", {"record_id": "r", "text": text})
    return one(who, FeedKind.DATA, life, seq, prev, body)


def victim() -> Replica:
    """Return a fresh device."""
    store, who = SqliteStore(), Identity(Random("ann").randbytes(64))
    join_open(store, who, "ann")
    return Replica(store, who, T0_MS, Random(1))


def report(what: str, number: int, ann: Replica, pieces: list[bytes]) -> None:
    """Take the pieces in, in batches of 64, and print what that cost."""
    started = time.process_time()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for at in range(0, len(pieces), 64):
        ann.ingest(pieces[at : at + 64], T0_MS)
    took_s = time.process_time() - started
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    control = len(encode_message(state_control(ann)))
    data = len(encode_message(state_data(ann, hashed=False)))
    print(
        f"{number:,} {what}: {sum(map(len, pieces)):,} B sent, {took_s * 1e3 / number:.2f} ms each,"
        f" memory +{grown_kib / 1024:.1f} MiB, statements {control:,} B control, {data:,} B data"
    )


def main() -> None:
    """Measure branches, then lives."""
    branches = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    lives = int(sys.argv[2]) if len(sys.argv) > 2 else 2_000  # noqa: PLR2004 - an argument's place
    who = Identity(Random("mallory").randbytes(64))
    ann = victim()
    first = note(who, 7, 1, NO_PREV, "trunk")
    ann.ingest([encode_segment([opening(who, 7)]), encode_segment([first])], T0_MS)
    twigs = [note(who, 7, 2, first.id, f"branch {number}") for number in range(branches)]
    report("branches", branches, ann, [encode_segment([twig]) for twig in twigs])
    ann = victim()
    report("lives", lives, ann, [encode_segment([opening(who, life)]) for life in range(lives)])


if __name__ == "__main__":
    main()
