"""Watching a node: changes as they come, across restarts and restored backups."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from meshlog import InputError, Node, SimNetwork, SimTransport


def told(node: Node, cursor: str | None = None, form: str | None = None) -> tuple[list[Any], str]:
    """Read what there is; return each record's field a, and the cursor behind the last."""
    found = []
    for change in node.watch(cursor, form=form, wait_s=0):
        found.append((change.record_id, change.record and change.record["fields"].get("a")))
        cursor = change.cursor
    return found, cursor or ""


def test_goes_on_after_a_restart_where_it_stopped(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("r1", {"a": 1}, "well")
        ann.put_record("r2", {"a": 2}, "road")
        first, cursor = told(ann)
        ann.set_field("r1", "a", 3)
        ann.set_field("r1", "a", 4)

    with Node("ann", None, tmp_path / "store") as ann:
        ann.delete_record("r2")
        then, cursor = told(ann, cursor)
        still, _ = told(ann, cursor)

    assert first == [("r1", 1), ("r2", 2)]
    assert then == [("r1", 4), ("r2", None)]
    assert still == []


def test_begins_anew_where_the_store_was_restored(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("r1", {"a": 1})
    shutil.copytree(tmp_path, tmp_path / "backup")
    with Node("ann", None, tmp_path / "store") as ann:
        ann.put_record("r2", {"a": 2})
        ann.put_record("r3", {"a": 3})
        _, cursor = told(ann)

    with Node("ann", None, tmp_path / "backup" / "store") as ann:
        ann.put_record("r4", {"a": 4})
        ann.put_record("r5", {"a": 5})

        assert told(ann, cursor)[0] == [("r1", 1), ("r4", 4), ("r5", 5)]


def test_tells_of_records_of_one_form_only():
    ann = Node("ann", None)
    ann.put_record("r1", {"a": 1}, "well")
    ann.put_record("r2", {"a": 2}, "road")

    assert told(ann, form="road")[0] == [("r2", 2)]


def test_tells_once_that_a_record_has_another_form_now():
    ann = Node("ann", None)
    ann.put_record("r1", {"a": 1}, "well")
    ann.put_record("r2", {"a": 2}, "well")
    _, cursor = told(ann, form="well")

    ann.put_record("r1", {"a": 3}, "road")
    [change] = ann.watch(cursor, form="well", wait_s=0)

    assert (change.record_id, change.left) == ("r1", True)
    assert change.record is not None
    assert (change.record["form"], change.record["fields"]) == ("road", {"a": 3})
    ann.set_field("r1", "a", 4)
    assert list(ann.watch(change.cursor, form="well", wait_s=0)) == []
    assert [(c.record_id, c.left) for c in ann.watch(cursor, form="road", wait_s=0)] == [
        ("r1", False)
    ]
    ann.put_record("r1", {}, "well")
    assert told(ann, cursor, "well")[0] == [("r1", 4)]


def test_an_empty_cursor_is_none(tmp_path: Path):
    with pytest.raises(InputError, match="is no cursor"):
        Node("ann", None).watch("")


def test_waits_for_what_comes_from_others():
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air)) for name in ("ann", "bob"))
    cursor = bob.cursor()
    came = []

    def listen() -> None:
        for change in bob.watch(cursor):
            came.append(change.record_id)
            return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    ann.put_record("r1", {"a": 1})
    bob.gossip_round()
    listener.join(10)

    assert came == ["r1"]


def test_a_conflict_is_settled_for_the_values_that_were_seen_and_no_others():
    air = SimNetwork()
    ann, bob, cat = (Node(name, SimTransport(name, air)) for name in ("ann", "bob", "cat"))
    ann.put_record("r", {"a": 0})
    for node in (bob, cat):
        node.gossip_round()
    air.set_partitions([{"ann", "bob"}, {"cat"}])
    ann.set_field("r", "a", 1)
    bob.set_field("r", "a", 2)
    cat.set_field("r", "a", 3)
    ann.gossip_round()
    [seen] = ann.conflicts()
    air.set_partitions([{"ann", "bob", "cat"}])
    ann.gossip_round()

    ann.resolve(seen, 2)

    [left] = ann.conflicts("r")
    assert (left.record_id, left.field) == ("r", "a")
    assert {write.value for write in left.writes} == {2, 3}
    assert ann.view()["r"]["fields"] == {"a": 2}
    ann.resolve(left, 2)
    for node in (bob, cat):
        node.gossip_round()
    assert ann.conflicts() == bob.conflicts() == cat.conflicts("r") == []
    assert ann.view() == bob.view() == cat.view()


def test_shows_the_records_as_they_were(tmp_path: Path):
    with Node("ann", None, tmp_path / "store") as ann:
        first = ann.put_record("r1", {"a": 1}, "well")
        ann.set_field("r1", "a", 2)
        ann.put_record("r2", {"a": 3})

        then = ann.view(as_of=first.hlc)

        assert {name: record["fields"] for name, record in then.items()} == {"r1": {"a": 1}}
        assert ann.view(as_of=(2**47 - 1, 0)) == ann.view()
        assert ann.view(as_of=(0, 0)) == {}
        for wrong in ((1,), (1, True), (-1, 0), "now", (1.5, 0)):
            with pytest.raises(InputError):
                ann.view(as_of=wrong)  # type: ignore[arg-type]


def test_every_store_has_changes_of_an_era_of_its_own(tmp_path: Path):
    eras = set()
    for name in ("one", "two"):
        with Node("ann", None, tmp_path / name) as node:
            eras.add(node.cursor().partition("-")[0])
    assert len(eras) == 2
