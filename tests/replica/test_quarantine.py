"""A hostile equivocator: many branches of one feed. Kept, converging, and out of the view."""

from __future__ import annotations

from random import Random

import pytest

from meshlog.core.event import Event, encode_body
from meshlog.core.lives import BRANCHES_MAX
from meshlog.replica import Replica
from meshlog.tools.fsck.fsck import fsck
from meshlog.views.materialize import shown
from meshlog.views.standing import Standing
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    chain,
    holds_alike,
    identity,
    note,
    open_replica,
    segs,
    texts,
)

MALLORY = Stranger(identity("mallory"))


def branches(number: int) -> tuple[list[Event], list[list[Event]]]:
    """Return a trunk of four events, and branches that leave it at different places."""
    trunk = MALLORY.run(range(4), word="trunk ")
    made = [
        MALLORY.run([10, 11], trunk[1 + place % 2], word=f"branch {place} ")
        for place in range(number)
    ]
    return trunk, made


def is_fold(replica: Replica) -> bool:
    events = [arrival.event for arrival in replica.store.scan()]
    horizon_ms = replica.ledger.horizon_ms
    return replica.view.snapshot() == shown(events, replica.dataset, horizon_ms)


def test_up_to_eight_branches_count_one_more_takes_all_behind_the_first_fork_out():
    cat = open_replica("cat")
    note(cat, "cat's own")
    trunk, made = branches(BRANCHES_MAX)
    cat.ingest(segs(MALLORY.opening(), trunk), T0_MS)
    for branch in made[: BRANCHES_MAX - 1]:
        cat.ingest(segs(branch), T0_MS)
        assert is_fold(cat)
    assert len(cat.ledger.frontier[MALLORY.data]) == BRANCHES_MAX
    assert len(texts(cat)) == 1 + 4 + 2 * (BRANCHES_MAX - 1)

    cat.ingest(segs(made[-1]), T0_MS)

    assert is_fold(cat), "the crossing refolds what it takes out"
    assert texts(cat) == {"cat's own", "trunk 0", "trunk 1"}
    standings = cat.ledger.standings(cat.store)
    assert standings.of(made[0][0]) is Standing.EXCLUDED
    assert "quarantined" in standings.why(made[0][0])
    assert standings.of(trunk[1]) is Standing.COUNTS
    assert fsck(cat.store, cat.dataset).problems == ()
    assert any("branches of one feed" in news for news in cat.news)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_does_not_matter(seed: int):
    trunk, made = branches(12)
    pieces = [*segs(trunk), *segs(*made)]
    order, other = open_replica("cat"), open_replica("dan")
    Random(seed).shuffle(pieces)
    for device in (order, other):
        device.ingest(segs(MALLORY.opening()), T0_MS)
    for piece in pieces * 2:  # what came before its base comes again
        order.ingest([piece], T0_MS)
    other.ingest([*segs(trunk), *segs(*made)], T0_MS)

    assert is_fold(order)
    assert is_fold(other)
    assert texts(order) == texts(other) == {"trunk 0", "trunk 1"}
    assert order.ledger.quarantine == other.ledger.quarantine
    Pump(order, other).meet(order, other)
    assert holds_alike(order, other)


def test_an_earlier_fork_that_comes_late_takes_out_more():
    cat = open_replica("cat")
    trunk, made = branches(20)
    late = [branch for branch in made if branch[0].seq == 3]
    cat.ingest(segs(MALLORY.opening(), trunk), T0_MS)
    for branch in made:
        if branch not in late:
            cat.ingest(segs(branch), T0_MS)
    assert "trunk 2" in texts(cat)

    cat.ingest(segs(late[0]), T0_MS)

    assert is_fold(cat)
    assert texts(cat) == {"trunk 0", "trunk 1"}


def test_what_others_wrote_over_it_stays():
    cat = open_replica("cat")
    trunk, made = branches(12)
    cat.ingest(segs(MALLORY.opening(), trunk), T0_MS)
    body = encode_body("field.set", {"record_id": "w", "field": "depth", "value": 99})
    lie = chain(MALLORY.who, MALLORY.data, [10], trunk[1], bodies=[body])
    cat.ingest(segs(lie), T0_MS)
    cat.append("field.set", {"record_id": "w", "field": "depth", "value": 3}, T0_MS + 20)
    for branch in made:
        cat.ingest(segs(branch), T0_MS)

    assert is_fold(cat)
    assert cat.view.snapshot()["w"]["fields"] == {"depth": 3}
