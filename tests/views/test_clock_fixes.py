"""Wild clocks, and fixes that come early, late and twice: the live view is the pure fold."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.clockfix import Shift
from meshlog.core.decrees import FIX_KIND, fix_payload
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.hlc import SKEW_MS_MAX, WALL_MS_MAX
from meshlog.core.identity import AuthorId
from meshlog.errors import InputError
from meshlog.replica import Replica
from meshlog.sync.holdings import Verdict
from meshlog.views.materialize import shown
from tests.replica.devices import T0_MS, founder, invited

HOUR_MS = 3_600_000
YEAR_MS = 8_766 * HOUR_MS
CLOCKS = st.sampled_from(
    [
        *(0, 1, T0_MS - 7 * HOUR_MS, T0_MS, T0_MS + 1, T0_MS + 20 * 60_000),
        *(T0_MS + 7 * HOUR_MS, T0_MS + 73 * YEAR_MS, WALL_MS_MAX),
    ]
)
OFFSETS = st.one_of(
    st.sampled_from([-7 * HOUR_MS, 7 * HOUR_MS, -73 * YEAR_MS, T0_MS, -WALL_MS_MAX, WALL_MS_MAX]),
    st.integers(-20 * 60_000, 20 * 60_000),
)


def segments(replica: Replica, author: Replica) -> list[bytes]:
    """Return what an author wrote, in segments of a few events."""
    replica.root()
    found: list[bytes] = []
    for feed, tips in sorted(replica.frontier().items()):
        if feed.author == author.identity.author:
            for tip in tips:
                found += replica.segments(feed, tip, 0, 10**6)[0]
    return found


def events_of(replica: Replica) -> list[Event]:
    return [arrival.event for arrival in replica.store.scan()]


def is_right(replica: Replica) -> None:
    """Hold the view against the oracle, and the clock against the view."""
    ledger = replica.ledger
    held = events_of(replica)
    assert encode_cbor(replica.view.snapshot()) == encode_cbor(
        shown(held, replica.dataset, ledger.horizon_ms)
    )
    standings = ledger.standings(replica.store)
    assert replica.view.check() == []
    for event in held:
        if event.feed.kind is FeedKind.DATA and standings.counts(event):
            assert ledger.clock >= standings.stamp(event), "what a person sees, the clock has seen"


def write(replica: Replica, number: int, now_ms: int) -> None:
    record = f"r{number % 2}"
    match number % 5:
        case 0:
            replica.append("record.delete", {"record_id": record}, now_ms)
        case 1:
            replica.append("note.add", {"record_id": record, "text": str(number)}, now_ms)
        case _:
            payload = {"record_id": record, "field": "f", "value": number}
            replica.append("field.set", payload, now_ms)
    replica.root()  # a cut after each, so that a reader can get them one by one


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), CLOCKS),
        st.tuples(
            st.just("fix"),
            st.integers(0, 2),
            st.builds(
                lambda first, length, offset: Shift(first, first + length, offset),
                st.integers(1, 4),
                st.integers(0, 6),
                OFFSETS,
            ),
        ),
        st.tuples(st.just("meet"), st.integers(0, 2), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=14,
)


def played(acts: list[tuple[str, int, object]]) -> tuple[Replica, list[bytes]]:
    """Return the founder, and everything that it and two members wrote, in segments."""
    base = founder()
    devices = [base, invited(base, "ann"), invited(base, "bob", Role.COORDINATOR)]
    for number, (what, who, how) in enumerate(acts):
        device = devices[who]
        if what == "write":
            write(device, number, how)  # type: ignore[arg-type]
        elif what == "meet":
            other = devices[how]  # type: ignore[call-overload]
            for author in devices:
                device.ingest(segments(other, author), T0_MS)
        else:
            feeds = [f for f in sorted(device.frontier()) if f.kind is FeedKind.DATA]
            allowed = [f for f in feeds if who != 1 or f.author == device.identity.author]
            if allowed:
                device.fix_clock(allowed[number % len(allowed)], how, T0_MS)  # type: ignore[arg-type]
        is_right(device)
    return base, [data for device in devices for data in segments(device, device)]


@given(ACTS, st.randoms(use_true_random=False), st.lists(CLOCKS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_every_order_of_arrival_and_every_horizon_makes_the_pure_fold(
    acts: list[tuple[str, int, object]], luck: Random, clocks: list[int]
):
    """Fixes before what they fix, after it, after it was released: it makes no difference."""
    base, told = played(acts)
    views = []
    for turn in range(2):
        reader = invited(base, f"reader {turn}", Role.OBSERVER)
        waiting = list(told)
        luck.shuffle(waiting)
        while waiting:
            batch = [waiting.pop() for _ in range(min(len(waiting), luck.randint(1, 4)))]
            verdicts = reader.ingest(batch, T0_MS).verdicts
            waiting = [
                data
                for data, verdict in zip(batch, verdicts, strict=True)
                if verdict is Verdict.GAP
            ] + waiting
            is_right(reader)
            reader.advance_horizon(luck.choice(clocks))
            is_right(reader)
        reader.advance_horizon(max(clocks))
        is_right(reader)
        views.append((reader.ledger.horizon_ms, encode_cbor(reader.view.snapshot())))

    assert views[0] == views[1]


@given(ACTS, CLOCKS)
@settings(deadline=None, max_examples=20)
def test_what_is_written_after_seeing_a_value_beats_it(
    acts: list[tuple[str, int, object]], now_ms: int
):
    """Whatever the clocks and the fixes were, and wherever this device's clock is now."""
    base, told = played(acts)
    reader = invited(base, "reader")
    reader.ingest(told, T0_MS)
    if reader.ledger.clock.wall_ms == WALL_MS_MAX:
        return  # the end of time: tests/core/test_hlc.py

    reader.append("field.set", {"record_id": "r0", "field": "f", "value": "mine"}, now_ms)

    is_right(reader)
    standing = reader.ledger.standings(reader.store)
    if standing.counts(events_of(reader)[-1]):
        record = reader.view.get("r0")
        assert record is not None
        assert record.fields["f"][0].value == "mine"
        assert "f" not in record.conflicts()


