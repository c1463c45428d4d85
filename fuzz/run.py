"""One target in one process: `python -m fuzz.run NAME CORPUS… [libFuzzer's options]`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["meshlog"]):
    from fuzz.target import judge
    from fuzz.targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer says that it is enough; a finding ends the process with a traceback."""
    name, *arguments = sys.argv[1:]
    target = TARGETS[name]

    def one(data: bytes) -> None:
        judge(target, data)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
