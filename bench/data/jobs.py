"""Runs one job of one side in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bench.air.environments import ROOT, interpreter

Told: TypeAlias = dict[str, Any]

OLD = Path(__file__).with_name("old.py")


def ours(**job: object) -> Told:
    """Do a job of ``ours.py``."""
    return _run([sys.executable, "-m", "bench.data.ours", json.dumps(job)])


def old(version: str, **job: object) -> Told:
    """Do a job of ``old.py`` under a version of the predecessor."""
    return _run([str(interpreter(version)), "-I", str(OLD), json.dumps(job)])


def cpu_s(times: int, side: Any, *args: Any, **job: Any) -> float:
    """Return the median CPU time of a job done several times."""
    return middle([side(*args, **job) for _ in range(times)], "cpu_s")


def in_turns(times: int, *jobs: Callable[[], Told]) -> list[list[Told]]:
    """Return what each job told, each time; one after the other, so that noise meets all alike."""
    return [
        list(told) for told in zip(*([job() for job in jobs] for _ in range(times)), strict=True)
    ]


def middle(told: Sequence[Told], of: str) -> float:
    """Return the median of one number."""
    return float(statistics.median(one[of] for one in told))


def _run(command: list[str]) -> Told:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[-1]}: {done.stderr.strip().splitlines()[-1:]}")
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told
