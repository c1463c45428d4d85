# ruff: noqa: INP001 - run by path, imported by nobody
"""Run ``meshlog demo`` several times and print the medians, as docs/benchmarks.md has them.

python bench/demo.py                      the survey that the package carries
python bench/demo.py --rows survey.csv    any other
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Run as the words say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    words = parser.parse_args()
    results = [run_once(words.rows) for _ in range(words.runs)]
    sys.stdout.write(f"{table(results)}\n")


def run_once(rows: Path | None) -> dict[str, Any]:
    """Run the demo in a temporary folder of its own and return its numbers."""
    folder = Path(tempfile.mkdtemp(prefix="meshlog-bench-"))
    chosen = ["--rows", str(rows)] if rows else []
    kept = {key: value for key, value in os.environ.items() if key != "DEMO_ROWS"}
    try:
        subprocess.run(
            [sys.executable, "-m", "meshlog", "demo", "--keep", *chosen],
            check=True,
            stdout=sys.stderr,
            env={**kept, "TMPDIR": str(folder)},
        )
        [result] = folder.glob("meshlog-demo-*/result.json")
        numbers: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return numbers
    finally:
        shutil.rmtree(folder)


def table(results: list[dict[str, Any]]) -> str:
    """Return medians, with least and most behind them, as lines of Markdown."""
    first = results[0]
    lines = [
        f"{first['rows']:,} rows, {first['events']:,} events, {len(results)} runs",
        "",
        "| what | median | least – most |",
        "|---|---|---|",
    ]

    def add(what: str, unit: str, value: Callable[[dict[str, Any]], float]) -> None:
        values = [value(result) for result in results]
        middle, least, most = statistics.median(values), min(values), max(values)
        digits = 1 if unit == "s" else 0
        lines.append(
            f"| {what} | {middle:,.{digits}f} {unit} | {least:,.{digits}f} – {most:,.{digits}f} |"
        )

    add("all of it", "s", lambda result: float(result["took_s"]))
    for stage in first["stage_s"]:
        add(stage, "s", lambda result, stage=stage: float(result["stage_s"][stage]))  # type: ignore[misc]
    for team in first["air_bytes"][-1]:

        def on_air(result: dict[str, Any], team: str = team) -> float:
            return float(sum(result["air_bytes"][-1][team].values()))

        add(f"link base – {team}", "B", on_air)
        add("… per event", "B", lambda result, air=on_air: air(result) / result["events"])  # type: ignore[misc]
    for name in first["store_bytes"]:
        add(f"store of {name}", "kB", lambda result, name=name: result["store_bytes"][name] / 1000)  # type: ignore[misc]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
