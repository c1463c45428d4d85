"""Bases: a DELTA counted from one comes back as what was stated; nothing foreign is believed."""

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.codec import Reader
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.identity import AuthorId
from meshlog.sync.broadcast.recall import (
    ROOTS_MAX,
    Recall,
    Stated,
    changes,
    heads_of,
    is_same,
    resolve,
)
from meshlog.sync.hints import HeadHint
from meshlog.sync.messages import Beacon, root_hint
from meshlog.sync.statements import Delta, Step, encode_delta, read_delta, statement_id

hashed = st.builds(HeadHint, st.integers(1, 2_000), st.binary(min_size=4, max_size=4))
heads = st.lists(hashed, max_size=3, unique_by=lambda head: head.hint).map(
    lambda found: tuple(sorted(found))
)
frontiers = st.lists(heads, max_size=8).map(tuple)


def frontier(**lengths: int) -> dict[FeedKey, tuple[Head, ...]]:
    return {
        FeedKey(AuthorId(name.encode() * 16), FeedKind.DATA, 1): (Head(seq, bytes(32)),)
        for name, seq in lengths.items()
    }


@given(frontiers, frontiers)
def test_a_delta_tells_exactly_what_its_sender_holds(base, ours):
    """Up to hints of single heads, which a DELTA leaves out."""
    base = (*base, *[()] * (len(ours) - len(base)))[: len(ours)]
    delta = Delta(b"base", b"r", 1, changes(base, ours))

    told = resolve(read_delta(Reader(encode_delta(delta))), base, len(ours))

    assert len(told) == len(ours)
    for mine, theirs in zip(ours, told, strict=True):
        assert [head.seq for head in theirs or ()] == [head.seq for head in mine]
        assert len(mine) == 1 or is_same(mine, theirs or ())


@given(frontiers, st.lists(st.builds(Step, st.integers(0, 30), st.integers(-3_000, 3_000), heads)))
def test_a_delta_of_anything_at_all_tells_no_feed_that_we_do_not_know(base, steps):
    told = resolve(Delta(b"base", b"r", 1, tuple(steps)), base, len(base))

    assert len(told) == len(base)
    assert all(head.seq > 0 for feed in told for head in feed or ())


def test_a_root_is_recognised_by_its_beacon_while_it_is_remembered():
    recall = Recall()
    roots = [bytes((number,)) * 32 for number in range(ROOTS_MAX + 5)]
    recall.stand(roots[0], frontier(a=1))
    recall.agree(roots[0])
    for number, root in enumerate(roots[1:], 2):
        recall.stand(root, frontier(a=number))

    def at(root: bytes) -> bytes | None:
        return recall.place(Beacon(77, root_hint(77, root), b"r", 0))

    assert at(roots[-1]) == roots[-1]
    assert at(roots[0]) == roots[0], "the root that a neighbour agreed on stays"
    assert at(roots[2]) is None
    assert at(b"\xff" * 32) is None


def test_a_base_is_a_statement_under_the_same_roster_or_a_root():
    recall = Recall()
    feeds = list(frontier(a=1, b=2))
    recall.stand(b"R" * 32, frontier(a=5, b=6))
    stated = Stated(b"name", b"rost", ((HeadHint(9, b""),), ()), 1)
    recall.hear(stated)

    assert recall.base(b"name", b"rost", feeds) == stated.heads
    assert recall.base(b"name", b"othr", feeds) is None
    assert recall.base(b"RRRR", b"othr", feeds) == heads_of(frontier(a=5, b=6), feeds)
    assert recall.base(b"none", b"rost", feeds) is None


def test_a_statement_is_named_by_its_content():
    one = Delta(b"base", b"r", 1, (Step(0, 1),))

    assert statement_id(one) == statement_id(Delta(b"base", b"r", 1, (Step(0, 1),)))
    assert statement_id(one) != statement_id(Delta(b"base", b"r", 1, (Step(0, 2),)))
