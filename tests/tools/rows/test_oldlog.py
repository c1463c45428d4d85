"""Logs of the predecessor: all of it is kept, and the view shows what it showed there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from meshlog.views.oldorigin import Origin, origin_of
from tests.tools.camp import Device

File = Callable[..., Path]


def origins(device: Device) -> set[Origin]:
    """Return which old events a device holds."""
    contents = (arrival.event.content for arrival in device.store.scan())
    found = (origin_of(content.payload) for content in contents if content is not None)
    return {origin for origin in found if origin is not None}


class OldNode:
    """Writes lines as meshlogd 0.1 and 0.5 did."""

    def __init__(self, author: str) -> None:
        self.author = author
        self.seq = 0
        self.prev = ""

    def line(self, wall_ms: int, kind: str, counter: int = 0, **payload: Any) -> str:
        self.seq += 1
        parts = {
            "author": self.author, "seq": self.seq, "hlc": [wall_ms, counter],
            "kind": kind, "payload": payload, "prev": self.prev,
        }  # fmt: skip
        canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
        event_id = hashlib.sha256(canonical.encode()).hexdigest()[:32]
        wire = {"a": self.author, "s": self.seq, "h": [wall_ms, counter], "k": kind, "p": payload}
        wire |= {"v": self.prev, "i": event_id}
        self.prev = event_id
        return json.dumps(wire) + "\n"


def camp_log() -> tuple[list[str], list[str]]:
    """Return the lines of two old nodes that edited one record while they were apart."""
    base, team = OldNode("base"), OldNode("f" * 32)
    ours = [
        base.line(1000, "record.create", record_id="R-1", form="well", by="base"),
        base.line(2000, "field.set", record_id="R-1", field="status", value="OPEN"),
        base.line(5000, "field.set", record_id="R-1", field="status", value="CLOSED"),
        base.line(5000, "note.add", 1, record_id="R-1", text="Kéré"),
    ]
    theirs = [
        team.line(1500, "record.create", record_id="R-2", form="tap", by="Aïcha"),
        team.line(4000, "field.set", record_id="R-1", field="status", value="BROKEN"),
        team.line(4000, "field.set", 1, record_id="R-1", field="depth", value=12.5),
        team.line(5000, "field.set", record_id="R-1", field="status", value="TIE"),
        team.line(6000, "attachment.add", record_id="R-2", field="p", blob_hash="ab", size=3,
                  mime="image/jpeg"),
        team.line(7000, "chat.said", record_id="R-1", text="unknown kinds stay"),
    ]  # fmt: skip
    return ours, theirs


EXPECTED = {
    "R-1": {
        "record_id": "R-1", "form": "well", "created_by": "base",
        "fields": {"depth": 12.5, "status": "TIE"}, "attachments": [], "notes": ["Kéré"],
    },
    "R-2": {
        "record_id": "R-2", "form": "tap", "created_by": "Aïcha", "fields": {}, "notes": [],
        "attachments": [{"field": "p", "blob_hash": "ab", "size": 3, "mime": "image/jpeg"}],
    },
}  # fmt: skip
"""What the predecessor shows: at 5000 two writes tie, and the higher author wins."""


def test_the_view_is_the_predecessors(base: Device, file: File):
    ours, theirs = camp_log()

    report = base.bring(file("".join([*theirs, *ours]), "old.jsonl"), None)

    assert (report.added, report.failed_count, report.notes) == (10, 0, ())
    assert base.view() == EXPECTED
    assert base.fsck().is_clean


WILD = [
    "true", "false", "null", "-1", "-9223372036854775809", "9223372036854775808", "9" * 4_300,
    "9" * 5_000, "-" + "9" * 4_300, "1.5", "1e400", "-1e400", "NaN", "Infinity", "-Infinity",
    '"1000"', '""', "[]", "{}", "[1000]",
]  # fmt: skip


@pytest.mark.parametrize("place", ["wall_ms", "counter", "seq"])
@pytest.mark.parametrize("number", WILD, ids=lambda text: text[:12])
def test_a_wild_stamp_is_refused_in_one_line_and_moves_no_clock(
    base: Device, file: File, number: str, place: str
):
    good, old = OldNode("base"), OldNode("wild")
    lines = [good.line(1000, "note.add", record_id="R-1", text="kept")]
    wild = json.loads(old.line(1001, "note.add", 7, record_id="R-1", text="wild"))
    text = {
        "wall_ms": json.dumps(wild).replace("[1001, 7]", f"[{number}, 7]"),
        "counter": json.dumps(wild).replace("[1001, 7]", f"[1001, {number}]"),
        "seq": json.dumps(wild).replace('"s": 1,', f'"s": {number},'),
    }[place]
    base.write("note.add", record_id="R-1", text="before")
    clock = base.replica.ledger.clock

    report = base.bring(file("".join([text + "\n", *lines]), "old.jsonl"), None)

    assert (report.added, report.failed_count) == (1, 1)
    [error] = report.failed
    assert error.line == 1
    assert 0 < len(error.reason) < 200
    assert "\n" not in error.reason
    assert base.view()["R-1"]["notes"] == ["before", "kept"]
    assert 0 <= base.replica.ledger.clock.wall_ms - clock.wall_ms <= 1_000


@pytest.mark.parametrize("wall_ms", [0, 2**47 - 1, 2**47, 2**63 - 1])
def test_a_stamp_far_ahead_or_from_1970_is_kept_as_it_was_and_moves_no_clock(
    base: Device, file: File, wall_ms: int
):
    """The event is written anew with an honest stamp; the old one stands in its payload."""
    line = OldNode("far").line(wall_ms, "note.add", record_id="R-1", text="far")
    clock = base.replica.ledger.clock

    report = base.bring(file(line, "old.jsonl"), None)

    assert (report.added, report.failed_count) == (1, 0)
    assert origins(base) == {Origin(wall_ms, 0, "far", 1)}
    assert base.view()["R-1"]["notes"] == ["far"]
    assert 0 <= base.replica.ledger.clock.wall_ms - clock.wall_ms <= 1_000


def test_every_event_says_where_it_comes_from(base: Device, file: File):
    ours, _ = camp_log()
    base.bring(file("".join(ours), "old.jsonl"), None)

    events = [arrival.event for arrival in base.store.scan() if arrival.event.feed.kind == 1]

    assert events[0].payload == {
        "record_id": "R-1", "form": "well", "by": "base", "origin": ("base", 1, 1000, 0),
    }  # fmt: skip
    assert origins(base) == {
        Origin(1000, 0, "base", 1),
        Origin(2000, 0, "base", 2),
        Origin(5000, 0, "base", 3),
        Origin(5000, 1, "base", 4),
    }
    assert {entry.who for entry in base.history("R-1")} == {"base"}


def test_the_same_log_again_adds_nothing_here_or_at_a_peer(base: Device, file: File):
    ours, theirs = camp_log()
    path = file("".join([*ours, *theirs]), "old.jsonl")
    base.bring(path, None)
    team = Device("team", 3, at=base)

    with closing(team.store):
        base.give(team)
        for device in (base, team):
            report = device.bring(path, None)
            assert (report.added, report.unchanged) == (0, 10)
        assert team.view() == EXPECTED


def test_two_logs_in_any_order_make_the_view_of_both(base: Device, other: Device, file: File):
    """An older edit that comes late is kept, and does not win by coming late."""
    ours, theirs = (file("".join(log), f"{i}.jsonl") for i, log in enumerate(camp_log()))

    base.bring(ours, None)
    base.bring(theirs, None)
    other.bring(theirs, None)
    late = other.bring(ours, None)

    assert base.view() == other.view() == EXPECTED
    assert late.added == 4
    assert "2 of the events" in late.notes[0]
    assert other.kinds().count("old.field.set") == 2


def test_an_edit_made_since_is_not_undone(base: Device, file: File):
    ours, theirs = camp_log()
    base.bring(file("".join(ours), "1.jsonl"), None)
    base.write("field.set", record_id="R-1", field="status", value="NEW")

    base.bring(file("".join(theirs), "2.jsonl"), None)

    assert base.fields("R-1") == {"status": "NEW", "depth": 12.5}


def test_a_torn_end_and_broken_lines_cost_only_themselves(base: Device, file: File):
    ours, theirs = camp_log()
    changed = ours[1].replace("OPEN", "SHUT")
    lines = [ours[0], changed, "garbage\n", "{}\n", "\n", *theirs, ours[2], ours[3][:-20]]

    report = base.bring(file("".join(lines), "old.jsonl"), None)

    assert report.added == 8
    assert [line for line, _ in report.failed] == [2, 3, 4, 13]
    assert "damaged or changed" in report.failed[0].reason
    assert "not written to its end" in report.failed[3].reason


def test_what_cannot_be_carried_or_read_is_said(base: Device, file: File):
    node = OldNode("n")
    lines = [
        node.line(1, "field.set", record_id="a", field="x", value=2**70),
        node.line(2, "field.set", record_id=5, field="x", value=1),
        node.line(3, "record.create", record_id="b"),
        node.line(4, "field.set", record_id="b", field="x", value=1, replaces="mine", origin=9),
    ]

    report = base.bring(file("".join(lines), "old.jsonl"), None)

    assert (report.added, [line for line, _ in report.failed]) == (3, [1])
    assert "1 of the events" in report.notes[0]
    assert base.view()["b"]["created_by"] == ""
    assert base.fields("b") == {"x": 1}
    assert base.kinds()[0] == "old.field.set"
    assert base.fsck().is_clean


def test_a_signature_of_the_later_predecessor_is_no_hindrance(base: Device, file: File):
    wire = json.loads(camp_log()[0][0])

    report = base.bring(file(json.dumps({**wire, "g": "00" * 64}) + "\n", "old.jsonl"), None)

    assert report.added == 1
