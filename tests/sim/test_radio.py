"""The channel: half duplex, collisions, capture, carrier sense, loss, queues and limits."""

from __future__ import annotations

import random
from functools import partial
from itertools import pairwise

import pytest

from meshlog.core.air import LoRa
from meshlog.sim.agenda import Agenda
from meshlog.sim.airlimit import HOUR_MS, AirLimit
from meshlog.sim.checks import check_duty_cycle, check_queues, worst_hour
from meshlog.sim.radio import QUEUE_SIZE_MAX, Air, Queued, Station, Transmission, Weather
from meshlog.sim.reach import chain, everybody, heard_if, standing, within

SF8 = LoRa(sf=8)
Heard = list[tuple[str, str, bytes]]


class Cell:
    """Stations, and all that they hear, in order."""

    def __init__(self, names, reach=everybody, weather=None, limit=None, seed=1):
        self.agenda = Agenda()
        self.air = Air(self.agenda, random.Random(seed), SF8, reach, weather)
        self.heard: Heard = []
        self.stations = {name: self._station(name, limit) for name in names}

    def _station(self, name: str, limit: float | None) -> Station:
        station = self.air.station(name, None if limit is None else AirLimit(limit))
        station.on_packet = lambda src, packet: self.heard.append((src, name, packet))
        return station

    def send(self, name: str, packet: bytes = b"x", size: int = 100, **more) -> bool:
        return self.stations[name].send(packet, size, "data", **more)


def overlaps(log: list[Transmission]) -> int:
    """Count pairs of neighbours in time that overlap."""
    ordered = sorted(log)
    return sum(two.start_ms < one.end_ms for one, two in pairwise(ordered))


def test_everybody_in_range_hears_a_packet_once():
    cell = Cell(["ann", "bob", "cat"])

    cell.send("ann", b"hello")
    cell.agenda.run(10_000)

    assert cell.heard == [("ann", "bob", b"hello"), ("ann", "cat", b"hello")]


def test_a_packet_is_heard_when_its_last_symbol_is():
    cell = Cell(["ann", "bob"])
    times: list[int] = []
    cell.stations["bob"].on_packet = lambda *_: times.append(cell.agenda.now_ms)

    cell.send("ann", size=500)
    cell.agenda.run(10_000)

    (sent,) = cell.air.log
    assert times == [sent.end_ms]
    assert sent.end_ms - sent.start_ms == pytest.approx(SF8.airtime_ms(500), abs=1)
    assert cell.stations["ann"].airtime_ms == sent.end_ms - sent.start_ms


def test_who_sends_does_not_hear():
    """Ann and bob do not hear each other, so both send; cat would be the only witness."""
    deaf = heard_if(lambda src, dst, _: {src, dst} != {"ann", "bob"})
    cell = Cell(["ann", "bob", "cat"], deaf)
    cell.send("ann", size=500)
    cell.agenda.run(700)
    assert cell.stations["ann"].sending
    cell.air.reach = everybody

    cell.air.transmit(cell.stations["bob"], Queued(b"unheard", 100, "data", limited=True))
    cell.agenda.run(10_000)

    assert ("bob", "ann", b"unheard") not in cell.heard
    assert cell.air.faults["half duplex"] == 1


def test_a_hidden_station_destroys_both_packets():
    cell = Cell(["ann", "bob", "cat"], chain(["ann", "bob", "cat"]))

    cell.send("ann", size=300)
    cell.send("cat", size=300)
    cell.agenda.run(10_000)

    assert overlaps(cell.air.log) == 1
    assert cell.heard == []
    assert cell.air.faults["collision"] == 2


def test_the_clearly_stronger_of_two_is_heard():
    """Ann stands beside bob, cat at the edge of his range: more than 6 dB apart."""
    places = standing({"ann": (0.0, 0.0), "bob": (1.0, 0.0), "cat": (5.9, 0.0)})
    cell = Cell(["ann", "bob", "cat"], within(5.0, places))

    cell.send("ann", b"near", size=300)
    cell.send("cat", b"far", size=300)
    cell.agenda.run(10_000)

    assert overlaps(cell.air.log) == 1
    assert cell.heard == [("ann", "bob", b"near")]


