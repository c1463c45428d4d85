"""Measure every row for ours and for both versions of the predecessor; print one table.

python -m bench.air            all of it
python -m bench.air --quick    one seed, shorter slices: about a minute
python -m bench.air --only edits,survey
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from bench.air.environments import PINS
from bench.air.inputs import survey_path
from bench.air.ours import Ours, ours
from bench.air.rows import DASH, Row, rows


def main() -> None:
    """Run as the words say."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.air",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one seed, shorter slices")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--only", default="", help="rows whose key begins so, comma-separated")
    words = parser.parse_args()
    chosen = [
        row for row in rows(quick=words.quick) if row.key.startswith(tuple(words.only.split(",")))
    ]
    measures = ours(quick=words.quick)
    started = time.monotonic()
    sys.stdout.write(f"Survey: {survey_path().name}. Seeds from {words.seed}.\n\n")
    sys.stdout.write(f"| what | bar | ours | {' | '.join(PINS)} | information minimum |\n")
    sys.stdout.write(f"|---|---|---|{'---|' * len(PINS)}---|\n")
    for number, row in enumerate(chosen, 1):
        note = f"{number}/{len(chosen)} {row.key}"
        seeds = range(words.seed, words.seed + (1 if words.quick else row.seed_count))
        sys.stdout.write(f"{line(row, measures.get(row.key), seeds, note)}\n")
        sys.stdout.flush()
    sys.stderr.write(f"bench-air: {time.monotonic() - started:.0f} s in all\n")


def line(row: Row, own: Ours | None, seeds: range, note: str) -> str:
    """Measure one row and return it as a line of Markdown."""

    def median(who: str, measure: Callable[[int], float]) -> str:
        values = []
        for seed in seeds:
            started = time.monotonic()
            values.append(measure(seed))
            took_s = time.monotonic() - started
            sys.stderr.write(f"bench-air: {note}: {who}, seed {seed}: {took_s:.1f} s\n")
        return number(statistics.median(values), row.unit)

    mine = median("ours", own) if own is not None else DASH
    theirs = [
        median(version, lambda seed, version=version: row.theirs(version, seed))  # type: ignore[misc]
        for version in PINS
    ]
    least = number(row.least(), row.unit) if row.least else DASH
    return f"| {' | '.join((row.what, row.bar, mine, *theirs, least))} |"


def number(value: float, unit: str) -> str:
    """Return a number with its unit, three digits or all before the point."""
    digits = 0 if value == 0 or abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004
    return f"{value:,.{digits}f} {unit}"


if __name__ == "__main__":
    main()
