"""Segments that wait for what they follow, and how a neighbour is told to leave them out."""

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.codec import Reader
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.identity import AuthorId
from meshlog.sync.broadcast.loose import ASKED_MAX, LOOSE_BYTES_MAX, READY_MAX, Loose, holes
from meshlog.sync.broadcast.owing import Owing
from meshlog.sync.broadcast.recall import skips_of
from meshlog.sync.difference import Push, Span
from meshlog.sync.hints import HeadHint
from meshlog.sync.messages import Run
from meshlog.sync.statements import Delta, Step, encode_delta, read_delta

FEED = FeedKey(AuthorId(b"a" * 16), FeedKind.DATA, 1)
OTHER = FeedKey(AuthorId(b"b" * 16), FeedKind.DATA, 1)


def test_what_waits_is_taken_when_its_base_came():
    loose = Loose()
    loose.keep(Run(FEED, 21, 30), b"third")
    loose.keep(Run(FEED, 11, 20), b"second")
    loose.keep(Run(OTHER, 5, 9), b"other")

    assert loose.take_ready({FEED: (Head(9, bytes(32)),)}) == []
    assert loose.take_ready({FEED: (Head(10, bytes(32)),)}) == [b"second"]
    assert loose.take_ready({FEED: (Head(20, bytes(32)),)}) == [b"third"]
    assert loose.feeds() == {OTHER}


def test_openings_are_taken_before_what_they_open():
    loose = Loose()
    for number in range(READY_MAX):
        loose.keep(Run(OTHER._replace(incarnation=number), 1, 9), b"data")
    loose.keep(Run(FEED._replace(kind=FeedKind.CONTROL), 1, 1), b"opening")

    assert loose.take_ready({})[0] == b"opening"


def test_neighbouring_segments_are_one_span_and_the_same_is_kept_once():
    loose = Loose()
    for first, last in [(21, 30), (11, 20), (11, 20), (40, 41)]:
        loose.keep(Run(FEED, first, last), bytes((first,)))

    assert loose.spans(FEED) == [Span(11, 30), Span(40, 41)]
    assert len(loose) == 3


def test_the_oldest_goes_when_too_much_waits():
    loose = Loose()
    for number in range(300):
        loose.keep(Run(FEED, 2 * number + 2, 2 * number + 2), number.to_bytes(2, "big") * 200)

    assert len(loose) == LOOSE_BYTES_MAX // 400
    assert loose.spans(FEED)[-1] == Span(600, 600)


@given(
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=9),
)
def test_holes_come_back_as_the_spans_to_leave_out(head_seq: int, told: list[tuple[int, int]]):
    spans, at = [], head_seq
    for lack, have in told:
        spans.append(Span(at + lack + 1, at + lack + have))
        at += lack + have
    delta = Delta(b"base", b"r", 1, (Step(0, 0, holes=holes(head_seq, spans)),))

    read = read_delta(Reader(encode_delta(delta)))

    heads = ((HeadHint(head_seq, b""),) if head_seq else (),)
    assert skips_of(read, heads) == {0: tuple(spans)}


def test_what_a_neighbour_keeps_is_not_sent_again():
    owing = Owing()
    owing.owe(Push(FEED, Head(50, bytes(32)), 10, (Span(21, 30), Span(41, 50))), 0)
    [item] = owing

    owing.sent(item, 20)
    assert item.push.after_seq == 30
    owing.sent(item, 40)

    assert len(owing) == 0


def test_two_neighbours_with_other_holes_get_what_either_lacks():
    owing = Owing()
    tip = Head(50, bytes(32))
    owing.owe(Push(FEED, tip, 10, (Span(21, 50),)), 0)
    owing.owe(Push(FEED, tip, 15, (Span(18, 30),)), 0)

    [item] = owing

    assert (item.push.after_seq, item.push.skips) == (10, (Span(21, 30),))


def test_what_nobody_can_link_is_not_asked_about_for_ever() -> None:
    """A hostile member's segment, whose base exists nowhere, cost a cell 60 packets an hour."""
    loose = Loose()
    loose.keep(Run(FEED, 21, 30), b"made up")

    for _ in range(ASKED_MAX):
        loose.asked()
    assert len(loose) == 1
    loose.asked()

    assert len(loose) == 0


def test_progress_makes_asking_worth_while_again() -> None:
    loose = Loose()
    loose.keep(Run(FEED, 11, 20), b"second")
    loose.keep(Run(FEED, 31, 40), b"fourth")
    for _ in range(ASKED_MAX):
        loose.asked()

    loose.take_ready({FEED: (Head(10, bytes(32)),)})
    loose.asked()

    assert len(loose) == 1
