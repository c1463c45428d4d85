"""conflicts: shown, and settled for the values that were shown."""

from __future__ import annotations

import json

import pytest

from tests.cli.conflict import make_conflict
from tests.cli.processes import Device


@pytest.fixture
def torn(base: Device) -> Device:
    """A device on which W-1 has two depths."""
    make_conflict(base.data)
    return base


def test_a_value_settles_it(torn: Device) -> None:
    assert torn.ok("conflicts", "resolve", "W-1", "depth_m", "33") == "W-1: depth_m = 33\n"

    assert torn.ok("conflicts") == "No conflicts.\n"
    assert json.loads(torn.ok("view", "W-1", "--json"))["fields"]["depth_m"] == 33


def test_so_does_the_name_of_who_was_right(torn: Device) -> None:
    told = json.loads(torn.ok("conflicts", "resolve", "W-1", "depth_m", "--take", "base", "--json"))

    assert told["value"] == 31
    assert {told["settled"]["shown"]["value"], told["settled"]["beside"][0]["value"]} == {31, 32}
    assert json.loads(torn.ok("view", "W-1", "--json"))["fields"]["depth_m"] == 31
    assert json.loads(torn.ok("conflicts", "W-1", "--json")) == []


def test_so_it_is_while_a_node_runs(torn: Device) -> None:
    with torn.node():
        torn.ok("conflicts", "resolve", "W-1", "depth_m", "--take", "team")

        assert torn.ok("conflicts") == "No conflicts.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("W-1 depth_m", "say what it is: give a VALUE, or --take NAME"),
        ("W-1 depth_m 3 --take base", "give a VALUE or --take NAME, not both"),
        ("W-1 depth_m --take nobody", "'nobody' wrote none of the values"),
        ("W-1 works true", "'works' of record 'W-1' is not in conflict: in conflict: depth_m"),
        ("W-2 depth_m 3", "there is no record 'W-2' on this device: did you mean W-1?"),
        ("W-1", "missing argument 'FIELD'"),
    ],
)
def test_what_cannot_be_settled_is_said_in_a_line(torn: Device, words: str, said: str) -> None:
    refused = torn("conflicts", "resolve", *words.split())

    assert refused.code == 2
    assert said in refused.err
    assert refused.err.count("\n") == 1
    assert len(json.loads(torn.ok("conflicts", "--json"))) == 1


def test_a_field_without_a_conflict_is_written_with_set(base: Device) -> None:
    refused = base("conflicts", "resolve", "W-1", "depth_m", "3")

    assert (refused.code, refused.out) == (2, "")
    assert "is not in conflict: write it with `meshlog set`" in refused.err
