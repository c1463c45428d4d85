"""A newcomer holds its own opening alone: whoever it meets, the genesis reaches it first."""

from __future__ import annotations

from random import Random

import pytest

from meshlog.core.feed import FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.ports.links import LinkUp
from meshlog.replica import Replica, found, join
from meshlog.store import SqliteStore
from meshlog.sync.difference import compare_control, state_control
from tests.replica.devices import T0_MS, Pump, founder, holds_alike, invited, name_of, note
from tests.support.feeds import control_feed

CROWD = 8
SMALL, LARGE = 700, 16_384
"""Bytes of a batch: two openings, and everything."""


def device(who: Identity, name: str, host: Replica | None) -> Replica:
    """Return the founder's device, or one that joined and met nobody."""
    store = SqliteStore()
    if host is None:
        found(store, who, name, "valley", T0_MS, Random(name))
    else:
        join(store, who, name, host.invite(Role.COORDINATOR))
    return Replica(store, who, T0_MS, Random(name))


def in_order(count: int) -> list[Identity]:
    """Return identities by author id, which is the order of their feeds."""
    crowd = [Identity(Random(f"crowd {number}").randbytes(64)) for number in range(count)]
    return sorted(crowd, key=lambda who: who.author)


def valley(
    place: int, *, chained: bool = False, last: bool = True
) -> tuple[Replica, list[Replica]]:
    """Return the founder's device, which holds everything, and the others' in order.

    Args:
        place: Of the founder among the others, by author id.
        chained: Whether each was invited by the one before it, five deep, else by the founder.
        last: Whether the chain descends, so that hosts stand after their guests.
    """
    crowd = in_order(CROWD + 1)
    base = device(crowd.pop(place), "base", None)
    if last:
        crowd.reverse()
    members: list[Replica] = []
    for number, who in enumerate(crowd):
        host = members[-1] if chained and number % 5 else base
        one = device(who, f"team {number}", host)
        give(base, one)
        note(one, f"from {number}")
        give(one, base)
        members.append(one)
    for one in members:
        give(base, one)
    return base, members


def give(source: Replica, target: Replica) -> None:
    """Hand over all that ``source`` holds in one batch, in the order of the feeds' names."""
    source.root()
    segments: list[bytes] = []
    for feed, heads in sorted(source.frontier().items()):
        segments += source.segments(feed, heads[0], 0, 100_000)[0]
    target.ingest(segments, T0_MS)
    assert target.refused == {}


def settle(pump: Pump, one: Replica, other: Replica, batch_size_bytes: int) -> int:
    """Let one sync with the other over a link of a given batch; return how many asks it took."""
    before = pump.asks
    for us, peer in ((other, one), (one, other)):
        us.handle(LinkUp(name_of(peer), batch_size_bytes), pump.now_ms)
        for state in us.engine.peers:
            state.session = state.due_ms = None
            state.exchange = 0
    pump.meet(one, other, batch_size_bytes)
    return pump.asks - before


@pytest.mark.parametrize("batch_size_bytes", [1, SMALL, LARGE])
@pytest.mark.parametrize("newcomer_asks", [True, False])
@pytest.mark.parametrize("place", range(CROWD + 1))
def test_one_sync_brings_everything_wherever_the_genesis_stands(
    place: int, newcomer_asks: bool, batch_size_bytes: int
):
    """It was a gap after a gap: what came before the genesis filled every batch anew."""
    base, _ = valley(place)
    bob = invited(base, "bob")
    pump = Pump(base, bob)

    one, other = (bob, base) if newcomer_asks else (base, bob)
    settle(pump, one, other, batch_size_bytes)

    assert holds_alike(base, bob)
    assert bob.refused == {}


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("newcomer_asks", [True, False])
@pytest.mark.parametrize("place", range(CROWD + 1))
def test_and_from_whoever_holds_it_however_they_were_invited(
    place: int, newcomer_asks: bool, last: bool
):
    _, members = valley(place, chained=True, last=last)
    relay = members[3]
    bob = invited(members[4], "bob")
    note(bob, "written before anybody was met")
    pump = Pump(relay, bob)

    one, other = (bob, relay) if newcomer_asks else (relay, bob)
    settle(pump, one, other, SMALL)

    assert holds_alike(relay, bob)
    assert bob.refused == {}


@pytest.mark.parametrize("place", range(CROWD + 1))
def test_the_genesis_is_among_what_fits_a_difference(place: int, monkeypatch: pytest.MonkeyPatch):
    """Of a thousand feeds more than a difference holds, the genesis' is never left out."""
    monkeypatch.setattr("meshlog.sync.difference.RUNS_MAX", 2)
    base, _ = valley(place)
    bob = invited(base, "bob")

    found = compare_control(base, state_control(bob))

    assert found.pushes[0].feed == base.genesis_feed()
    assert found.is_cut


def test_a_newcomer_says_what_it_holds_and_wants_nothing_that_it_cannot_judge():
    base, _ = valley(0)
    bob = invited(base, "bob")

    found = compare_control(bob, state_control(base))

    assert [push.feed for push in found.pushes] == [control_feed(bob)]
    assert (found.wants, found.locate) == ([], [])


def test_two_newcomers_soon_stop_and_agree_once_one_has_met_a_member():
    base, _ = valley(CROWD)
    bob, cat = invited(base, "bob"), invited(base, "cat")
    pump = Pump(base, bob, cat)

    assert settle(pump, bob, cat, SMALL) <= 4
    assert (bob.event_count(), cat.event_count()) == (1, 1)

    settle(pump, bob, base, SMALL)
    settle(pump, cat, bob, SMALL)
    settle(pump, base, bob, SMALL)
    settle(pump, cat, bob, SMALL)

    assert holds_alike(base, bob, cat)


def test_who_has_said_its_control_feeds_in_vain_asks_where_the_peer_stands_now():
    """Its roster has grown since its beacon, and what is wanted of a feed comes up to its end."""
    base = founder()
    bob = invited(base, "bob")
    pump = Pump(base, bob)
    settle(pump, bob, base, LARGE)
    base.put_form({"form": "well", "fields": [["depth", "int", {}]]}, T0_MS)
    said: list[bytes] = []

    def grows_meanwhile(data: bytes) -> bytes:
        said.append(data)
        if len(said) == 2:
            base.put_form({"form": "camp", "fields": [["people", "int", {}]]}, T0_MS)
            note(base, "and data under the new roster")
        return data

    pump.tamper = grows_meanwhile
    asks = settle(pump, bob, base, LARGE)

    assert holds_alike(base, bob)
    assert asks <= 5


def test_the_feed_of_the_genesis_is_the_founders_first():
    base, members = valley(4)
    bob = invited(base, "bob")

    (genesis,) = {one.genesis_feed() for one in [base, *members]}

    assert genesis is not None
    assert (genesis.author, genesis.kind) == (base.identity.author, FeedKind.CONTROL)
    assert base.id_on_branch(genesis, base.frontier()[genesis][0], 1) == base.dataset
    assert (bob.genesis_feed(), bob.awaits_genesis()) == (None, True)