def test_distance_decides_who_hears():
    places = standing({"ann": (0.0, 0.0), "bob": (3.0, 4.0), "cat": (3.1, 4.0)})
    cell = Cell(["ann", "bob", "cat"], within(5.0, places))

    cell.send("ann")
    cell.agenda.run(10_000)

    assert [dst for _, dst, _ in cell.heard] == ["bob"]


def test_carrier_sense_waits_for_the_end():
    cell = Cell(["ann", "bob"])
    cell.send("ann", size=500)
    cell.agenda.run(600)
    assert cell.stations["ann"].sending

    cell.send("bob")
    cell.agenda.run(10_000)

    assert overlaps(cell.air.log) == 0
    assert len(cell.heard) == 2
    first, second = cell.air.log
    assert second.start_ms - first.end_ms >= 2 * cell.air.slot_ms


def test_a_back_off_that_was_interrupted_goes_on_where_it_was():
    """Otherwise whoever drew a long one never gets a turn in a busy cell."""
    cell = Cell([f"n{index}" for index in range(6)])
    for name in cell.stations:
        for _ in range(5):
            cell.send(name)
    cell.agenda.run(60_000)

    first = [sent.src for sent in sorted(cell.air.log)[:12]]
    assert len(set(first)) == 6, "everybody had a turn early on"


def test_ten_that_speak_at_once_collide_as_often_as_chance_has_it():
    """Ten draws of 15 slots: one is alone in its slot with a chance of (14/15)^9, 54 %."""
    cell = Cell([f"n{index}" for index in range(10)], seed=3)
    for at_ms in range(0, 1_200_000, 60_000):
        for name in cell.stations:
            cell.agenda.later(at_ms, partial(cell.send, name))
    cell.agenda.run(1_300_000)

    assert len(cell.air.log) == 200
    assert 0.44 < len(cell.heard) / (200 * 9) < 0.64
    assert cell.air.faults["collision"] > 0


def test_two_that_speak_now_and_then_seldom_collide():
    cell = Cell(["ann", "bob"])
    for at_ms in range(0, 2_000_000, 10_000):
        for name in cell.stations:
            cell.agenda.later(at_ms, partial(cell.send, name))
    cell.agenda.run(2_100_000)

    assert 0.85 < len(cell.heard) / 400 < 1


def test_loss_is_what_the_weather_says():
    cell = Cell(["ann", "bob"], weather=Weather(loss=0.3))
    for at_ms in range(0, 1_000_000, 1_000):
        cell.agenda.later(at_ms, lambda: cell.send("ann"))
    cell.agenda.run(1_100_000)

    assert 630 < len(cell.heard) < 770
    assert len(cell.heard) + cell.air.faults["loss"] == 1_000


def test_corruption_flips_one_bit():
    cell = Cell(["ann", "bob"], weather=Weather(corruption=1.0))

    cell.send("ann", bytes(20))
    cell.agenda.run(10_000)

    ((_, _, packet),) = cell.heard
    assert sum(byte.bit_count() for byte in packet) == 1


def test_a_full_queue_refuses_and_counts():
    cell = Cell(["ann", "bob"])

    taken = [cell.send("ann", size=500) for _ in range(20)]
    cell.agenda.run(60_000)

    fitting = QUEUE_SIZE_MAX // 500
    assert taken == [True] * fitting + [False] * (20 - fitting)
    assert len(cell.heard) == fitting
    assert cell.stations["ann"].dropped == cell.air.faults["queue full"] == 20 - fitting
    check_queues(cell.stations.values())


