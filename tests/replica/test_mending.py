"""A device whose clock was ahead goes on with honest stamps; one whose clock is behind does not."""

from __future__ import annotations

from random import Random

import pytest

from meshlog.core.hlc import SKEW_MS_MAX, WALL_MS_MAX
from meshlog.ports.links import Peer
from meshlog.replica import Replica
from meshlog.sync.effects import Woke
from meshlog.views.standing import Standing
from tests.replica.devices import (
    T0_MS,
    Pump,
    founder,
    holds_alike,
    identity,
    invited,
    name_of,
    open_replica,
    share,
)

HOUR_MS = 3_600_000
YEAR_MS = 8_766 * HOUR_MS


def set_field(replica: Replica, value: object, now_ms: int) -> None:
    replica.append("field.set", {"record_id": "r", "field": "f", "value": value}, now_ms)


def value(replica: Replica) -> object:
    record = replica.view.get("r")
    return record.fields["f"][0].value if record else None


def agree(replica: Replica, neighbours: int, now_ms: int, ahead_ms: int = 0) -> None:
    """Let neighbours tell the time."""
    for number in range(neighbours):
        told_s = (now_ms - ahead_ms) // 1_000
        replica.engine.offsets.heard(Peer(str(number)), told_s, now_ms)


@pytest.mark.parametrize("ahead_ms", [7 * HOUR_MS, 73 * YEAR_MS, WALL_MS_MAX - T0_MS])
def test_a_clock_that_was_ahead_harms_nobody_and_its_device_goes_on(ahead_ms: int):
    base = founder()
    ann = invited(base, "ann")
    set_field(ann, "meanwhile", T0_MS + ahead_ms)
    old, pump = ann.data_feed, Pump(base, ann)

    pump.meet(base, ann)
    pump.meet(ann, base)
    pump.meet(base, ann)

    assert ann.data_feed != old, "the neighbour's time says that the clock is right now"
    assert any("was" in news and "ahead" in news for news in ann.news)
    assert holds_alike(base, ann)
    assert value(base) == value(ann) == "meanwhile"
    assert ann.ledger.clock.wall_ms <= pump.now_ms + SKEW_MS_MAX
    assert ann.ledger.horizon_ms == pump.now_ms + SKEW_MS_MAX

    set_field(ann, "corrected", pump.now_ms)
    pump.meet(base, ann)
    assert value(base) == value(ann) == "corrected"
    assert base.view.get("r").conflicts() == {}  # type: ignore[union-attr]
    life = ann.data_feed
    again = Replica(ann.store, identity("ann"), pump.now_ms, Random(1))
    pump.meet(base, ann)
    assert again.data_feed == ann.data_feed == life, "once is enough"


@pytest.mark.parametrize("back_ms", [1_000, HOUR_MS, 24 * HOUR_MS, 56 * YEAR_MS])
def test_a_clock_set_back_and_a_restart_lose_no_correction(back_ms: int):
    """Alone it cannot know that its clock is behind; it goes on after what it has seen."""
    ann = open_replica("ann")
    set_field(ann, "seen", T0_MS)
    before = ann.ledger.clock

    again = open_again(ann, max(T0_MS - back_ms, 0))
    set_field(again, "corrected", max(T0_MS - back_ms, 0))

    assert value(again) == "corrected"
    assert again.ledger.clock > before
    assert again.data_feed == ann.data_feed


def test_a_correction_beats_what_others_wrote_even_with_a_clock_set_back():
    """What counts has moved the clock, whatever the machine says the time is now."""
    base, back_ms = founder(), T0_MS - 24 * HOUR_MS
    ann, bob = invited(base, "ann"), invited(base, "bob")
    set_field(ann, "first", T0_MS)
    late = open_again(ann, back_ms)
    set_field(bob, "seen", T0_MS + 60_000)
    pump = Pump(late, bob, now_ms=back_ms)
    pump.meet(late, bob)
    pump.meet(bob, late)

    set_field(late, "corrected", back_ms)

    assert value(late) == "corrected"
    assert late.view.get("r").conflicts() == {}  # type: ignore[union-attr]


def open_again(replica: Replica, now_ms: int) -> Replica:
    return Replica(replica.store, replica.identity, now_ms, Random(2))


def test_neighbours_who_say_that_it_is_behind_begin_no_life():
    ann = open_replica("ann")
    set_field(ann, "seen", T0_MS)
    now_ms = T0_MS - 24 * HOUR_MS
    agree(ann, 5, now_ms, ahead_ms=-24 * HOUR_MS)

    assert not ann.mend_clock(now_ms)


