"""Whatever stands in an event: it is kept, relayed, and either shown or skipped and listed.

Each payload goes through real replicas: taken in, relayed, folded, shown, found, told, exported,
reduced. Nothing of it stops what others wrote from being shown.
"""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import cbor2
import pytest

from meshlog import Node, ReducerError, SimNetwork, SimTransport, SkipEvent, materialize
from meshlog.cli.output import json_text, shown
from meshlog.core.cbor import plain
from meshlog.core.event import OPEN_DATASET, Event
from meshlog.sync.holdings import Verdict
from meshlog.tools.fsck.fsck import fsck
from meshlog.tools.rows.exporting import export_csv, export_jsonl
from tests.cli.processes import Device
from tests.hostile.liar import Liar
from tests.views.world import GARBAGE

HUGE = 10**4_300
NAN, INF = float("nan"), float("inf")
AS_OF = (2**47 - 1, 0)


def said(kind: object, payload: object) -> bytes:
    """Return a body as no writer of ours makes it: nothing is checked."""
    return bytes(cbor2.dumps([kind, payload]))


def value(value: object, field: str = "a") -> bytes:
    return said("field.set", {"record_id": "r", "field": field, "value": value})


def raw(tail: bytes) -> bytes:
    """Return a ``field.set`` whose value is these bytes of CBOR."""
    return value(0)[:-1] + tail


SKIPPED: dict[str, bytes] = {
    "nothing": b"",
    "no cbor": b"\xff\xff\xff",
    "a number": b"\x01",
    "cut off": value("long enough")[:-3],
    "one too many": value(1) + b"\x00",
    "kind alone": cbor2.dumps(["field.set"]),
    "kind no text": said(7, {}),
    "payload a list": said("field.set", ["r", "a", 1]),
    "payload nothing": said("field.set", None),
    "nan": raw(b"\xf9\x7e\x00"),
    "nan with a load": raw(b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x01"),
    "inf": raw(b"\xf9\x7c\x00"),
    "minus inf": value(-INF),
    "nan inside": value([{"x": NAN}]),
    "past 64 bits": value(2**63),
    "below 64 bits": value(-(2**63) - 1),
    "4,300 digits": value(HUGE),
    "minus 4,300 digits": value(-HUGE),
    "a decimal fraction": raw(b"\xc4\x82\x3a\x7f\xff\xff\xff\x01"),
    "half a character": raw(b"\x63\xed\xa0\x80"),
    "half a character in a key": raw(b"\xa1\x63\xed\xa0\x80\x01"),
    "half a character as record": said("note.add", {"record_id": "x", "text": "t"}).replace(
        b"ax", b"c\xed\xb0\x80"
    ),
    "no utf-8": raw(b"\x61\xff"),
    "undefined": raw(b"\xf7"),
    "a date": raw(b"\xc1\x01"),
    "a key twice": raw(b"\xa2\x61a\x01\x61a\x02"),
    "a key no text": value({1: 2}),
    "without an end": raw(b"\x9f\x01\xff"),
    "seventeen deep": raw(b"\x81" * 17 + b"\x01"),
    "a thousand deep": raw(b"\x81" * 1_000 + b"\x01"),
    "a list that claims a lot": raw(b"\x9b\x00\xff\xff\xff\xff\xff\xff\xff"),
    "a text that claims a lot": raw(b"\x7b\x00\xff\xff\xff\xff\xff\xff\xff"),
    "too many parts": value([{}] * 40_000),
    **{f"garbage {number}": said(*bad) for number, bad in enumerate(GARBAGE)},
}
"""Bodies that no view can read."""

INTERNAL = (
    "record_id", "form", "created_by", "fields", "notes", "attachments", "conflicts", "visible",
    "written_at", "written_ms", "rowid", "oid", "record", "value", "rank", "@id", "@written",
    "__class__", "__init__", "origin", "replaces", "deletes", "$b", "state", "sqlite_master",
    "and", "missing", "true", "null", "NaN", "Infinity", "", " ", "-", "*", "'; --", '"', "a\x00b",
    "\x1b[2J", "\u202e", "\ufeff", "é" * 128, "\U0010ffff", "\U000ffffd",
)  # fmt: skip
"""Names that something of ours, or of SQL's, has already; as fields, forms and record ids."""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, -0.0, 2**63 - 1, -(2**63), 1e308, 5e-324, "", "1", "true",
    "NaN", "Infinity", "\x00", "\u202e\u2066", "\x1b]0;x\x07", "\ud7ff\ue000", b"", b"\xff\xfe",
    [], {}, [[[[]]]], [1, 1.0, True, "1"], {"": {"": None}}, {"$b": "00"}, {"nan": None},
    "x" * 60_000, "-91.5 200.5", [95.0, 361.0], [1e308, -1e308],
)  # fmt: skip

