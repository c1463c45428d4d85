"""Desk, keys, counters, pace and relay: the small parts of the link lane."""

from __future__ import annotations

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random

import pytest

from meshlog.ports.links import Peer
from meshlog.transport import pacing
from meshlog.transport.desk import OPEN_PER_PEER_MAX, Desk
from meshlog.transport.peers import Counters, PublicKeys
from meshlog.transport.relay import LOOPBACK, Header, Relay, header
from meshlog.transport.worker import Worker

ANN, BOB = Peer("aa"), Peer("bb")


# ── desk ─────────────────────────────────────────────────────────────────────────────


def test_a_request_waits_for_its_answer() -> None:
    desk = Desk()
    token, new = desk.take(ANN, b"n1", 9) or (0, False)
    threading.Timer(0.05, desk.answer, (token, b"ho")).start()

    assert new
    assert desk.wait(token, 5.0) == b"ho"
    assert desk.answer(token, b"again") is None


def test_a_repeated_request_is_not_asked_twice_and_only_its_last_copy_is_answered() -> None:
    desk = Desk()
    with ThreadPoolExecutor() as pool:
        first = desk.take(ANN, b"n1", 9)
        assert first == (1, True)
        early = pool.submit(desk.wait, 1, 5.0)
        time.sleep(0.05)
        assert desk.take(ANN, b"n1", 9) == (1, False)
        late = pool.submit(desk.wait, 1, 5.0)
        assert early.result(2.0) is None

        desk.answer(1, b"ho")

        assert late.result(2.0) == b"ho"
    assert desk.take(ANN, b"n1", 9) == b"ho", "and once more after that, from memory"


def test_an_answer_may_come_before_anybody_waits() -> None:
    desk = Desk()
    desk.take(ANN, b"n1", 9)
    desk.answer(1, b"ho")

    assert desk.wait(1, 0.0) == b"ho"


def test_too_many_requests_of_one_peer_are_refused_and_others_are_not() -> None:
    desk = Desk()
    taken = [desk.take(ANN, bytes([nth]), 9) for nth in range(OPEN_PER_PEER_MAX + 1)]

    assert taken[-1] is None
    assert desk.take(BOB, b"n", 9) is not None


def test_a_peer_has_one_large_request_open_at_a_time():
    desk = Desk()

    assert desk.take(ANN, b"n1", 1_000_000) is not None
    assert desk.take(ANN, b"n2", 500_000) is None
    assert desk.take(BOB, b"n1", 1_000_000) is not None


def test_time_runs_out_and_closing_frees_who_waits() -> None:
    desk = Desk()
    desk.take(ANN, b"n1", 9)
    assert desk.wait(1, 0.01) is None
    assert desk.answer(1, b"late") is None

    desk.take(ANN, b"n2", 9)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(desk.wait, 2, 30.0)
        time.sleep(0.05)
        desk.close()
        assert waiting.result(2.0) is None
    assert desk.take(ANN, b"n3", 9) is None


# ── peers ────────────────────────────────────────────────────────────────────────────


def test_a_flood_of_announces_does_not_push_out_the_keys_of_proven_peers() -> None:
    keys = PublicKeys(size_max=10)
    keys.learn(ANN, b"key")
    keys.prove(ANN)

    for nth in range(100):
        keys.learn(Peer(f"flood{nth}"), b"x")

    assert keys.get(ANN) == b"key"
    assert len(keys) == 10
    assert keys.get(Peer("flood99")) == b"x"


def test_counters_forget_the_longest_silent_peer() -> None:
    counters = Counters(size_max=2)
    counters.heard(ANN)
    counters.heard(BOB)
    counters.heard(ANN)

    counters.add(Peer("cc"), sent=1)

    assert set(counters.snapshot()) == {ANN, Peer("cc")}


# ── pace ─────────────────────────────────────────────────────────────────────────────


def announces(pace: pacing.AnnouncePace, until_s: int, *, alone: bool, fast: bool) -> list[int]:
    return [now for now in range(until_s) if pace.due(float(now), alone=alone, fast=fast)]


def test_alone_on_a_fast_medium_announces_slow_down_to_one_a_minute() -> None:
    times = announces(pacing.AnnouncePace(Random(1), None), 600, alone=True, fast=True)

    pauses = [after - before for before, after in pairwise(times)]
    assert times[0] == 0
    assert pauses[0] <= 6
    assert 30 <= pauses[-1] <= 61


@pytest.mark.parametrize(("alone", "fast"), [(False, True), (True, False), (False, False)])
def test_in_company_or_on_slow_media_an_announce_comes_every_six_hours(
    alone: bool, fast: bool
) -> None:
    times = announces(pacing.AnnouncePace(Random(1), None), 24 * 3600, alone=alone, fast=fast)

    assert 4 <= len(times) <= 5


def test_who_is_alone_again_becomes_eager_again() -> None:
    pace = pacing.AnnouncePace(Random(1), None)
    announces(pace, 300, alone=True, fast=True)
    assert not pace.due(400.0, alone=False, fast=True)

    assert not pace.due(500.0, alone=True, fast=True)
    assert pace.due(506.0, alone=True, fast=True)


