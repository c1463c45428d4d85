"""The command as people run it: one process per call, and one per node."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60


@dataclass(frozen=True)
class Result:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str


class Device:
    """A device of its own: a home, a store in it, nobody's environment."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.data = home / ".meshlog" / "meshlog.db"
        self.env = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONUTF8": "1",
            "TMPDIR": str(home),
            "TZ": "UTC",
        }

    def command(self, *words: str | Path) -> list[str]:
        return [sys.executable, "-m", "meshlog", *map(str, words)]

    def __call__(self, *words: str | Path, stdin: str | bytes = b"") -> Result:
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            self.command(*words),
            env=self.env,
            cwd=self.home,
            input=raw,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str | Path, stdin: str | bytes = b"") -> str:
        """Call, expect success, and return what was printed."""
        result = self(*words, stdin=stdin)
        assert result.code == 0, result
        return result.out

    @contextmanager
    def node(self, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a service without a radio until the block ends."""
        node = subprocess.Popen(
            self.command("run", "--service", "--no-radio", *words),
            env=self.env,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            assert node.stdout is not None
            line = node.stdout.readline()
            assert b"running" in line, (line, node.communicate(timeout=5))
            yield node
        finally:
            if node.poll() is None:
                node.terminate()
            node.communicate(timeout=20)


def wait_for(condition: object, timeout_s: float = 20) -> None:
    """Wait until ``condition()`` holds."""
    assert callable(condition)
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "in time"
        time.sleep(0.05)
