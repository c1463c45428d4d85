"""Measure every row for ours and for the predecessor in one run; print one table.

python -m bench.data                     all of it, up to a million events: about an hour
python -m bench.data --quick             about two minutes
python -m bench.data --only ingest,emit  some rows
python -m bench.data --up-to 100000      no store larger than that
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench.air.environments import ROOT, plotter
from bench.data.rows import PLAIN, QUICK, WHOLE, Cell, Grown, against_size, exponent, grow

PICTURE = ROOT / "docs" / "images" / "cost-against-size.svg"
GROWING = "size"


def main() -> None:
    """Run as the words say."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.data",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, once each")
    parser.add_argument("--only", default="", help=f"some of {', '.join([*PLAIN, GROWING])}")
    parser.add_argument("--up-to", type=int, default=10**6, help="the largest store, in events")
    parser.add_argument("--rows", type=Path, help="CSV file of a survey, for the row of its name")
    words = parser.parse_args()
    scale = QUICK if words.quick else WHOLE
    scale = replace(scale, sizes=tuple(size for size in scale.sizes if size <= words.up_to))
    scale = replace(scale, rows=words.rows)
    wanted = words.only.split(",") if words.only else [*PLAIN, GROWING]
    said: list[Cell] = []
    started = time.monotonic()
    sys.stdout.write("| what | bar | ours | the predecessor | ratio |\n|---|---|---|---|---|\n")
    for key in PLAIN:
        if key in wanted:
            for cell in PLAIN[key](scale):
                _say(cell, said)
    if GROWING in wanted:
        with tempfile.TemporaryDirectory() as folder:
            grown = grow(scale, Path(folder))
        for cell in against_size(grown):
            _say(cell, said)
        if not words.quick:
            _draw(grown)
    _save("bench-data-rows.json", [cell._asdict() for cell in said])
    sys.stderr.write(f"bench: {time.monotonic() - started:.0f} s in all\n")


def _say(cell: Cell, said: list[Cell]) -> None:
    said.append(cell)
    sys.stdout.write(f"| {cell.what} | {cell.bar} | {cell.mine} | {cell.peer} | {cell.ratio} |\n")
    sys.stdout.flush()


def _draw(grown: list[Grown]) -> None:
    sizes = [one.events for one in grown]
    lines = []
    for name, is_ours, costs in (
        ("read one record after one event", True, [g.mine["look"]["cpu_s"] for g in grown]),
        ("the predecessor's view()", False, [g.peer["look"]["cpu_s"] for g in grown]),
        ("open", True, [g.mine["open"]["cpu_s"] for g in grown]),
        ("the predecessor's opening", False, [g.peer["open"]["cpu_s"] for g in grown]),
    ):
        ms = [cost * 1e3 for cost in costs]
        fitted = exponent(sizes, costs)
        lines.append({"name": name, "ours": is_ours, "sizes": sizes, "ms": ms, "exponent": fitted})
    told = _save("bench-data.json", {"lines": lines})
    script = str(Path(__file__).with_name("plot.py"))
    subprocess.run([str(plotter()), script, str(told), str(PICTURE)], check=True)


def _save(name: str, told: object) -> Path:
    path = ROOT / "build" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
