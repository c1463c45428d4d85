"""Real nodes in a slow radio cell: what one writes, the others hear."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.cell import Kind
from tests.support.rns_config import write_config
from tests.system.camp import Camp
from tests.system.node import items, wait_alike
from tests.transport.driver import Rnsd

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(400)]

RATE_BPS = 3_125
"""LoRa at SF8 and 125 kHz, before preambles."""

PACKET_BYTES_MAX = 483
BEACON_BYTES = 39

NewCamp = Callable[..., Camp]


@pytest.fixture
def new_camp(tmp_path: Path) -> Iterator[NewCamp]:
    with ExitStack() as stack:
        yield lambda count, **how: Camp(tmp_path, stack, count, rate_bps=RATE_BPS, **how)


def test_what_one_writes_all_others_hold_after_one_packet(new_camp: NewCamp) -> None:
    camp = new_camp(3)
    camp.acquaint()
    nodes = camp.run()
    since_s = time.monotonic()

    nodes[0].emit(items(10, text_size=8))
    wait_alike(*nodes)

    packets = [
        size for size in camp.ledger.sizes(Kind.BROADCAST, since_s=since_s) if size > BEACON_BYTES
    ]
    assert len(packets) == 1
    assert sum(packets) <= PACKET_BYTES_MAX
    assert camp.ledger.sizes(Kind.LINK, Kind.ANNOUNCE, Kind.PATH_REQUEST, since_s=since_s) == []
    assert [node.stop() for node in nodes] == [0, 0, 0]
    views = [home.view() for home in camp.homes]
    assert views[0] == views[1] == views[2]
    assert views[0].count(b'"record_id"') == 10


def test_devices_that_never_met_learn_of_each_other_over_the_air(new_camp: NewCamp) -> None:
    camp = new_camp(3)
    for nth in range(3):
        camp.write(nth, items(5, f"form{nth}", text_size=8))

    nodes = camp.run()
    wait_alike(*nodes, timeout_s=300)

    assert nodes[0].status()["members"] == 3
    assert nodes[0].status()["records"] == 15
    assert camp.ledger.sizes(Kind.LINK) == []


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_hundred_events_cross_a_lossy_cell_and_then_there_is_silence(
    new_camp: NewCamp, loss: float
) -> None:
    camp = new_camp(3, loss=loss)
    camp.acquaint()
    nodes = camp.run()
    since_s = time.monotonic()

    nodes[0].emit(items(100, text_size=8))
    wait_alike(*nodes, timeout_s=300)
    spent = sum(camp.ledger.sizes(since_s=since_s))
    later = sizes_once_quiet(camp)

    assert [node.stop() for node in nodes] == [0, 0, 0]
    assert spent < size_at_rest(camp) * (0.5 if loss == 0 else 1.25)
    assert len(later) <= 6, "each node's beacon slows down; other beacons make it needless"
    assert set(later) <= {BEACON_BYTES}
    assert camp.cell.queue_s == 0


def sizes_once_quiet(camp: Camp) -> list[int]:
    """Return the sizes of what was sent in 20 s, once nothing but beacons was, or in the fifth 20.

    All hold the same before all know that they do: one whose beacons were lost may answer late.
    """
    sizes: list[int] = []
    for _ in range(5):
        quiet_s = time.monotonic()
        time.sleep(20)
        sizes = camp.ledger.sizes(since_s=quiet_s)
        if set(sizes) <= {BEACON_BYTES}:
            break
    return sizes


def size_at_rest(camp: Camp) -> int:
    """Return the bytes of the bodies of all events, as the store has them."""
    with camp.homes[0].open() as node:
        return sum(len(arrival.event.body) for arrival in node.replica.store.scan())


def test_nodes_behind_one_rnsd_and_on_the_air_all_hear(new_camp: NewCamp, tmp_path: Path) -> None:
    camp = new_camp(3)
    camp.acquaint()
    shared = write_config(tmp_path / "shared", [camp.udp(0)], share=True)
    with Rnsd(shared):
        camp.start(camp.homes[0], shared)
        camp.start(camp.homes[1], shared)
        camp.start(camp.homes[2], write_config(tmp_path / "alone", [camp.udp(2)]))
        nodes = camp.ready()

        for nth, node in enumerate(nodes):
            node.emit(items(3, f"form{nth}", text_size=8))
            wait_alike(*nodes)

        assert nodes[0].status()["records"] == 9
        assert camp.ledger.sizes(Kind.LINK) == []
