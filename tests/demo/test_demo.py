"""The demo itself, as ``make demo`` runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import meshlog

pytest.importorskip("RNS")

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(120)]

ROWS = "code,status\n" + "".join(f"W-{n},functional\n" for n in range(12)) + "W-99,a,b\n"
"""Twelve good rows and one with a cell too many."""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder that the demo takes for ``/tmp``; short, for the sockets in it."""
    folder = tmp_path / "t"
    folder.mkdir()
    return folder


def start(temporary: Path, *words: str) -> subprocess.Popen[str]:
    sources = str(Path(meshlog.__file__).parents[1])
    kept = {key: value for key, value in os.environ.items() if key != "DEMO_ROWS"}
    return subprocess.Popen(
        [sys.executable, "-m", "meshlog", "demo", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**kept, "PYTHONPATH": sources, "TMPDIR": str(temporary)},
    )


def test_three_devices_that_never_all_meet_end_with_the_same_data(
    temporary: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "wells.csv"
    rows.write_text(ROWS, "utf-8")

    with start(temporary, "--rows", str(rows)) as demo:
        said, _ = demo.communicate(timeout=100)

    assert demo.returncode == 0, said
    assert "The three views are the same, byte for byte" in said
    assert "13 records" in said
    assert "1 rows of the file could not be used" in said
    assert "winner" in said
    assert "loser" in said
    assert not list(temporary.glob("meshlog-demo-*")), "no leftovers"


def test_a_demo_that_is_stopped_ends_its_nodes_and_leaves_nothing(temporary: Path) -> None:
    with start(temporary) as demo:
        until_s = time.monotonic() + 30
        while not (logs := list(temporary.glob("meshlog-demo-*/*/node.log"))):
            assert time.monotonic() < until_s, "no node was started"
            time.sleep(0.1)
        home = str(logs[0].parents[1])

        demo.send_signal(signal.SIGTERM)
        said, _ = demo.communicate(timeout=40)

    assert demo.returncode not in (0, -signal.SIGTERM), said
    assert "Traceback" not in said
    assert not list(temporary.glob("meshlog-demo-*"))
    assert not [one for one in command_lines() if home in one]


def command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def test_rows_that_cannot_be_used_are_refused_in_one_line(temporary: Path) -> None:
    with start(temporary, "--rows", str(temporary / "missing.csv")) as demo:
        said, _ = demo.communicate(timeout=30)

    assert demo.returncode == 2
    assert said.count("\n") == 1
    assert "missing.csv" in said
