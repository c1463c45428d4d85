"""What is written is there, whoever reads it and however."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from meshlog.cli import transfer
from meshlog.cli.app import program
from meshlog.errors import InputError
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


def test_what_to_do_next_names_the_store_that_was_named(empty: Device) -> None:
    founded = empty.ok("init", "Survey", "--data", "my store.db")
    invite = json.loads(empty.ok("invite", "--json", "--data", "my store.db"))["invite"]
    joined = empty.ok("join", invite, "--data", "team.db")
    usual = empty.ok("init", "Survey")

    assert "meshlog run --data 'my store.db'" in founded
    assert "depth_m=30 --data 'my store.db'" in founded
    assert joined.endswith("meshlog run --data team.db\n")
    assert "--data" not in usual


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


def test_text_that_is_spelt_with_joiners_or_wide_spaces_stays_readable(base: Device) -> None:
    base.ok("set", "W-1", "who", "क्\u200dष 12\u00a0000")

    assert "क्\u200dष 12 000" in base.ok("view", "W-1")


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


def test_history_says_by_whom_and_when_a_value_was_superseded(base: Device) -> None:
    """Ids are in --json: no table shows them, so none can be looked up."""
    base.ok("set", "W-1", "depth_m", "31")

    lines = base.ok("history", "W-1").splitlines()

    (gone,) = (line for line in lines if "superseded" in line)
    later = next(line for line in lines if "31" in line.split()[3:])
    assert re.search(r"superseded (\S+) by base$", gone)
    day, clock = later.split()[:2]
    assert gone.split()[-3] in (day, clock)


def test_history_of_a_deleted_record_says_so_of_all_that_the_delete_hid(base: Device) -> None:
    base.ok("note", "W-1", "dry")
    base.ok("delete", "W-1")

    lines = base.ok("history", "W-1").splitlines()

    hidden = [line.split()[3] for line in lines if line.endswith("   deleted")]
    assert hidden == ["form", "depth_m", "works", "(note)"]


@pytest.mark.parametrize("words", ["put W-1 phone=0123", "set W-1 phone 0123", "note W-1 dry"])
def test_a_write_to_a_deleted_record_says_that_it_comes_back(base: Device, words: str) -> None:
    base.ok("delete", "W-1")

    first, second = base(*words.split()), base(*words.split())

    assert first.err == "W-1 was deleted: this brings it back, with all that it held\n"
    assert (first.code, second.err) == (0, "")
    assert view(base)["W-1"]["fields"]["depth_m"] == 30


def test_a_long_value_is_not_echoed_in_full(base: Device) -> None:
    out = base.ok("set", "W-1", "long", "x" * 60_000)

    assert out.startswith("W-1: long = xxx")
    assert len(out) <= 81
    assert len(view(base)["W-1"]["fields"]["long"]) == 60_000


def test_a_table_has_the_fields_that_most_records_carry_and_says_where_the_rest_is(
    base: Device,
) -> None:
    """One record's odd fields come last, whatever their names; then the first written leads."""
    for number in range(2, 5):
        base.ok("put", f"W-{number}", "--form", "well", "depth_m=7", "works=true")
        base.ok("put", f"W-{number}", "village=Kéré", f"a_remark={'dry ' * 9}")
    base.ok("put", "W-4", *(f"aa_{n}={'odd ' * 9}" for n in range(9)))

    caption, head, *_ = base.ok("view").splitlines()

    assert head.split()[:5] == ["record", "works", "depth_m", "village", "a_remark"]
    hidden = 4 + 9 - (len(head.split()) - 1)
    assert caption == f"well: 4 records, {hidden} more fields: `meshlog view RECORD`, or --json"
    assert len(caption) <= 80


def test_log_heads_the_position_and_marks_the_control_feed(base: Device) -> None:
    head, _, *lines = base.ok("log").splitlines()

    assert head.split() == ["position", "arrived", "by", "seq", "what", "about"]
    assert ["ctrl" in line.split() for line in lines] == [True, True, False]


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


