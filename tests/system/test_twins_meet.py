"""Two copies of one device as two real nodes: one identity, one Reticulum address, two places."""

from __future__ import annotations

import json

import pytest

from tests.system.node import Field, end, items, meshlog, wait_alike

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(600)]

CROSSINGS_S = 480.0
"""News are announced after 8 s, 16 s, 32 s … and each announce reaches one copy or the other, as
it happens; mostly they are alike within 40 s."""

TOLD = "this identity runs on two devices: bob"


def test_two_copies_that_meet_through_a_third_converge_and_all_say_so(field: Field) -> None:
    """Each announces the same address; so they hear one another through others only."""
    ann, bob = field.homes("ann", "bob")
    with bob.open() as written:
        written.emit_many(items(5, "before"))
    before = field.pair(field.relay(), ann, bob)
    wait_alike(*before)
    for node in before:
        node.stop()
    copy = bob.copied("copy")
    for home in (bob, copy):
        with home.open() as written:
            written.emit_many(items(5, home.folder.name))

    near, far = field.relay(), field.relay()
    nodes = (
        field.run(ann, configdir=field.config("between", end(near, "b"), end(far, "a"))),
        field.run(bob, configdir=field.config("near", end(near, "a"))),
        field.run(copy, configdir=field.config("far", end(far, "b"))),
    )
    wait_alike(*nodes, timeout_s=CROSSINGS_S)

    for node in nodes:
        (said,) = node.status()["twins"]
        assert said["words"].startswith(TOLD)
    for node in nodes:
        node.stop()
    assert ann.events() == bob.events() == copy.events()
    assert ann.view() == bob.view() == copy.view()
    for home in (bob, copy):
        status = json.loads(meshlog("status", "--json", "--data", str(home.path)))
        assert status["records"] == 15
        assert TOLD in meshlog("status", "--data", str(home.path)).decode()
