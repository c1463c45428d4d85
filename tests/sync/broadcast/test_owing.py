"""What is owed: each stretch once, the urgent first, and less with everything overheard."""

from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.identity import AuthorId
from meshlog.sync.broadcast.owing import FRESH_PACKETS, ITEMS_MAX, Owing
from meshlog.sync.difference import Push

ANN = FeedKey(AuthorId(b"a" * 16), FeedKind.DATA, 1)
ANN_CONTROL = FeedKey(AuthorId(b"a" * 16), FeedKind.CONTROL, 1)
BOB = FeedKey(AuthorId(b"b" * 16), FeedKind.DATA, 1)


def push(feed: FeedKey, last: int, after: int = 0) -> Push:
    return Push(feed, Head(last, bytes((last % 256,)) * 32), after)


def owed(owing: Owing) -> list[tuple[FeedKey, int, int]]:
    return [(item.push.feed, item.push.after_seq, item.push.tip.seq) for item in owing]


def test_control_goes_first_then_alarms_news_short_repairs_and_long_ones():
    owing = Owing()
    carl, dora, eve = (FeedKey(AuthorId(who * 16), FeedKind.DATA, 1) for who in (b"c", b"d", b"e"))
    owing.owe(push(BOB, 1_000), 0)
    owing.owe(push(carl, 3), 1)
    owing.owe(push(dora, 1), 2, fresh=True)
    owing.owe(push(eve, 1), 3, urgent=True)
    owing.owe(push(ANN_CONTROL, 1), 4)

    assert [feed for feed, *_ in owed(owing)] == [ANN_CONTROL, eve, dora, carl, BOB]


def test_what_is_asked_for_twice_is_owed_once_from_the_earlier_place():
    owing = Owing()
    owing.owe(push(ANN, 10, after=7), due_ms=50)
    owing.owe(push(ANN, 10, after=4), due_ms=90)

    assert owed(owing) == [(ANN, 4, 10)]
    assert owing.next_ms() == 50


def test_a_longer_feed_takes_the_place_of_its_shorter_self():
    owing = Owing()
    owing.owe(push(ANN, 10, after=9), due_ms=50, fresh=True)
    owing.owe(push(ANN, 11, after=10), due_ms=90, fresh=True)

    assert owed(owing) == [(ANN, 9, 11)]
    assert owing.next_ms() == 50


def test_what_a_neighbour_said_is_owed_no_more_and_the_rest_waits():
    owing = Owing()
    owing.owe(push(ANN, 10), due_ms=50)
    owing.owe(push(BOB, 3), due_ms=50)

    owing.overheard(ANN, 1, 6, again_ms=500)
    owing.overheard(BOB, 1, 3, again_ms=500)

    assert owed(owing) == [(ANN, 6, 10)]
    assert owing.next_ms() == 500


def test_a_segment_that_leaves_a_gap_serves_nobody():
    owing = Owing()
    owing.owe(push(ANN, 10), due_ms=50)

    owing.overheard(ANN, 5, 10, again_ms=500)

    assert owed(owing) == [(ANN, 0, 10)]


def test_news_that_nobody_asked_for_stop_after_a_few_packets():
    owing = Owing()
    owing.owe(push(ANN, 1_000), due_ms=0, fresh=True)

    for reached in range(10, 10 * FRESH_PACKETS + 1, 10):
        item = owing.due(0)
        assert item is not None
        owing.sent(item, reached)

    assert not len(owing)


def test_a_used_up_credit_leaves_our_own_news():
    owing = Owing()
    owing.owe(push(ANN, 1), 0, fresh=True)
    owing.owe(push(BOB, 1), 0)

    owing.forgive()

    assert owed(owing) == [(ANN, 0, 1)]


def test_debts_are_bounded():
    owing = Owing()
    for number in range(2 * ITEMS_MAX):
        feed = FeedKey(AuthorId(number.to_bytes(16, "big")), FeedKind.DATA, 1)
        owing.owe(push(feed, 1), 0)

    assert len(owing) == ITEMS_MAX
