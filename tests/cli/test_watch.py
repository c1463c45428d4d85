"""watch: what changed, told once, by real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.processes import Device


def test_once_with_a_cursor_file_tells_only_what_is_new(base: Device) -> None:
    watch = ("watch", "--once", "--cursor-file", "seen", "--json")

    first = [json.loads(line) for line in base.ok(*watch).splitlines()]
    again = base.ok(*watch)
    base.ok("set", "W-1", "depth_m", "31")
    base.ok("set", "W-1", "depth_m", "32")
    base.ok("put", "W-2", "--form", "well", "depth_m=5")
    then = [json.loads(line) for line in base.ok(*watch).splitlines()]

    assert [line["record_id"] for line in first] == ["W-1"]
    assert again == ""
    assert [(line["record_id"], line["record"]["fields"]["depth_m"]) for line in then] == [
        ("W-1", 32),
        ("W-2", 5),
    ]
    assert (base.home / "seen").read_text() == then[-1]["cursor"] + "\n"
    after = base.ok("watch", "--once", "--after", then[0]["cursor"])
    assert after == "W-2  well  depth_m=5\n"


def test_tells_of_deletes_forms_and_where_to_begin(base: Device) -> None:
    base.ok("put", "R-1", "--form", "road", "paved=true")
    base.ok("delete", "W-1")

    assert base.ok("watch", "--once", "--all") == "R-1  road  paved=true\nW-1  gone\n"
    assert base.ok("watch", "--once", "--form", "road") == "R-1  road  paved=true\n"
    base.ok("put", "R-1", "--form", "track")
    left = base.ok("watch", "--once", "--form", "road")
    assert left == "R-1  track (no road any more)  paved=true\n"
    [line] = base.ok("watch", "--once", "--form", "road", "--json").splitlines()
    assert (json.loads(line)["left"], json.loads(line)["record"]["form"]) == (True, "track")


def watching(base: Device) -> subprocess.Popen[str]:
    """Start a watch of all that changes, in lines of JSON."""
    return subprocess.Popen(
        base.command("watch", "--all", "--json"),
        env=base.env,
        cwd=base.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_tells_as_it_happens_until_it_is_stopped(base: Device) -> None:
    with base.node():
        watch = watching(base)
        assert watch.stdout is not None
        assert json.loads(watch.stdout.readline())["record_id"] == "W-1"

        base.ok("set", "W-1", "depth_m", "77")
        told = json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        out, err = watch.communicate(timeout=20)

    assert told["record"]["fields"]["depth_m"] == 77
    assert (out, err, watch.returncode) == ("", "", 0)


def test_whoever_has_enough_may_hang_up(base: Device) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    watch = subprocess.run(
        base.command("watch", "--once", "--cursor-file", "seen"),
        env=base.env,
        cwd=base.home,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)

    assert watch.stderr == b""
    assert not (base.home / "seen").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--after x", "'x' is no cursor"),
        ("--after 00000000-1 --all", "give one of --all, --after and --cursor-file"),
        ("--cursor-file .", ". is a folder"),
        ("--cursor-file nowhere/seen", "nowhere is not a folder"),
        ("--cursor-file garbage", "is no cursor"),
        ("--cursor-file latin", "latin cannot be read as a cursor"),
    ],
)
def test_what_is_no_cursor_is_said_in_a_line(base: Device, words: str, said: str) -> None:
    Path(base.home / "garbage").write_text("what\n")
    Path(base.home / "latin").write_bytes(b"\xe9\n")

    refused = base("watch", "--once", *words.split())

    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert refused.err.count("\n") == 1


def test_a_cursor_of_another_store_tells_all_and_says_so(base: Device) -> None:
    told = base("watch", "--once", "--after", "01020304-9")

    assert told.code == 0
    assert told.out.startswith("W-1  well")
    assert "the cursor is of another store" in told.err


def test_a_store_that_is_restored_meanwhile_is_told_again(base: Device) -> None:
    """Its changes are numbered anew: one of them had the number of one that was told before."""
    base.ok("backup", "then.db")
    base.ok("put", "W-2", "depth_m=5")
    watch = watching(base)
    assert watch.stdout is not None
    told = [json.loads(watch.stdout.readline()) for _ in range(2)]

    for beside in ("-wal", "-shm"):
        Path(f"{base.data}{beside}").unlink(missing_ok=True)
    (base.home / "then.db").replace(base.data)
    base.ok("put", "W-3", "depth_m=7")
    again: list[str] = []
    while "W-3" not in again:  # W-1 comes twice where it looked before the new life began, too
        again.append(json.loads(watch.stdout.readline())["record_id"])
    watch.send_signal(signal.SIGINT)
    _, err = watch.communicate(timeout=20)

    assert [one["record_id"] for one in told] == ["W-1", "W-2"]
    assert again[-2:] == ["W-1", "W-3"]
    assert "the cursor is of another store" in err
