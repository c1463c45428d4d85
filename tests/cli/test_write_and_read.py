"""What is written is there, whoever reads it and however."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from tests.cli.processes import Device

INVITE = "MESHLOG1-"


def view(device: Device, *words: str) -> Any:
    return json.loads(device.ok("view", "--json", *words))


def test_init_shows_an_invite_that_joins(base: Device) -> None:
    invite = base.ok("invite")

    said = base.ok("join", "-", "--name", "team_a", "--data", "team.db", stdin=invite)

    assert "Joined 'Survey' as 'team_a'" in said
    one, other = (
        json.loads(base.ok("status", "--json", *data)) for data in ([], ["--data", "team.db"])
    )
    assert one["dataset"] == other["dataset"]
    assert one["author"] != other["author"]


@pytest.mark.parametrize("how", ["text", "file", "wrapped"])
def test_an_invite_may_come_in_any_way(base: Device, how: str) -> None:
    invite = json.loads(base.ok("invite", "--json"))["invite"]
    assert invite.startswith(INVITE)
    words = [invite]
    if how == "file":
        (base.home / "invite.txt").write_text(base.ok("invite"))
        words = ["invite.txt"]
    elif how == "wrapped":
        words = [invite[:70].lower(), invite[70:]]

    base.ok("join", *words, "--data", "team.db")


def test_a_store_and_its_identity_are_the_owners_alone(base: Device) -> None:
    for path in base.data.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    assert base.data.parent.stat().st_mode & 0o077 == 0


def test_values_are_typed_only_where_nothing_is_lost(base: Device) -> None:
    base.ok("put", "W-1", "a=12", "b=-0.5", "c=false", "d=007", "e=+5", "f=1e5", "g=nan")
    base.ok("put", "W-1", "h=99999999999999999999", "i=a=b", "j=")
    base.ok("put", "W-1", "k=12", "--text")
    base.ok("set", "W-1", "l", "-5")

    fields = view(base)["W-1"]["fields"]

    assert fields == {
        "depth_m": 30, "works": True, "a": 12, "b": -0.5, "c": False, "d": "007", "e": "+5",
        "f": "1e5", "g": "nan", "h": "99999999999999999999", "i": "a=b", "j": "", "k": "12",
        "l": -5,
    }  # fmt: skip


def test_json_is_the_predecessors(base: Device) -> None:
    base.ok("note", "W-1", "pump is broken")

    out = base.ok("view", "--json")

    assert json.loads(out) == {
        "W-1": {
            "record_id": "W-1", "form": "well", "created_by": "base", "attachments": [],
            "fields": {"depth_m": 30, "works": True}, "notes": ["pump is broken"],
        }
    }  # fmt: skip
    assert out == json.dumps(json.loads(out), indent=2, sort_keys=True) + "\n"


def test_tables_are_plain_and_80_wide_when_piped(base: Device) -> None:
    base.ok("put", "W-2", "--form", "well", *(f"field_{n}={'long words ' * 9}" for n in range(9)))
    base.ok("put", "W-3", "--form", "well", "who=日本語の長い名前がここにあります" * 4)
    base.ok("note", "W-2", "so it is")

    for words in ("view", "view W-2", "history W-2", "log", "status", "conflicts", "fsck"):
        out = base.ok(*words.split())

        assert "\x1b" not in out
        assert max(len(line) for line in out.splitlines()) <= 80, (words, out)


def test_a_value_cannot_command_the_terminal(base: Device) -> None:
    base.ok("set", "W-1", "who", "\x1b[31mred\x07\u202e\nnext")

    for words in ("view", "view W-1", "history W-1", "log"):
        out = base.ok(*words.split())

        assert not {"\x1b", "\x07", "\u202e"} & set(out)
    assert view(base)["W-1"]["fields"]["who"] == "\x1b[31mred\x07\u202e\nnext"


def test_a_delete_hides_and_history_remembers(base: Device) -> None:
    base.ok("delete", "W-1")

    assert view(base) == {}
    assert "deleted" in base("view", "W-1").err
    assert "deleted" in base.ok("history", "W-1")
    told = json.loads(base.ok("history", "W-1", "--json"))
    assert [entry["kind"] for entry in told] == ["record.put", "record.delete"]


def test_history_says_what_became_of_each_value(base: Device) -> None:
    base.ok("set", "W-1", "depth_m", "31")

    told = json.loads(base.ok("history", "W-1", "--json"))

    fates = [(w["field"], w["value"], w["fate"]) for entry in told for w in entry["wrote"]]
    assert fates == [
        ("depth_m", 30, "superseded"), ("works", True, "shown"), ("depth_m", 31, "shown"),
    ]  # fmt: skip


def test_log_shows_the_latest_and_reads_on_from_a_position(base: Device) -> None:
    latest = json.loads(base.ok("log", "-n", "1", "--json"))
    whole = json.loads(base.ok("log", "--after", "0", "--json"))

    assert [line["kind"] for line in latest] == ["record.put"]
    assert [line["kind"] for line in whole] == ["dataset.genesis", "feed.open", "record.put"]
    assert whole[-1] == latest[0]
    assert "Nothing behind position 3" in base.ok("log", "--after", "3")


def test_an_import_says_which_rows_are_broken_and_adds_nothing_twice(base: Device) -> None:
    (base.home / "s.csv").write_text('code,depth\nA,1\nB,2,3\nC,"4"\n')

    first = base("import", "s.csv", "--form", "well", "--id", "code")
    second = base("import", "s.csv", "--form", "well", "--id", "code", "--json")

    assert (first.code, second.code) == (1, 1)
    assert first.err.startswith("s.csv, line 3: ")
    assert "2 new" in first.out
    report = json.loads(second.out)
    assert (report["added"], report["unchanged"], report["failed_count"]) == (0, 2, 1)
    assert set(view(base)) == {"W-1", "A", "C"}


def test_an_export_comes_back_as_it_was(base: Device) -> None:
    base.ok("put", "W-2", "--form", "well", 'who=Zoë, "the" digger', "depth_m=2.5")
    base.ok("export", "wells.csv")
    invite = json.loads(base.ok("invite", "--json"))["invite"]
    base.ok("join", invite, "--data", "team.db")

    base.ok("import", "wells.csv", "--form", "well", "--data", "team.db")

    here, there = view(base), view(base, "--data", "team.db")
    assert {k: v["fields"] for k, v in here.items()} == {k: v["fields"] for k, v in there.items()}
    rows = list(csv.reader(io.StringIO(base.ok("export"))))
    assert rows[0] == ["record_id", "depth_m", "who", "works"]
    lines = base.ok("export", "--format", "jsonl").splitlines()
    assert [json.loads(line)["record_id"] for line in lines] == ["W-1", "W-2"]


def test_a_conflict_shows_winner_and_loser_until_it_is_settled(base: Device) -> None:
    from tests.cli.conflict import make_conflict

    make_conflict(base.data)

    told = json.loads(base.ok("conflicts", "--json"))
    table = base.ok("conflicts")
    base.ok("set", "W-1", "depth_m", "33")

    assert [(c["record_id"], c["field"], len(c["beside"])) for c in told] == [("W-1", "depth_m", 1)]
    assert {told[0]["shown"]["value"], told[0]["beside"][0]["value"]} == {31, 32}
    assert {told[0]["shown"]["name"], told[0]["beside"][0]["name"]} == {"base", "team"}
    assert "shown" in table
    assert "beside" in table
    assert json.loads(base.ok("conflicts", "--json")) == []
    assert base.ok("conflicts") == "No conflicts.\n"


def test_fsck_finds_a_changed_row_and_mends_it(base: Device) -> None:
    import sqlite3

    assert base.ok("fsck").endswith("Everything holds.\n")
    with sqlite3.connect(base.data) as raw:
        raw.execute("UPDATE record SET visible = 0")
    raw.close()

    found = base("fsck", "--json")

    assert found.code == 1
    assert json.loads(found.out)["problem_count"] == 1
    assert base("fsck", "--rebuild").code == 0
    assert set(view(base)) == {"W-1"}