SHOWN: dict[str, bytes] = {
    **{f"value {told!r:.40}": value(told) for told in VALUES},
    **{f"field {name!r:.30}": value(1, name) for name in INTERNAL if name},
    **{f"form {name!r:.30}": said("record.put", {
        "record_id": "r", "fields": {"a": 1, "A": 2}, "form": name, "by": name,
    }) for name in INTERNAL},
    **{f"record {name!r:.30}": said("record.put", {"record_id": name, "fields": {name: name}})
       for name in INTERNAL if name},
    "keys of nobody": said("field.set", {
        "record_id": "r", "field": "a", "value": 1, "visible": False, "id": 7, "author": b"x",
        "stamp": [2**62, 1], "feed": None, "kind": "record.delete", "form": 3, "seq": -1,
    }),
    "an origin that never was": said("note.add", {
        "record_id": "r", "text": "n", "origin": ["\x1b[2J", True, -(2**63), 2**63 - 1],
    }),
    "a longer way to write it": b"\x9a\x00\x00\x00\x02" + value(1)[1:],
    "all at once": said("record.put", {
        "record_id": "r", "fields": {f"f{n}": n for n in range(400)}, "form": "wide",
    }),
    "an attachment": said("attachment.add", {
        "record_id": "r", "field": "a", "blob_hash": "../../x", "size": 2**63 - 1, "mime": "\x00",
    }),
    "places": said("record.put", {"record_id": "r", "fields": {
        "lat": "nan", "lon": "inf", "latitude": 1e308, "longitude": True, "gps": "1e999 -1e999",
    }}),
    "a kind of nobody": said("odd.kind", {"record_id": 7}),
    "a control kind": said("member.revoke", {"author": b"x", "cuts": 7}),
}  # fmt: skip
"""Bodies that are read, or are nobody's matter, however odd."""


class Everything:
    """Takes every kind there is here, and says what it was."""

    name, version = "everything", 1
    kinds: tuple[str, ...] = (
        "field.set", "record.put", "record.create", "note.add", "attachment.add", "odd.kind",
    )  # fmt: skip

    def initial(self) -> Any:
        return {"count": 0, "last": {}}

    def apply(self, state: Any, event: Event) -> Any:
        if not isinstance(event.payload.get("record_id"), str):
            raise SkipEvent("it names no record")
        state["last"][event.author.hex()] = plain(event.payload)
        state["count"] += 1
        return state


