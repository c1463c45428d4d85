"""Whole programs in the predecessor's style, run in a process of their own, unchanged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"


def run(name: str, *words: str) -> list[str]:
    """Run a program and return what it printed, line by line."""
    command = [sys.executable, "-W", "error", str(PROGRAMS / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_base_camp_and_four_teams():
    *stages, last = run("base_camp.py")

    assert len(stages) == 6
    view = json.loads(last)
    assert list(view) == ["R-100", "R-200", "R-300"]
    assert view["R-100"]["fields"] == {"status": "CLOSED-BY-C"}
    assert [write["value"] for write in view["R-100"]["conflicts"]["status"]] == ["CLOSED-BY-A"]


def test_random_trials():
    """Fewer than the program's own 200, for time; test_seed_surface has as many again."""
    assert run("random_trials.py", "40") == ["40 trials agree"]