def test_one_neighbour_is_not_enough_where_somebody_else_wrote_later():
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    for device in (ann, bob):
        set_field(device, "at noon", T0_MS)
    pump = Pump(base, ann, bob)
    pump.meet(bob, base)
    pump.meet(ann, bob)
    pump.meet(bob, ann)
    now_ms = T0_MS - 24 * HOUR_MS
    ann.engine.offsets.clear()

    agree(ann, 1, now_ms)
    assert not ann.mend_clock(now_ms)
    agree(ann, 3, now_ms)
    assert ann.mend_clock(now_ms)


def test_a_clock_of_1970_is_never_taken_for_right():
    ann = open_replica("ann")
    set_field(ann, "seen", T0_MS)
    agree(ann, 9, 60_000)

    assert not ann.mend_clock(60_000)


def test_a_persons_word_is_enough_and_what_others_stamped_ahead_is_held_again():
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    far_ms = T0_MS + 10 * YEAR_MS
    set_field(bob, "from the future", far_ms)
    set_field(ann, "too", far_ms)
    pump = Pump(base, ann, bob, now_ms=far_ms)
    pump.meet(bob, base)
    pump.meet(ann, bob)
    assert ann.ledger.horizon_ms > far_ms

    assert ann.mend_clock(T0_MS, is_right=True)

    assert value(ann) == "too"
    standings = ann.ledger.standings(ann.store)
    stands = {standings.of(arrival.event) for arrival in ann.store.scan()}
    assert Standing.HELD in stands
    assert ann.view.check() == []
    set_field(ann, "now", T0_MS)
    assert value(ann) == "now"


def test_a_device_that_wrote_nothing_while_its_clock_was_ahead_takes_its_horizon_back():
    """Its own stamps are honest, so it needs no new life; what is ahead waits for its time."""
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    life = ann.data_feed
    ann.advance_horizon(T0_MS + 7 * HOUR_MS)

    assert not ann.mend_clock(T0_MS)
    assert ann.ledger.horizon_ms > T0_MS + 7 * HOUR_MS, "nobody says whose clock is right"
    agree(ann, 1, T0_MS)
    assert not ann.mend_clock(T0_MS)

    assert ann.ledger.horizon_ms == T0_MS + SKEW_MS_MAX
    assert ann.data_feed == life
    set_field(bob, "from the future", T0_MS + 3 * HOUR_MS)
    for source in (base, bob):
        share(source, ann)
    assert ann.ledger.frontier[bob.data_feed]
    assert value(ann) is None


def test_a_device_that_was_ahead_asks_the_time_of_neighbours_who_have_nothing_to_say():
    base = founder()
    ann = invited(base, "ann")
    pump = Pump(base, ann)
    for _ in range(2):
        pump.meet(ann, base)
        pump.meet(base, ann)
    pump.offsets_ms[name_of(ann)] = 20 * HOUR_MS
    pump.tell(ann, Woke())
    pump.offsets_ms[name_of(ann)] = 0
    before = pump.asks
    pump.tell(ann, Woke())
    assert pump.asks == before, "somebody may tell it by itself"
    assert ann.ledger.horizon_ms > pump.now_ms + 10 * HOUR_MS

    pump.now_ms = pump.woken[name_of(ann)]
    pump.tell(ann, Woke())

    assert pump.asks == before + 1
    assert ann.ledger.horizon_ms == pump.now_ms + SKEW_MS_MAX
    pump.now_ms += HOUR_MS
    pump.tell(ann, Woke())
    assert pump.asks == before + 1, "once is enough"


def test_a_device_whose_clock_is_behind_asks_ever_more_rarely():
    """Nobody agrees with it, and a person may set it tomorrow."""
    base = founder()
    ann = invited(base, "ann")
    pump = Pump(base, ann)
    for _ in range(2):
        pump.meet(ann, base)
        pump.meet(base, ann)
    pump.offsets_ms[name_of(ann)] = -20 * HOUR_MS
    before = pump.asks
    pump.tell(ann, Woke())

    for _ in range(18 * 60):
        pump.now_ms += 60_000
        pump.tell(ann, Woke())

    assert 1 <= pump.asks - before <= 11
    assert ann.ledger.horizon_ms > pump.now_ms - 20 * HOUR_MS + SKEW_MS_MAX
