"""Trickle: soon after news, rarely without, and silent in like-minded company."""

import itertools
import random

from meshlog.sync.broadcast.trickle import Trickle

HOUR_MS = 3_600_000


def beacons(trickle: Trickle, until_ms: int, pause_ms: int, *, company: bool = False) -> list[int]:
    """Run a timer from 0; return when it would have sent."""
    sent = []
    now_ms = trickle.next_ms
    while now_ms < until_ms:
        trickle.heard += company
        if trickle.due(now_ms, pause_ms):
            sent.append(now_ms)
        now_ms = max(trickle.next_ms, now_ms + 1)
    return sent


def test_beacons_come_soon_after_news_and_then_ever_more_rarely():
    trickle = Trickle(random.Random(1), redundancy=1)
    trickle.reset(0, interval_min_ms=4_000)

    sent = beacons(trickle, HOUR_MS, pause_ms=1_024_000)

    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert 2_000 <= sent[0] <= 4_000
    assert 8 <= len(sent) <= 12
    assert max(gaps) > 100 * min(gaps)


def test_no_pause_is_longer_than_the_longest():
    trickle = Trickle(random.Random(1), redundancy=1)
    trickle.reset(0, interval_min_ms=4_000)

    sent = beacons(trickle, HOUR_MS, pause_ms=60_000)

    assert all(b - a <= 2 * 60_000 for a, b in itertools.pairwise(sent))
    assert len(sent) > 50


def test_who_hears_its_own_words_keeps_silent():
    trickle = Trickle(random.Random(1), redundancy=1)
    trickle.reset(0, interval_min_ms=4_000)

    assert beacons(trickle, HOUR_MS, pause_ms=60_000, company=True) == []


def test_somebody_who_hears_nobody_is_answered():
    """Its beacons come often, and would keep everybody else silent for ever."""
    trickle = Trickle(random.Random(1), redundancy=1)
    trickle.reset(0, interval_min_ms=60_000)
    trickle.heard = 4

    assert trickle.due(trickle.next_ms, 60_000)


def test_news_within_the_shortest_interval_do_not_put_beacons_off():
    """Else a busy neighbourhood would never hear where anybody stands."""
    trickle = Trickle(random.Random(1), redundancy=1)
    trickle.reset(0, interval_min_ms=4_000)
    planned_ms = trickle.next_ms

    trickle.reset(1_000, interval_min_ms=4_000)

    assert trickle.next_ms == planned_ms
