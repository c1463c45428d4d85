"""Two real nodes meet: what one holds, the other comes to hold."""

from __future__ import annotations

import time

import pytest

from meshlog.transport.relay import KEEPALIVE, LINK_RTT
from tests.system.node import (
    Field,
    Home,
    LosesFirst,
    Recorder,
    Running,
    end,
    items,
    meshlog,
    wait_alike,
    wait_until,
)

pytestmark = [pytest.mark.rns, pytest.mark.timeout(90)]

SILENCE_BYTES_MAX = 0
"""Of an agreed pair in 10 s, Reticulum's keepalives left out: there is nothing to say."""

SURPLUS_S = 5
"""Where both dialled, the second link is closed after so long without use (ADR 5)."""


def test_two_nodes_converge_both_ways_and_agree_byte_for_byte(field: Field) -> None:
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        node.emit_many(items(40, "well"))
    with bob.open() as node:
        node.emit_many(items(30, "pump"))

    nodes = field.pair(field.relay(), ann, bob)
    wait_alike(*nodes)

    assert [node.stop() for node in nodes] == [0, 0]
    assert ann.view() == bob.view()
    assert ann.view().count(b'"record_id"') == 70
    assert ann.events() == bob.events()


def test_what_is_set_on_a_running_node_reaches_the_other_within_seconds(field: Field) -> None:
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        node.put_record("W-7", {"depth_m": 30}, "well")
    nodes = field.pair(field.relay(), ann, bob)
    wait_alike(*nodes)

    meshlog("set", "W-7", "depth_m", "33", "--data", str(bob.path))
    took_s = wait_alike(*nodes)

    assert b'"depth_m": 33' in ann.view()
    assert took_s < 5


@pytest.mark.prove
@pytest.mark.timeout(150)
def test_an_agreed_pair_is_silent(field: Field) -> None:
    """They hold the same before both know it: an answer that Reticulum loses comes again."""
    recorder = Recorder()
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        node.emit_many(items(20))
    nodes = field.pair(field.relay(drop=recorder), ann, bob)
    wait_alike(*nodes)
    wait_until(lambda: all(map(is_in_sync, nodes)), 60)
    time.sleep(SURPLUS_S + 1)

    since_s = time.monotonic()
    time.sleep(10)

    assert recorder.bytes_since(0) > 20 * 100, "everything passed here"
    said = recorder.told_since(since_s, without=[KEEPALIVE])
    assert recorder.bytes_since(since_s, without=[KEEPALIVE]) <= SILENCE_BYTES_MAX, said


def is_in_sync(node: Running) -> bool:
    """Say whether a node knows that its one neighbour stands where it stands."""
    return [peer["contact"] for peer in node.status().get("peers", [])] == ["in sync"]


@pytest.mark.prove
def test_a_lost_third_handshake_packet_costs_seconds_and_nothing_else(field: Field) -> None:
    """Without it the answering end drops everything for six minutes (ADR 5)."""
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        node.emit_many(items(20))

    third = LosesFirst(LINK_RTT)
    nodes = field.pair(field.relay(drop=third), ann, bob)
    wait_alike(*nodes)

    assert len(third.lost) == 1
    assert ann.events() == bob.events()


@pytest.mark.prove
def test_nodes_meet_through_a_transport_node_that_knows_nothing_of_meshlog(field: Field) -> None:
    near, far = field.relay(), field.relay()
    field.rnsd(field.config("middle", end(near, "b"), end(far, "a"), transport=True))
    ann, bob = field.homes("ann", "bob")
    for home, form in ((ann, "well"), (bob, "pump")):
        with home.open() as node:
            node.emit_many(items(50, form))

    nodes = field.run(ann, end(near, "a")), field.run(bob, end(far, "b"))
    wait_alike(*nodes)

    assert ann.events() == bob.events()


@pytest.mark.prove
def test_a_node_behind_a_shared_instance_meets_a_standalone_one(field: Field) -> None:
    relay = field.relay()
    shared = field.config("shared", end(relay, "a"), share=True)
    field.rnsd(shared)
    ann, bob = field.homes("ann", "bob")
    for home, form in ((ann, "well"), (bob, "pump")):
        with home.open() as node:
            node.emit_many(items(50, form))

    nodes = field.run(ann, configdir=shared), field.run(bob, end(relay, "b"))
    wait_alike(*nodes)

    assert ann.events() == bob.events()


@pytest.mark.prove
def test_an_outsider_of_another_dataset_gets_nothing(field: Field) -> None:
    relay = field.relay()
    [ann] = field.homes("ann")
    eve = Home(field.directory / "eve", "eve")
    with ann.open() as node:
        node.emit_many(items(20))
    own_events = eve.events()
    inside, outside = field.pair(relay, ann, eve)
    wait_until(lambda: bool(inside.status()) and bool(outside.status()), 20)

    time.sleep(6)  # six announces of each

    assert relay.traffic("b").packets >= 3, "she was on the air"
    assert inside.status()["peers"] == outside.status()["peers"] == []
    assert outside.status()["events"] == len(own_events)
    assert eve.events() == own_events
