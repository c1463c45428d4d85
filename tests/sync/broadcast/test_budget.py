"""The air budget: the hour's share is never passed, and who is urgent goes first."""

import random

import pytest

from meshlog.core.air import LoRa
from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.broadcast.budget import PLAIN_HEADER_SIZE, WINDOW_MS, Budget, Urgency, air_ms


@pytest.mark.parametrize("sf", range(7, 13))
@pytest.mark.parametrize("size", [20, 60, 120, 200, 236, 300, 400, 464])
def test_the_bound_covers_what_lora_takes(sf: int, size: int):
    lora = LoRa(sf=sf)

    bound_ms = air_ms(size, lora.bit_rate_bps)

    assert lora.airtime_ms(size + PLAIN_HEADER_SIZE) <= bound_ms
    assert bound_ms <= 2.2 * lora.airtime_ms(size + PLAIN_HEADER_SIZE)


@pytest.mark.parametrize("duty_cycle", [0.01, 0.1])
@pytest.mark.parametrize("rate_bps", [293.0, 3125.0])
def test_no_sliding_hour_takes_more_than_its_share(duty_cycle: float, rate_bps: float):
    """Greedy senders of every class, over a day, with pauses that fill the bucket."""
    luck = random.Random(7)
    budget = Budget(duty_cycle)
    log: list[tuple[int, float]] = []
    now_ms = 0
    while now_ms < 24 * WINDOW_MS:
        size = luck.choice([20, 150, SHOUT_SIZE_MAX])
        cost_ms = air_ms(size, rate_bps)
        wait_ms = budget.wait_ms(cost_ms, luck.choice(list(Urgency)), rate_bps, now_ms)
        if wait_ms:
            now_ms += wait_ms
            continue
        budget.spend(cost_ms)
        log.append((now_ms, cost_ms))
        now_ms += int(cost_ms) + (luck.randrange(2 * WINDOW_MS) if luck.random() < 0.02 else 0)

    worst_ms = max(
        sum(cost for at, cost in log if start <= at < start + WINDOW_MS) for start, _ in log[::7]
    )
    assert worst_ms <= duty_cycle * WINDOW_MS
    assert worst_ms >= 0.4 * duty_cycle * WINDOW_MS


def test_what_is_urgent_goes_when_the_rest_waits():
    budget = Budget(0.01)
    budget.wait_ms(0, Urgency.CONTROL, 3125.0, 0)
    cost_ms = air_ms(100, 3125.0)
    now_ms = int(cost_ms * 120)

    waits = {u: budget.wait_ms(cost_ms, u, 3125.0, now_ms) for u in Urgency}

    assert waits[Urgency.CONTROL] == waits[Urgency.URGENT] == 0
    assert 0 < waits[Urgency.NEWEST] <= waits[Urgency.REST] < waits[Urgency.BACKFILL]


def test_a_restart_gives_no_new_air():
    budget = Budget(0.01)

    assert budget.wait_ms(air_ms(20, 3125.0), Urgency.CONTROL, 3125.0, 10**12) > 0


def test_without_a_duty_cycle_nothing_waits():
    assert Budget(1.0).wait_ms(10**9, Urgency.BACKFILL, 293.0, 0) == 0
