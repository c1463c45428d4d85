"""`python -m fuzz [--seconds N] [TARGET…]`: every target for a while, and the weight of its corpus.

What was found stands in build/fuzz/TARGET-…; `make fuzz` says where. A finding becomes a file in
fuzz/regressions/TARGET with the fix, and runs in `make test` from then on.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from fuzz.target import TooHungryError, weigh
from fuzz.targets import TARGETS

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "fuzz"
REGRESSIONS = ROOT / "fuzz" / "regressions"

RSS_MB_MAX = 1_024
INPUT_TIMEOUT_S = 10


def main() -> int:
    """Fuzz what is named, or everything; return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "")[:300])
    parser.add_argument("--seconds", type=int, default=60, help="per target (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of libFuzzer; 0 takes a new one")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    told = parser.parse_args()
    unknown = ", ".join(sorted(set(told.targets) - set(TARGETS)))
    if unknown:
        parser.error(f"no such target: {unknown}; there are {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: no atheris for this system (Linux x86_64, Python 3.11 to 3.13): skipped")
        return 0
    names = told.targets or list(TARGETS)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        sound = pool.map(partial(_fuzz, seconds=told.seconds, seed=told.seed), names)
        bad = [name for name, good in zip(names, sound, strict=True) if not good]
    print(f"fuzz: {len(names)} targets, {len(bad)} with findings {', '.join(bad)}".rstrip())
    return 1 if bad else 0


def _fuzz(name: str, seconds: int, seed: int) -> bool:
    """Fuzz one target, weigh its corpus, say how it went; in a process of its own."""
    target = TARGETS[name]
    corpus = WORK / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / f"seed-{number:04}").write_bytes(data)
    found = [str(folder) for folder in [REGRESSIONS / target.name] if folder.is_dir()]
    command = [
        sys.executable, "-m", "fuzz.run", target.name, str(corpus), *found,
        f"-max_total_time={seconds}", f"-max_len={target.size_max}", f"-rss_limit_mb={RSS_MB_MAX}",
        f"-timeout={INPUT_TIMEOUT_S}", f"-artifact_prefix={WORK}/{target.name}-",
        f"-seed={seed}", "-print_final_stats=1", "-verbosity=0",
    ]  # fmt: skip
    began_s = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.monotonic() - began_s
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    try:
        weights = [weigh(target, path.read_bytes()) for path in sorted(corpus.iterdir())]
    except TooHungryError as error:
        print(f"FOUND SOMETHING: {error}", flush=True)
        return False
    print(
        f"{target.name:10} {runs[1] if runs else '?':>9} inputs in {took_s:4.0f} s,"
        f" corpus {len(weights):5}, at most {max(weights) / 1024:7.0f} KiB of memory"
        f" {'ok' if done.returncode == 0 else 'FOUND SOMETHING'}",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-4_000:] + done.stderr[-4_000:])
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