def test_a_wanted_announce_keeps_its_distance() -> None:
    pace = pacing.AnnouncePace(Random(1), None)
    assert pace.due(0.0, alone=False, fast=False)
    pace.ask()

    assert not pace.due(59.0, alone=False, fast=False)
    assert pace.due(60.0, alone=False, fast=False)
    assert not pace.due(200.0, alone=False, fast=False)


@pytest.mark.parametrize("lag_s", [0.0, 0.1, 1.0, 2.5, 4.0])
def test_two_in_company_do_not_answer_each_others_announces_for_ever(lag_s: float) -> None:
    """Each took the other's answer for the announce of one who restarted: one every 2 s."""
    paces = [pacing.AnnouncePace(Random(seed), None) for seed in (1, 2)]
    heard: list[tuple[float, pacing.AnnouncePace]] = []
    answered: list[pacing.AnnouncePace] = []
    said = 0

    for step in range(1_200):
        now_s = step / 10
        for at_s, pace in [one for one in heard if one[0] <= now_s]:
            pace.answer(now_s, again=pace in answered)
            answered.append(pace)
            heard.remove((at_s, pace))
        for pace, other in (paces, paces[::-1]):
            if pace.due(now_s, alone=False, fast=True):
                heard.append((now_s + lag_s, other))
                said += 1

    assert said <= 4


def test_two_that_announce_as_they_meet_do_not_answer() -> None:
    pace = pacing.AnnouncePace(Random(1), None)
    assert pace.due(0.0, alone=True, fast=True)

    pace.answer(0.1, again=False)

    assert not pace.due(100.0, alone=False, fast=True)


def test_who_announces_again_without_having_dialled_is_answered_again_later() -> None:
    pace = pacing.AnnouncePace(Random(1), None)
    assert pace.due(0.0, alone=False, fast=True)
    pace.answer(3.0, again=True)
    assert not pace.due(3.0, alone=False, fast=True)

    pace.answer(12.0, again=True)

    assert pace.due(12.0, alone=False, fast=True)
    assert not pace.due(100.0, alone=False, fast=True)


# ── worker ───────────────────────────────────────────────────────────────────────────


def test_a_job_that_raises_does_not_stop_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    worker = Worker("test", lambda: None, logging.getLogger("test"))
    worker.post(lambda: 1 / 0)  # type: ignore[arg-type]
    worker.post(done.set)

    worker.start()

    assert done.wait(2.0)
    worker.close(lambda: None, 2.0)
    assert not worker.post(done.set)
    assert "ZeroDivisionError" in caplog.text


# ── relay ────────────────────────────────────────────────────────────────────────────


def listener(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind((LOOPBACK, port))
    one.settimeout(0.5)
    return one


def test_a_relay_passes_counts_and_loses_as_told() -> None:
    with (
        Relay() as relay,
        listener(relay.ends.a_listens) as ann,
        listener(relay.ends.b_listens) as bob,
    ):
        ann.sendto(b"to bob", (LOOPBACK, relay.ends.a_sends))
        assert bob.recv(100) == b"to bob"
        bob.sendto(b"to ann!", (LOOPBACK, relay.ends.b_sends))
        assert ann.recv(100) == b"to ann!"

        relay.on = False
        ann.sendto(b"lost", (LOOPBACK, relay.ends.a_sends))
        with pytest.raises(TimeoutError):
            bob.recv(100)
        relay.on, relay.drop = True, lambda side, packet: (side, packet) == ("a", b"bad")
        ann.sendto(b"bad", (LOOPBACK, relay.ends.a_sends))
        ann.sendto(b"good", (LOOPBACK, relay.ends.a_sends))
        assert bob.recv(100) == b"good"

        traffic = relay.traffic("a")
        assert (traffic.packets, traffic.bytes, traffic.lost) == (4, 17, 2)


def test_a_relay_limits_the_rate_of_each_direction() -> None:
    with (
        Relay(rate_bps=16_000) as relay,
        listener(relay.ends.a_listens) as ann,
        listener(relay.ends.b_listens) as bob,
    ):
        began_s = time.monotonic()
        for _ in range(5):
            ann.sendto(bytes(500), (LOOPBACK, relay.ends.a_sends))
        for _ in range(5):
            bob.recv(1000)

        took_s = time.monotonic() - began_s
        assert 1 < took_s < 2.4  # 1.25 s side by side, 2.5 s one after the other


def test_headers_are_read_with_and_without_a_transport_address() -> None:
    plain = bytes([0x0C, 1]) + bytes(16) + bytes([254]) + b"load"
    relayed = bytes([0x5C, 2]) + bytes(32) + bytes([254]) + b"load"

    assert header(plain) == Header(kind=0, context=254, hops=1)
    assert header(relayed) == Header(kind=0, context=254, hops=2)
    assert header(b"") is header(plain[:18]) is None