class Camp:
    """Ann, who has a file and a record of her own; bob, who hears of her alone; a liar."""

    def __init__(self, folder: Path) -> None:
        air = SimNetwork()
        self.path = folder / "ann.db"
        self.ann = Node("ann", SimTransport("ann", air), self.path)
        self.bob = Node("bob", SimTransport("bob", air))
        self.ann.put_record("W-1", {"depth_m": 30, "status": "OPENED"}, "well")
        self.well = self.ann.view()["W-1"]
        self.liar = Liar("mallory", self.ann.now_ms() - 60_000)
        self.ann.take_in(self.liar.opening())
        self.rations = self.ann.reduction(Everything())
        self.rations.state()
        self.ann.query()

    def hears(self, *bodies: bytes) -> list[Event]:
        """Let ann take in what the liar says, and bob hear it from her."""
        segment, events = self.liar.says(*bodies)
        assert self.ann.take_in([segment]).verdicts == (Verdict.ACCEPTED,)
        self.bob.gossip_round()
        return list(events)

    def check(self) -> None:
        """Look at everything there is to look at."""
        ann, view = self.ann, self.ann.view()
        assert view["W-1"] == self.well
        assert self.bob.view() == view
        assert json_text(materialize(ann.store.all_events())) == json_text(view)
        assert ann.view(as_of=AS_OF) == view
        found = {record["record_id"]: record for record in ann.query()}
        assert json_text(found) == json_text(view)
        assert [one["record_id"] for one in ann.query("depth_m = 30")] == ["W-1"]
        told = {change.record_id: change.record for change in ann.watch(wait_s=0)}
        assert {name: one for name, one in told.items() if one is not None} == view
        for record_id, record in view.items():
            entries = ann.history(record_id)
            assert entries
            for written in (one for entry in entries for one in entry.wrote):
                assert not set("\x00\x07\x1b\n") & set(shown(written.value))
            json.loads(json_text(record), parse_constant=pytest.fail)
        ann.conflicts()
        self.exports()
        with closing(sqlite3.connect(f"file:{self.path}.query?mode=ro", uri=True)) as file:
            views = file.execute("SELECT name FROM sqlite_schema WHERE type = 'view'").fetchall()
            for (name,) in views:
                quoted = name.replace('"', '""')
                file.execute(f'SELECT * FROM "{quoted}"').fetchall()
            assert file.execute("SELECT depth_m FROM well").fetchall() == [(30,)]

    def exports(self) -> None:
        replica = self.ann.replica
        records = [r for i in self.ann.view() if (r := replica.record(i)) is not None]
        lines = io.StringIO()
        assert export_jsonl(records, lines, form=None) == len(records)
        written = lines.getvalue()
        written.encode()
        for line in written.splitlines():
            json.loads(line, parse_constant=pytest.fail)
        for form in {record.form for record in records}:
            export_csv(records, cells := io.StringIO(newline=""), form=form)
            cells.getvalue().encode()

    def unreadable(self) -> list[bytes]:
        """Return which events ``fsck`` lists, and that nothing else is wrong."""
        report = fsck(self.ann.replica.store, OPEN_DATASET)
        assert report.is_clean, report
        return [event_id for event_id, why in report.unreadable if why]


@pytest.fixture
def camp(tmp_path: Path) -> Camp:
    return Camp(tmp_path)


@pytest.mark.parametrize("name", SKIPPED)
def test_what_no_view_can_read_is_kept_relayed_skipped_and_listed(camp: Camp, name: str):
    before = camp.ann.view()

    [event] = camp.hears(SKIPPED[name])

    held = [node.replica.store.get(event.id) for node in (camp.ann, camp.bob)]
    assert [arrival and arrival.event.body for arrival in held] == [SKIPPED[name]] * 2
    assert camp.ann.view() == before
    assert camp.unreadable() == [event.id]
    camp.check()
    camp.rations.state()
    camp.ann.set_field("W-1", "status", "BROKEN")
    assert camp.ann.view()["W-1"]["fields"]["status"] == "BROKEN"


@pytest.mark.parametrize("name", SHOWN)
def test_what_can_be_read_is_shown_alike_everywhere_however_odd(camp: Camp, name: str):
    [event] = camp.hears(SHOWN[name])

    assert camp.bob.replica.store.get(event.id)
    assert camp.unreadable() == []
    camp.check()
    state = camp.rations.state()
    if event.kind in Everything.kinds and isinstance(event.payload.get("record_id"), str):
        last = state["last"][event.author.hex()]
        assert (state["count"], json_text(last)) == (2, json_text(plain(event.payload)))
    else:
        assert state["count"] == 1


def test_all_of_it_at_once_and_again_after_a_restart(camp: Camp):
    bodies = [*SKIPPED.values(), *SHOWN.values()]
    events = [event for start in range(0, len(bodies), 40)
              for event in camp.hears(*bodies[start : start + 40])]  # fmt: skip
    view = camp.ann.view()

    camp.check()
    assert len(camp.unreadable()) == len(SKIPPED) <= 100
    state = camp.rations.state()
    camp.ann.close()
    with Node("ann", None, camp.path) as again:
        assert again.view() == view
        assert len(again.query()) == len(view)
        assert again.reduction(Everything()).state() == state
        assert {event.id.hex() for event in events} <= {e.id for e in again.store.all_events()}


