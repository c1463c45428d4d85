"""`python -m bench.attacks [ATTACK…]`: every attack on every victim, and the table."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench.air.environments import interpreter
from bench.attacks.wires import wire

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

ATTACKS = (
    "forged author",
    "squatted slot",
    "frontier request",
    "20,000 made-up authors",
    "2,000 made-up neighbours",
    "one packet, wrong type",
    "seq-gap flood, 31 MB",
    "a Resource that inflates",
    "far-future stamps",
    "small-order key",
    "malformed of every kind",
)


class Victim(NamedTuple):
    """A column of the table."""

    name: str
    version: str
    """Empty for ours."""
    role: str


VICTIMS = (
    Victim("ours, a stranger", "", "stranger"),
    Victim("ours, the key leaked", "", "key"),
    Victim("ours, a member turned", "", "member"),
    Victim("0.1.0", "0.1.0", "old"),
    Victim("0.5.0", "0.5.0", "old"),
)


def main() -> None:
    """Run what is named, or everything."""
    attacks = sys.argv[1:] or ATTACKS
    print("| attack | " + " | ".join(victim.name for victim in VICTIMS) + " |")
    print("|---|" + "---|" * len(VICTIMS), flush=True)
    for attack in attacks:
        cells = []
        for victim in VICTIMS:
            sys.stderr.write(f"{attack} → {victim.name}\n")
            cells.append(_cell(attack, victim))
        print(f"| {attack} | " + " | ".join(cells) + " |", flush=True)


def _cell(attack: str, victim: Victim) -> str:
    with tempfile.TemporaryDirectory(prefix="meshlog-attack-") as scratch:
        folder = Path(scratch)
        ours, theirs = wire(folder)
        python = str(interpreter(victim.version)) if victim.version else sys.executable
        script = HERE / ("old.py" if victim.version else "ours.py")
        with (folder / "victim.log").open("w") as log:
            process = subprocess.Popen(
                [python, str(script), str(folder), str(ours)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            )  # fmt: skip
            try:
                return _attack(attack, victim, process, theirs)
            except (AssertionError, ValueError) as error:
                log.flush()
                sys.stderr.write((folder / "victim.log").read_text()[-3_000:])
                return f"? {error}"
            finally:
                process.kill()
                process.wait()


def _attack(attack: str, victim: Victim, process: subprocess.Popen[str], config: Path) -> str:
    assert process.stdin, "made with pipes"
    hello = _line(process)
    before = _ask(process, "look")
    _ask(process, "begin")
    told = {"config": str(config), "attack": attack, "role": victim.role, **hello}
    done = subprocess.run(
        [sys.executable, "-m", "bench.attacks.attacker"],
        input=json.dumps(told) + "\n", capture_output=True, text=True, check=False, cwd=ROOT,
        timeout=600,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, f"the attacker failed: {done.stderr[-1500:]}"
    came = json.loads(lines[-1])
    after = _ask(process, "look")
    process.stdin.close()
    reopens = json.loads(process.stdout.readline() or "{}") if process.stdout else {}
    sys.stderr.write(f"   {came} {after} {reopens}\n")
    return _told(before, after, came, reopens=bool(reopens.get("reopens")))


def _told(
    before: dict[str, Any], after: dict[str, Any], came: dict[str, Any], *, reopens: bool
) -> str:
    """Say in few words what changed."""
    said = []
    stored = after["events"] - before["events"]
    said.append(f"{stored} stored" if stored else "nothing stored")
    if came["answered_bytes"]:
        said.append(f"{came['answered_bytes']:,} B answered")
    if after["ahead_s"] > 60:  # noqa: PLR2004 - a minute of skew is none
        said.append(f"clock {after['ahead_s'] // 31_557_600:,} years ahead")
    if after["ahead_s"] < 0:
        said.append("clock no number any more")
    if after["raised"]:
        said.append(f"{after['raised']} exceptions")
    if not after["view"]:
        said.append("view broken")
    if after.get("serves") is False:
        said.append("cannot sync any more")
    if not reopens:
        said.append("will not open again")
    if after["grown"] > 2**20:
        said.append(f"+{after['grown'] / 2**20:.1f} MiB")
    return ", ".join(said)


def _ask(process: subprocess.Popen[str], do: str) -> dict[str, Any]:
    assert process.stdin, "made with pipes"
    process.stdin.write(json.dumps({"do": do}) + "\n")
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout, "made with pipes"
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, Any] = json.loads(line)
            return found
    raise ValueError("the victim ended")


if __name__ == "__main__":
    main()
