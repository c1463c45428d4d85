"""What a clock fix lets wait counts when its time comes, one event after the other."""

from __future__ import annotations

import pytest

from meshlog.core.clockfix import Shift
from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.replica import Replica, waiting
from tests.replica.devices import T0_MS, founder, invited, share

HOUR_MS = 3_600_000
STEP_MS = 1_000


def write(replica: Replica, first: int, last: int) -> None:
    """Write one record a second."""
    for number in range(first, last + 1):
        payload = {"record_id": f"r{number:02}", "field": "f", "value": number}
        replica.append("field.set", payload, T0_MS + number * STEP_MS)


def is_shown(replica: Replica, numbers: range) -> bool:
    """Say whether these records are shown and no other, as the log says."""
    assert replica.view.check() == []
    return sorted(replica.view.snapshot()) == [f"r{number:02}" for number in numbers]


@pytest.mark.parametrize("limit", [1, 3, 4_096])
def test_each_event_counts_at_its_time_however_few_are_remembered(
    limit: int, monkeypatch: pytest.MonkeyPatch
):
    """Some wait when the fix comes, some come later; the clock goes on in steps and in a leap."""
    monkeypatch.setattr(waiting, "WAITING_MAX", limit)
    base = founder()
    ann = invited(base, "ann")
    write(ann, 1, 8)
    share(ann, base, T0_MS)
    base.fix_clock(ann.data_feed, Shift(1, 99, HOUR_MS), T0_MS)
    before_ms = T0_MS + HOUR_MS - SKEW_MS_MAX
    base.advance_horizon(before_ms)
    assert is_shown(base, range(0))

    for number in range(1, 5):
        base.advance_horizon(before_ms + number * STEP_MS)
        assert is_shown(base, range(1, number + 1))
    write(ann, 9, 14)
    share(ann, base, before_ms + 4 * STEP_MS)
    assert is_shown(base, range(1, 5))
    for number in range(5, 11):
        base.advance_horizon(before_ms + number * STEP_MS)
        assert is_shown(base, range(1, number + 1))
    base.advance_horizon(before_ms + HOUR_MS)
    assert is_shown(base, range(1, 15))


def test_a_tick_of_the_clock_names_only_what_it_releases():
    base = founder()
    ann = invited(base, "ann")
    write(ann, 1, 9)
    share(ann, base, T0_MS)
    base.fix_clock(ann.data_feed, Shift(1, 9, HOUR_MS), T0_MS)
    due_ms = T0_MS + HOUR_MS
    base.advance_horizon(due_ms + 3 * STEP_MS - SKEW_MS_MAX)

    left = base.ledger.waiting(base.store)

    assert left.knows(due_ms + 5 * STEP_MS)
    assert left.due(due_ms + 5 * STEP_MS) == ["r04", "r05"]
