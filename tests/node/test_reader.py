"""Whatever is read of a node, it is read as the clock has it by now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshlog import HLC, InputError, Node, SimNetwork, SimTransport
from meshlog.core.event import Event
from meshlog.core.hlc import SKEW_MS_MAX

NOW_MS = 1_795_000_000_000
AHEAD_MS = SKEW_MS_MAX + 60_000


class Notes:
    """The ids of the events that it took."""

    name, version, kinds = "writes", 1, {"record.put"}

    def initial(self) -> Any:
        return []

    def apply(self, state: Any, event: Event) -> Any:
        return [*state, event.id.hex()]


READS: dict[str, Callable[[Node], Any]] = {
    "view": lambda node: node.view(),
    "record": lambda node: node.record("r"),
    "query": lambda node: node.query(),
    "conflicts": lambda node: node.conflicts(),
    "history": lambda node: [entry.standing for entry in node.history("r")],
    "watch": lambda node: [change.record for change in node.watch(wait_s=0)],
    "cursor": lambda node: node.cursor().partition("-")[2],
    "as of": lambda node: node.view(as_of=(2**47 - 1, 0)),
    "reduction": lambda node: node.reduction(Notes()).state(),
    "status": lambda node: node.status()["held_records"],
}


@pytest.mark.parametrize("name", READS)
def test_what_is_due_counts_in_every_read_whichever_comes_first(name: str):
    """A node that heard nothing since still shows what waited for its time."""
    time_ms = NOW_MS
    air = SimNetwork()
    ann = Node("ann", SimTransport("ann", air), hlc=HLC(clock=lambda: time_ms))
    hasty = [
        Node(who, SimTransport(who, air), hlc=HLC(clock=lambda: NOW_MS + AHEAD_MS))
        for who in ("bob", "cat")
    ]
    for number, node in enumerate(hasty):
        node.put_record("r", {"a": number})
    ann.gossip_round()
    before = READS[name](ann)

    time_ms = NOW_MS + AHEAD_MS
    after = READS[name](ann)

    witness = Node("dee", SimTransport("dee", air), hlc=HLC(clock=lambda: NOW_MS + AHEAD_MS))
    witness.gossip_round()
    assert after == READS[name](witness) != before


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: node.record(7),
        lambda node: node.history(7),
        lambda node: node.conflicts(7),
        lambda node: next(node.watch(7, wait_s=0)),
        lambda node: node.resolve("r", 1),
        lambda node: node.emit_many(7),
        lambda node: node.emit_many(["note.add"]),
    ],
)
def test_an_argument_of_another_type_is_refused_and_nothing_is_written(
    ask: Callable[[Node], object],
):
    """Above all a record id that a program took for a number."""
    node = Node("ann", None)
    node.put_record("7", {"a": 1})

    with pytest.raises(InputError, match=r"text|conflicts\(\)|pairs"):
        ask(node)
    assert node.frontier() == {"ann": 1}