def test_a_queue_beyond_its_limit_is_noticed():
    cell = Cell(["ann"])
    cell.stations["ann"].queue_size_max = QUEUE_SIZE_MAX + 1

    with pytest.raises(AssertionError, match="ann queued"):
        check_queues(cell.stations.values())


def test_everything_is_counted_by_label():
    cell = Cell(["ann", "bob"])
    cell.stations["ann"].send(b"", 40, "beacon")
    cell.stations["bob"].send(b"", 300, "segment")
    cell.stations["ann"].send(b"", 40, "beacon")

    cell.agenda.run(10_000)

    assert cell.air.bytes_on_air == {"beacon": 80, "segment": 300}
    assert cell.air.packets_on_air == {"beacon": 2, "segment": 1}


# ── duty cycle ──────────────────────────────────────────────────────────────────────


def test_the_limit_makes_packets_wait_and_the_checker_agrees():
    cell = Cell(["ann", "bob"], limit=0.01)
    for at_ms in range(0, 4 * HOUR_MS, 20_000):
        cell.agenda.later(at_ms, lambda: cell.send("ann", size=500))

    cell.agenda.run(4 * HOUR_MS)

    ann = cell.stations["ann"]
    check_duty_cycle(cell.stations, 0.01)
    assert worst_hour(ann.log).airtime_ms > 0.9 * 36_000, "it uses what it may"
    assert ann.waited_ms > HOUR_MS


def test_what_is_not_limited_passes_what_waits():
    cell = Cell(["ann", "bob"], limit=0.001)
    for _ in range(5):
        cell.send("ann", b"waits", size=500)
    cell.agenda.run(60_000)
    before = len(cell.heard)

    cell.send("ann", b"goes", limited=False)
    cell.agenda.run(60_000)

    assert before < 5
    assert cell.heard[before:] == [("ann", "bob", b"goes")]


def test_the_checker_catches_one_packet_too_many():
    """Unlimited stations, and one transmission more than an hour at 1 % holds."""
    cell = Cell(["ann", "bob"])
    for at_ms in range(0, 26 * 60_000, 60_000):
        cell.agenda.later(at_ms, lambda: cell.send("ann", size=500))

    cell.agenda.run(HOUR_MS)

    with pytest.raises(AssertionError, match=r"ann used 37[0-9]{3} ms of air"):
        check_duty_cycle(cell.stations, 0.01)


def test_a_window_across_two_clock_hours_counts():
    """20 s at the end of one hour and 20 s at the start of the next are 40 s in an hour."""
    log = [
        Transmission(at_ms, at_ms + 20_000, "ann", 0, "")
        for at_ms in (0, HOUR_MS - 20_000, HOUR_MS + 10_000)
    ]

    assert worst_hour(log) == (40_000, HOUR_MS)


def test_the_worst_hour_is_the_worst_of_all_windows():
    """Against the plain definition: every window that begins or ends with a transmission."""
    luck = random.Random(5)
    for _ in range(200):
        log, at_ms = [], 0
        for _ in range(luck.randint(1, 30)):
            at_ms += luck.randint(1, 500)
            log.append(Transmission(at_ms, at_ms + luck.randint(1, 300), "ann", 0, ""))
            at_ms = log[-1].end_ms

        starts = [start for sent in log for start in (sent.start_ms, sent.end_ms - 1_000)]
        plain = max(
            sum(max(0, min(sent.end_ms, start + 1_000) - max(sent.start_ms, start)) for sent in log)
            for start in starts
        )
        assert worst_hour(log, 1_000).airtime_ms == plain


def test_the_same_seed_makes_the_same_air():
    def log(seed: int) -> list[Transmission]:
        cell = Cell([f"n{index}" for index in range(5)], weather=Weather(0.1, 0.1), seed=seed)
        for name in cell.stations:
            for _ in range(5):
                cell.send(name)
        cell.agenda.run(60_000)
        return cell.air.log

    assert log(1) == log(1)
    assert log(1) != log(2)
