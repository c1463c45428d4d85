"""What counted once counts ever after, wherever the clock stands when a device starts again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.hlc import SKEW_MS_MAX
from meshlog.replica import Replica
from tests.replica.devices import T0_MS, identity, note, open_replica, share

MINUTE_MS = 60_000

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "hear", "hear", "wait", "settle", "restart"]),
        st.integers(-20, 60),
    ),
    max_size=20,
)


def started_again(replica: Replica, now_ms: int) -> Replica:
    """Return the device as it is after a crash: from what its store holds."""
    return Replica(replica.store, identity("ann"), now_ms, Random(5))


@given(STEPS)
def test_a_restart_takes_nothing_out_of_the_view(steps):
    ann, bob = open_replica("ann"), open_replica("bob")
    now_ms = bob_ms = T0_MS
    for number, (step, minutes) in enumerate(steps):
        now_ms += 1
        ann.advance_horizon(now_ms)
        match step:
            case "write":
                note(ann, f"ann {number}", now_ms)
            case "hear":  # from somebody whose clock may be ahead
                bob_ms = max(bob_ms, now_ms + minutes * MINUTE_MS)
                note(bob, f"bob {number}", bob_ms, record=f"r{number % 3}")
                share(bob, ann, now_ms)
            case "wait":
                now_ms += abs(minutes) * MINUTE_MS
            case "settle":
                ann.settle()
            case _:
                shown = ann.view.snapshot()
                ann = started_again(ann, now_ms - abs(minutes) * MINUTE_MS)
                assert ann.view.snapshot() == shown
        assert ann.view.check() == []


def test_a_horizon_that_moved_on_over_nothing_costs_no_write():
    ann = open_replica("ann")
    note(ann, "x", T0_MS)
    kept = ann.store.get_meta("horizon")

    note(ann, "y", T0_MS + SKEW_MS_MAX // 2)
    assert ann.store.get_meta("horizon") == kept

    note(ann, "z", T0_MS + SKEW_MS_MAX + 1)
    assert ann.store.get_meta("horizon") != kept


def test_an_event_of_a_programs_own_kind_that_came_to_count_counts_ever_after():
    """Reducers show it: what is written next is later, and a restart does not hold it again."""
    ann, bob = open_replica("ann"), open_replica("bob")
    note(ann, "x", T0_MS)
    move = bob.append("ration.move", {"depot": "north"}, T0_MS + 20 * MINUTE_MS)
    share(bob, ann)
    assert not ann.ledger.standings(ann.store).counts(move)

    ann.advance_horizon(T0_MS + 10 * MINUTE_MS)

    assert ann.ledger.standings(ann.store).counts(move)
    ann = started_again(ann, T0_MS)
    assert ann.ledger.standings(ann.store).counts(move)
    assert note(ann, "y", T0_MS).stamp > move.stamp
