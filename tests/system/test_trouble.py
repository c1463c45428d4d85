"""Power cuts and outages in mid-transfer: nothing acknowledged is lost, progress is kept."""

from __future__ import annotations

import time

import pytest

from meshlog.transport.relay import Relay
from tests.system.node import Field, Home, Running, items, try_status, wait_alike, wait_until

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(120)]

BULK, TEXT_SIZE = 3_000, 800
"""Events, and bytes of text in each: five batches of 256 kB and more."""

RATE_BPS = 2_000_000
"""Of the air: all of it takes some seconds, so that there is a middle to interrupt."""


def full_and_empty(field: Field) -> tuple[Home, Home]:
    ann, bob = field.homes("ann", "bob")
    with ann.open() as node:
        node.emit_many(items(BULK, text_size=TEXT_SIZE))
    return ann, bob


def wait_for_events(node: Running, least: int) -> int:
    wait_until(lambda: try_status(node).get("events", 0) >= least, 45, node.log)
    return int(node.status()["events"])


def slow_air(field: Field) -> Relay:
    return field.relay(rate_bps=RATE_BPS)


def test_both_ends_are_killed_in_a_bulk_transfer_and_come_back(field: Field) -> None:
    relay = slow_air(field)
    ann, bob = full_and_empty(field)
    sender, receiver = field.pair(relay, ann, bob)
    acknowledged = set(wait_written(receiver, 5, "first"))
    wait_for_events(receiver, BULK // 8)

    receiver.kill()
    held = bob.events()
    assert acknowledged <= held
    assert BULK // 8 <= len(held) < BULK, "killed in the middle"
    receiver = field.run(bob, configdir=receiver.configdir)
    acknowledged |= set(wait_written(receiver, 5, "second"))
    wait_for_events(receiver, len(held) + 64)
    sender.kill()
    assert len(bob.events()) < BULK, "killed in the middle"
    sender = field.run(ann, configdir=sender.configdir)
    wait_alike(sender, receiver, timeout_s=60)

    assert held <= bob.events()
    assert acknowledged <= bob.events() == ann.events()
    assert len(ann.events()) > BULK


def wait_written(node: Running, count: int, form: str) -> list[str]:
    wait_until(lambda: bool(try_status(node)), 20, node.log)
    return node.emit(items(count, form))


def test_an_outage_in_a_bulk_transfer_costs_a_batch_at_most(field: Field) -> None:
    relay = slow_air(field)
    ann, bob = full_and_empty(field)
    sender, receiver = field.pair(relay, ann, bob)
    seen = [wait_for_events(receiver, BULK // 8)]
    assert seen[0] < BULK

    relay.on = False
    until_s = time.monotonic() + 5
    while time.monotonic() < until_s:
        seen.append(receiver.status()["events"])
        time.sleep(0.25)
    relay.on = True
    while seen[-1] < sender.status()["events"]:
        seen.append(receiver.status()["events"])
        assert time.monotonic() < until_s + 60, f"stands at {seen[-1]}\n{receiver.log()}"
        time.sleep(0.25)

    assert seen == sorted(seen)
    wait_alike(sender, receiver)
    assert ann.events() == bob.events()


def test_a_node_that_starts_alone_is_found_when_the_air_comes_back(field: Field) -> None:
    """As a team that comes into range of a base that has run for long."""
    relay = field.relay(on=False)
    ann, bob = field.homes("ann", "bob")
    nodes = sender, receiver = field.pair(relay, ann, bob)
    wait_until(lambda: all(node.status() for node in nodes), 20)
    sender.emit(items(10))
    time.sleep(3)
    assert receiver.status()["root"] != sender.status()["root"]

    relay.on = True

    assert wait_alike(*nodes) < 10


def test_a_team_that_was_out_of_range_for_five_seconds_is_met_at_once(field: Field) -> None:
    """Both ends still believe in their link, and both have asked over it in vain."""
    relay = field.relay()
    nodes = ann, bob = field.pair(relay, *field.homes("ann", "bob"))
    wait_alike(*nodes)

    relay.on = False
    ann.emit(items(10, "well"))
    bob.emit(items(10, "pump"))
    time.sleep(5)
    relay.on = True

    assert wait_alike(*nodes) < 12