def test_the_far_future_never_moves_a_clock_and_a_fix_lets_it_count():
    base = founder()
    ann = invited(base, "ann")
    ahead_ms = T0_MS + 73 * YEAR_MS
    write(ann, 2, ahead_ms)
    base.ingest(segments(ann, ann), T0_MS)
    assert base.view.get("r0") is None
    assert base.ledger.clock.wall_ms <= T0_MS + SKEW_MS_MAX

    feed = FeedKey(ann.identity.author, FeedKind.DATA, ann.data_feed.incarnation)
    base.fix_clock(feed, Shift(1, 1, T0_MS - ahead_ms), T0_MS)

    record = base.view.get("r0")
    assert record is not None
    assert record.fields["f"][0].origin.stamp.wall_ms == T0_MS
    is_right(base)


def test_a_fix_by_an_ordinary_member_of_somebody_elses_clock_counts_nowhere():
    """What no honest device writes, a changed one may."""
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    write(ann, 2, T0_MS)
    bob.ingest(segments(ann, ann), T0_MS)
    bob._say(FIX_KIND, fix_payload(ann.data_feed, Shift(1, 9, 7 * HOUR_MS)), T0_MS)

    for data in (segments(ann, ann), segments(bob, bob)):
        base.ingest(data, T0_MS)

    assert base.ledger.decrees.fixes == {}
    assert base.view.get("r0") is not None
    is_right(base)


def test_a_fix_that_is_said_as_a_decree_must_be_one_that_counts():
    """So it comes over the control socket, from a program of the device's owner."""
    base = founder()
    ann, bob = invited(base, "ann"), invited(base, "bob")
    write(ann, 2, T0_MS)
    for reader in (base, bob):
        reader.ingest(segments(ann, ann), T0_MS)
    base.ingest(segments(bob, bob), T0_MS)
    shift, stranger = Shift(1, 9, HOUR_MS), FeedKey(AuthorId(bytes(16)), FeedKind.DATA, 1)
    counts = bob.event_count(), base.event_count()

    with pytest.raises(InputError, match="only founder and coordinators"):
        bob.decree(FIX_KIND, fix_payload(ann.data_feed, shift), T0_MS)
    with pytest.raises(InputError, match="sync first"):
        base.decree(FIX_KIND, fix_payload(stranger, shift), T0_MS)
    with pytest.raises(InputError, match="no decree that others could read"):
        base.decree(FIX_KIND, fix_payload(ann.data_feed, Shift(9, 1, HOUR_MS)), T0_MS)
    assert (bob.event_count(), base.event_count()) == counts

    base.decree(FIX_KIND, fix_payload(ann.data_feed, shift), T0_MS)
    assert ann.identity.author in base.ledger.decrees.fixes
    is_right(base)
