"""Environments under ``build/peer`` that hold the predecessor, made once and pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PINS = {
    "0.1.0": ("meshlogd==0.1.0", "rns==1.5.7"),
    "0.5.0": ("meshlogd==0.5.0", "rns==1.5.7"),
}
"""What is installed for each version: `bench.attacks` reaches both over Reticulum."""

PLOT_PINS = ("matplotlib==3.10.0",)
"""What draws the curves: in an environment of its own, because nothing else needs it."""

ROOT = Path(__file__).resolve().parents[2]


def interpreter(version: str) -> Path:
    """Return the interpreter of a version's environment, which is made where it is missing.

    Raises:
        subprocess.CalledProcessError: It could not be installed (no network?).
    """
    return _made(ROOT / "build" / "peer" / version, PINS[version])


def plotter() -> Path:
    """Return the interpreter of an environment that draws; see ``interpreter``."""
    return _made(ROOT / "build" / "plot", PLOT_PINS)


def _made(folder: Path, wanted: tuple[str, ...]) -> Path:
    python, stamp = folder / "bin" / "python", folder / ".installed"
    pins = "\n".join(wanted)
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == pins):
        sys.stderr.write(f"bench: installing {', '.join(wanted)} in {folder}\n")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, *wanted], check=True, stdout=sys.stderr)
        stamp.write_text(pins, encoding="utf-8")
    return python


def main() -> None:
    """Make them all."""
    for version in PINS:
        interpreter(version)


if __name__ == "__main__":
    main()
