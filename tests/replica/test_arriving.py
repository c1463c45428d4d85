"""Segments that follow one another are written as one, and nobody can tell."""

from __future__ import annotations

from itertools import accumulate, pairwise, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.event import Event
from meshlog.core.hlc import Stamp
from meshlog.replica import Replica, arriving
from meshlog.store import SqliteStore
from meshlog.sync.holdings import Verdict
from tests.replica.devices import (
    T0_MS,
    Stranger,
    dump,
    forged,
    holds_alike,
    identity,
    open_replica,
    segs,
)

ANN, BOB = Stranger(identity("ann")), Stranger(identity("bob"))


def branch(who: Stranger, pieces: int, after: Event | None = None, word: str = "") -> list[bytes]:
    """Return segments of two events that follow one another, the last far ahead of its time."""
    found = []
    for number in range(pieces):
        ms = 10 * number + (10**9 if number == pieces - 1 else 1)
        run = who.run([ms, ms + 1], after, f"{word}{number} ")
        found += segs(run)
        after = run[-1]
    return found


def rows(replica: Replica) -> int:
    assert isinstance(replica.store, SqliteStore)
    [[count]] = replica.store._file.run("SELECT count(*) FROM run")
    return int(count)


BEGUN = BOB.run([1, 2], word="first ")
BRANCHES = {
    "the openings": segs(ANN.opening(), BOB.opening()),
    "ann's": branch(ANN, 6),
    "bob's": [*segs(BEGUN), *branch(BOB, 5, BEGUN[-1])],
    "what forks from it": branch(BOB, 3, BEGUN[-1], "other "),
    "what nobody signed": segs(forged(BOB.run([3, 4], BEGUN[-1], "forged "), identity("eve"))),
    "what goes back": segs(BOB.run([Stamp(T0_MS, 0)], BEGUN[-1])),
}
PIECES = [piece for pieces in BRANCHES.values() for piece in pieces]


@given(
    st.permutations([*PIECES, *BRANCHES["bob's"][:2]]),
    st.lists(st.integers(1, 30), max_size=6),
    st.sampled_from([1, 500, 262_144]),
)
def test_a_batch_leaves_what_its_segments_leave_one_by_one(
    order: list[bytes], sizes: list[int], unwritten_max: int
):
    """In any order, in batches of any size, with forks, forgeries and duplicates between."""
    together, alone = open_replica("cat"), open_replica("cat")
    starts = [0, *accumulate(sizes, initial=0), len(order)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arriving, "UNWRITTEN_SIZE_MAX", unwritten_max)
        for _ in repeat(None, 8):  # what waits for others comes again, as peers would send it
            for start, end in pairwise(starts):
                together.ingest(order[start:end], T0_MS)
    for _ in repeat(None, 8):
        for piece in order:
            alone.ingest([piece], T0_MS)

    assert holds_alike(together, alone)
    assert together.ledger.clock == alone.ledger.clock
    assert together.ledger.forks == alone.ledger.forks
    for feed, heads in alone.frontier().items():
        for head in heads:
            signed = [
                [event.signature for event in one.store.branch(head, feed, 0, 99)]
                for one in (together, alone)
            ]
            assert signed[0] == signed[1]


def test_segments_that_follow_are_one_row_with_all_their_cuts():
    cat = open_replica("cat")
    cat.ingest(BRANCHES["the openings"], T0_MS)
    before = rows(cat)

    done = cat.ingest(BRANCHES["ann's"], T0_MS)

    assert (done.events, set(done.verdicts)) == (12, {Verdict.ACCEPTED})
    assert rows(cat) == before + 1
    [head] = cat.frontier()[ANN.data]
    events = cat.store.branch(head, ANN.data, 0, 99)
    assert [bool(event.signature) for event in events] == [False, True] * 6
    assert cat.segments(ANN.data, head, 0, 10**6)[0]


def test_what_one_of_a_branch_spoils_is_only_what_follows():
    """One in the middle has a flipped bit: what waited is written, what follows is a gap."""
    cat = open_replica("cat")
    cat.ingest(BRANCHES["the openings"], T0_MS)
    first, second, third, *rest = BRANCHES["ann's"]
    spoilt = third[:-1] + bytes((third[-1] ^ 1,))

    done = cat.ingest([first, second, spoilt, *rest], T0_MS)

    assert done.verdicts[:4] == (
        *[Verdict.ACCEPTED] * 2,
        Verdict.FORGED,
        Verdict.GAP,
    )
    [head] = cat.frontier()[ANN.data]
    assert head.seq == done.events == 4
    assert dict(cat.ledger.frontier) == cat.store.heads()
    before = dump(cat)
    assert cat.ingest([first, second], T0_MS).events == 0
    assert dump(cat) == before