class Trusting(Everything):
    """Believes what it reads: a mistake."""

    version = 2

    def apply(self, state: Any, event: Event) -> Any:
        state["count"] += len(event.payload["value"])
        return state


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (value(None), "TypeError"),
        (said("note.add", {"record_id": "r", "text": "x"}), "KeyError"),
        (said("field.set", {}), "KeyError"),
        (value(7), "TypeError"),
    ],
)
def test_a_reducer_that_raises_names_the_event_and_changes_nothing(
    camp: Camp, body: bytes, why: str
):
    _, bad, _ = camp.hears(value("abc"), body, value("de"))
    trusting = Trusting()
    trusting.kinds = ("field.set", "note.add")
    reduction = camp.ann.reduction(trusting)
    store = camp.ann.replica.store
    before = (store.get_reduction("everything"), store.checkpoints("everything"))

    for _ in range(2):
        with pytest.raises(ReducerError, match=f"{bad.id.hex()[:8]}.*{why}") as raised:
            reduction.state()
        assert raised.value.event_id == bad.id

    assert (store.get_reduction("everything"), store.checkpoints("everything")) == before
    assert camp.unreadable() in ([], [bad.id])
    camp.check()


ALIKE_IN_PYTHON: list[Any] = [1, 1.0, True, "1", b"1"]


@pytest.mark.parametrize("ours", ALIKE_IN_PYTHON, ids=repr)
@pytest.mark.parametrize("theirs", ALIKE_IN_PYTHON, ids=repr)
def test_no_comparison_depends_on_what_python_calls_equal(tmp_path: Path, ours: Any, theirs: Any):
    """1, 1.0 and True are three values, and a dict of Python would make them one."""
    air = SimNetwork()
    ann, bob = (Node(name, SimTransport(name, air), tmp_path / name) for name in ("ann", "bob"))
    air.set_partitions([{"ann"}, {"bob"}])
    ann.put_record("r", {"a": ours}, "well")
    bob.put_record("r", {"a": theirs}, "well")
    air.set_partitions([{"ann", "bob"}])
    ann.gossip_round()
    is_alike = type(ours) is type(theirs)

    assert len(ann.conflicts()) == (0 if is_alike else 1)
    assert typed(ann.view()) == typed(bob.view())
    assert typed(materialize(ann.store.all_events())) == typed(ann.view())
    ann.query()
    for conflict in ann.conflicts():
        ann.resolve(conflict, ours)
    cursor = ann.cursor()
    ann.set_field("r", "a", theirs)
    changes = list(ann.watch(cursor, wait_s=0))
    assert len(changes) == 1
    assert typed(changes[0].record["fields"]["a"]) == typed(theirs)  # type: ignore[index]
    assert typed(ann.query()[0]["fields"]["a"]) == typed(theirs)
    bob.gossip_round()
    assert typed(bob.view()) == typed(ann.view())
    assert fsck(bob.replica.store, OPEN_DATASET).is_clean
    fates = {entry.wrote[0].value for entry in ann.history("r") if entry.wrote[0].fate == "shown"}
    assert [typed(value) for value in fates] == [typed(theirs)]


def typed(value: Any) -> str:
    """Return a value such that no two of different types are alike."""
    return repr(value)


@pytest.mark.timeout(300)
def test_every_command_says_what_it_has_to_say(camp: Camp, tmp_path: Path):
    bodies = [*SKIPPED.values(), *SHOWN.values()]
    for start in range(0, len(bodies), 40):
        camp.hears(*bodies[start : start + 40])
    records = list(camp.ann.view())
    camp.ann.close()
    device = Device(tmp_path / "home")

    def ok(*words: str) -> str:
        out = device.ok(*words, "--data", str(camp.path))
        assert "\x1b" not in out
        return out

    def strict(*words: str) -> Any:
        return json.loads(ok(*words, "--json"), parse_constant=pytest.fail)

    assert strict("view").keys() == set(records)
    assert "W-1" in ok("view")
    assert strict("view", "r")["record_id"] == "r"
    assert ok("view", "r")
    assert strict("history", "r")
    assert ok("history", "r")
    assert strict("log")
    assert ok("log")
    assert len(strict("query", "--limit", "500")) == min(len(records), 500)
    assert ok("query", "--sql", "SELECT * FROM answers")
    assert strict("query", "--sql", "SELECT * FROM answers")
    assert strict("conflicts") == [] or ok("conflicts")
    assert "event" in ok("fsck")
    assert len(strict("fsck")["unreadable"]) == len(SKIPPED)
    lines = ok("watch", "--once", "--all", "--json").splitlines()
    assert {json.loads(line, parse_constant=pytest.fail)["record_id"] for line in lines} == set(
        records
    )
    assert ok("watch", "--once", "--all")
    assert ok("export", "--format", "jsonl")
    assert ok("export", "--form", "well")
    assert strict("status")
    assert ok("status")
