"""A running node: its prompt, its flags, and the other commands beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Device, Result

SEED_SETS = ["--set", "R-100", "status", "OPENED", "--set", "R-100", "functional", "true"]
SEED_FLAGS = ["--create", "R-100", "site", *SEED_SETS]


def run(device: Device, *words: str, stdin: str = "") -> Result:
    return device("run", "--no-radio", *words, stdin=stdin)


def events(device: Device) -> int:
    status = json.loads(device.ok("status", "--json"))
    assert isinstance(status["events"], int)
    return status["events"]


def answer(out: str, number: int = 0) -> Any:
    """Return the JSON that the prompt's ``number``-th command printed."""
    return json.loads(out.split("\n> ")[number + 1])


def test_the_predecessors_example_works_as_written(empty: Device) -> None:
    flags = ["--name", "base", "--data", "base.db", "--note", "R-100", "first visit", *SEED_FLAGS]

    result = run(empty, *flags, stdin="view\nfront\nstatus\nfrob\nquit\n")

    assert result.code == 0, result
    first, second = result.out.splitlines()[:2]
    assert first.startswith("meshlog node 'base' <")
    assert second.startswith("commands:  view | front | quit")
    assert answer(result.out, 0)["R-100"] == {
        "record_id": "R-100", "form": "site", "created_by": "base", "notes": ["first visit"],
        "fields": {"status": "OPENED", "functional": True}, "attachments": [],
    }  # fmt: skip
    assert answer(result.out, 1) == {"base": 4}
    assert "peers      none heard yet" in result.out
    assert "in the open dataset" in result.err


def test_starting_again_with_the_same_flags_writes_nothing(empty: Device) -> None:
    flags = ["--name", "base", "--data", "base.db", "--note", "R-100", "n", *SEED_FLAGS]
    one = run(empty, *flags, stdin="front\n")

    other = run(empty, *flags, stdin="front\n")

    assert answer(one.out) == answer(other.out) == {"base": 4}
    assert other.err == ""


def test_without_a_store_the_flags_run_in_memory(empty: Device) -> None:
    result = run(empty, "--name", "base", *SEED_FLAGS, stdin="front\n")

    assert answer(result.out) == {"base": 3}
    assert not empty.data.parent.exists()


def test_the_end_of_input_is_quit(base: Device) -> None:
    assert run(base, stdin="").code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("service", [True, False])
def test_a_signal_ends_a_node_cleanly(base: Device, number: int, service: bool) -> None:
    words = base.command("run", "--no-radio", *(["-s"] if service else []))
    node = subprocess.Popen(
        words, env=base.env, cwd=base.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert node.stdout is not None
    node.stdout.readline()
    if not service:
        assert node.stdout.readline().startswith(b"commands:")
        assert node.stdout.read(2) == b"> "

    node.send_signal(number)

    _, err = node.communicate(timeout=20)
    assert node.returncode == 0, err
    assert b"Traceback" not in err
    assert not sockets(base)


def sockets(device: Device) -> list[Path]:
    folder = device.home / f"meshlog-{os.geteuid()}"
    return [path for path in folder.iterdir() if path.is_socket()]


def test_a_service_needs_no_input(base: Device) -> None:
    with base.node() as node:
        assert node.poll() is None


def test_every_command_works_beside_a_node(base: Device) -> None:
    (base.home / "s.csv").write_text("code,depth\nA,1\nB,2\n")
    with base.node():
        base.ok("set", "W-1", "depth_m", "31")
        base.ok("put", "W-2", "--form", "well", "depth_m=9")
        base.ok("note", "W-2", "new")
        base.ok("delete", "W-2")
        base.ok("import", "s.csv", "--form", "well", "--id", "code")
        again = base.ok("import", "s.csv", "--form", "well", "--id", "code")
        invite = json.loads(base.ok("invite", "--json"))["invite"]
        seen = json.loads(base.ok("view", "--json"))
        status = json.loads(base.ok("status", "--json"))
        for words in ("history W-1", "log", "conflicts", "export", "fsck", "status"):
            base.ok(*words.split())

    assert "0 new" in again
    assert seen["W-1"]["fields"]["depth_m"] == 31
    assert set(seen) == {"W-1", "A", "B"}
    assert status["running"] is True
    base.ok("join", invite, "--data", "team.db")
    assert json.loads(base.ok("view", "--json")) == seen
    assert "none is running" in base.ok("status")


def test_what_was_acknowledged_survives_the_death_of_the_node(base: Device) -> None:
    with base.node() as node:
        base.ok("set", "W-1", "depth_m", "31")
        node.send_signal(signal.SIGKILL)
        node.wait()

        base.ok("set", "W-1", "works", "false")

    fields = json.loads(base.ok("view", "--json"))["W-1"]["fields"]
    assert fields == {"depth_m": 31, "works": False}
    base.ok("fsck")


def test_writers_that_start_at_once_all_succeed(base: Device) -> None:
    """Some find the store free, some busy, some a node that is just starting or stopping."""
    before = events(base)
    results: list[Result] = []

    def write(number: int) -> None:
        results.extend(base("set", f"R-{number}", part, str(number)) for part in ("a", "b"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    with base.node():
        pass
    for thread in threads:
        thread.join()

    assert {result.code for result in results} == {0}, results
    assert events(base) == before + 8


def test_a_second_node_is_told_who_has_the_store(base: Device) -> None:
    with base.node() as node:
        result = run(base)

    assert result.code == 2
    assert f"process {node.pid}" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_refusal_comes_back_from_the_node(base: Device) -> None:
    with base.node():
        result = base("set", "W-1", "a", "x" * 70_000)

    assert result.code == 2
    assert "65536" in result.err


def test_another_name_is_left_aside_and_said(base: Device) -> None:
    result = run(base, "--name", "other", stdin="quit\n")

    assert result.code == 0
    assert "'base'" in result.out
    assert "--name is left aside" in result.err