def test_an_export_of_several_forms_says_how_to_choose(base: Device) -> None:
    base.ok("note", "N-1", "hi")

    refused = base("export")

    assert refused.code == 2
    assert "'' (no form), well: name one with --form" in refused.err
    assert "--format jsonl" in refused.err
    assert base.ok("export", "--form", "").splitlines() == ["record_id", "N-1"]
    assert len(base.ok("export", "--format", "jsonl").splitlines()) == 2


def test_an_export_says_what_it_wrote(base: Device) -> None:
    assert base.ok("export", "wells.xyz") == "wells.xyz: 1 record as CSV\n"
    assert base.ok("export", "wells.json") == "wells.json: 1 record as JSON lines\n"


def test_a_dash_is_standard_output_and_standard_input(base: Device) -> None:
    base.ok("put", "W-2", "--form", "well", "who=Zoë", "depth_m=2.5")
    invite = json.loads(base.ok("invite", "--json"))["invite"]
    base.ok("join", invite, "--data", "team.db")

    lines = base.ok("export", "-", "--format", "jsonl")
    told = base.ok("import", "-", "--data", "team.db", stdin=lines)

    assert told.splitlines()[0] == "standard input: 2 new, 0 changed, 0 unchanged"
    cells = base.ok("export", "-")
    assert cells == base.ok("export") == base.ok("export", "-", "--data", "team.db")
    assert not (base.home / "-").exists()


def test_a_broken_row_of_standard_input_is_named_by_its_line(base: Device) -> None:
    result = base("import", "-", "--form", "well", "--id", "code", stdin="code,depth\nA,1\nB,2,3\n")

    assert result.code == 1
    assert result.err.startswith("standard input, line 3: ")
    assert list(base.home.glob("meshlog-*")) == []  # its copy is gone


def test_standard_input_without_end_does_not_fill_the_disk(
    base: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "STDIN_SIZE_MAX", 1_000)
    words = ["import", "-", "--form", "well", "--data", str(base.data)]

    result = CliRunner().invoke(program, words, input="depth\n" + "1\n" * 500)

    assert isinstance(result.exception, InputError)
    assert "more than 1.0 kB: save it" in str(result.exception)


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


def test_a_history_tells_of_one_field_with_arrivals_and_feeds(base: Device) -> None:
    base.ok("set", "W-1", "depth_m", "31")

    table = base.ok("history", "W-1", "--field", "depth_m", "--full").splitlines()
    told = json.loads(base.ok("history", "W-1", "--field", "depth_m", "--json"))
    refused = base("history", "W-1", "--field", "colour")

    assert table[2].split() == ["when", "by", "came", "feed", "what", "value", "became"]
    assert [line.split()[6:8] for line in table[4:]] == [["depth_m", "30"], ["depth_m", "31"]]
    assert [[wrote["field"] for wrote in entry["wrote"]] for entry in told] == [["depth_m"]] * 2
    assert (refused.code, refused.out) == (2, "")
    assert "nobody ever wrote 'colour' of record 'W-1'" in refused.err


def test_a_narrow_screen_cuts_no_time_and_no_place_in_a_feed(base: Device) -> None:
    """Half of a time says nothing."""
    name = "f" * 60
    base.ok("put", "0011e9469da243e3", "--form", "well", f"{name}={'v' * 60}")
    base.ok("set", "0011e9469da243e3", name, "w" * 60)

    told = base.ok("history", "0011e9469da243e3", "--full").splitlines()

    assert max(map(len, told)) <= 80
    time_came_place = r"\d{4}-\d\d-\d\d \d\d:\d\d +base +\d\d:\d\d +[0-9a-f]{8} \d+ "
    assert all(re.match(time_came_place, line) for line in told[4:]), told


def test_rows_of_an_older_version_are_told_apart_and_made_again(base: Device) -> None:
    import sqlite3

    with sqlite3.connect(base.data) as raw:
        raw.execute("DELETE FROM meta WHERE key = 'view.rows'")
    raw.close()

    refused = base("view")
    base.ok("fsck", "--rebuild")

    assert (refused.code, refused.out) == (2, "")
    assert "was last written by an older meshlog: start its node anew" in refused.err
    assert "W-1" in base.ok("view")


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
