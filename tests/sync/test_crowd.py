"""An author with more feeds than a statement names delays itself, and nobody else."""

from __future__ import annotations

import pytest

from meshlog.core.identity import Identity
from meshlog.replica import Replica
from meshlog.sync.difference import state_control, state_data
from tests.replica.devices import (
    T0_MS,
    Pump,
    Stranger,
    holds_alike,
    identity,
    note,
    open_replica,
    segs,
)

FEW = 40


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one statement names, made small: twenty thousand openings take a minute to check."""
    for module in ("difference", "session", "broadcast.wording", "broadcast.recall"):
        monkeypatch.setattr(f"meshlog.sync.{module}.FEEDS_MAX", FEW)


def first_of_all() -> Identity:
    """Return somebody whose feeds stand before everybody's, where order goes by author."""
    crowd = [identity(f"mallory {number}") for number in range(200)]
    return min(crowd, key=lambda who: who.author)


def take_lives(replica: Replica, who: Identity, lives: range) -> None:
    """Give a replica many lives of one author, each with a control and a data feed."""
    for life in lives:
        mallory = Stranger(who, life=life)
        replica.ingest(segs(mallory.opening(), mallory.run([1])), T0_MS)


@pytest.mark.parametrize("are_shared", [True, False])
def test_everybody_elses_data_come_through_and_then_the_crowds(are_shared: bool):
    """Each has met another part of the crowd, or both all of it."""
    ann, bob, cat = (open_replica(name) for name in ("ann", "bob", "cat"))
    who = first_of_all()
    take_lives(ann, who, range(100 if are_shared else 70))
    take_lives(bob, who, range(0 if are_shared else 30, 100))
    note(cat, "from afar")
    Pump(bob, cat).meet(bob, cat)
    note(ann, "from ann")
    note(bob, "from bob")

    pump = Pump(ann, bob, cat)
    for _ in range(4):
        for one, other in ((ann, bob), (bob, ann), (bob, cat)):
            pump.meet(one, other)

    assert holds_alike(ann, bob, cat)


def test_a_statement_names_everybodys_first_feeds_whatever_the_page():
    ann, bob = open_replica("ann"), open_replica("bob")
    Pump(ann, bob).meet(ann, bob)
    take_lives(ann, first_of_all(), range(100))

    for page in range(7):
        named = {feed.author for feed, _ in state_control(ann, page).feeds}
        assert {ann.identity.author, bob.identity.author} <= named
    pages = [state_control(ann, page).feeds for page in range(7)]
    assert {feed for page in pages for feed, _ in page} >= {
        feed for feed in ann.frontier() if feed.kind == 0
    }
    data = state_data(ann, hashed=False)
    assert data.partial
    assert {feed.author for feed in ann.indexed_feeds()[: len(data.feeds)]} >= {
        ann.identity.author,
        bob.identity.author,
    }
