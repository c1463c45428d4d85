"""Start and drive real Reticulum processes: `LinkNode` (node_process.py) and `rnsd`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Self

import meshlog.transport

HERE = Path(__file__).parent
SOURCES = str(Path(meshlog.transport.__file__).parents[2])

Record = dict[str, Any]


def private_key(seed: int) -> bytes:
    """Return a Reticulum private key: two raw keys of 32 bytes."""
    return Random(seed).randbytes(64)


class Process:
    """A child process in its own group, ended with the test whatever happens."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._log = log.open("ab")
        paths = [SOURCES, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            text=True,
            start_new_session=True,
        )

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LinkNode(Process):
    """One `ReticulumLinks` in a process of its own, with everything it said."""

    def __init__(
        self, configdir: Path, seed: int, *options: str, interval_s: float | None = 1.5
    ) -> None:
        """Start it and wait until it runs.

        Args:
            configdir: Written by `write_config`.
            seed: Of its identity; the same seed is the same peer.
            options: More arguments for node_process.py.
            interval_s: Between announces while alone; None for the default.
        """
        self.configdir = configdir
        arguments = [str(HERE / "node_process.py"), str(configdir), private_key(seed).hex()]
        if interval_s is not None:
            arguments += ["--interval", str(interval_s)]
        super().__init__([*arguments, *options], configdir / "stderr.log")
        self.said: list[Record] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._exchange = 0
        self.peer: str = self.wait("Started")["peer"]

    def send(self, do: str, **what: Any) -> None:
        """Give a command; see node_process.py."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self.process.stdin.flush()

    def ask(self, peer: str, **what: Any) -> int:
        """Ask ``peer`` with ``text=`` or ``size=``; return the exchange's number."""
        self._exchange += 1
        self.send("ask", peer=peer, exchange=self._exchange, **what)
        return self._exchange

    def outcome(self, exchange: int, timeout_s: float = 30) -> Record:
        """Wait for the end of an exchange, good or bad."""
        return self.wait(
            "Answered",
            "AskFailed",
            timeout_s=timeout_s,
            where=lambda one: one["exchange"] == exchange,
        )

    def answered(self, peer: str, timeout_s: float = 30, **what: Any) -> Record:
        """Ask and return the ``Answered``; an `AskFailed` fails the test."""
        outcome = self.outcome(self.ask(peer, **what), timeout_s)
        assert outcome["event"] == "Answered", outcome
        return outcome

    def stats(self) -> Record:
        """Return its counters now."""
        since = len(self.said)
        self.send("stats")
        return self.wait("Stats", since=since)

    def wait(
        self,
        *kinds: str,
        timeout_s: float = 15,
        since: int = 0,
        where: Callable[[Record], bool] = lambda _: True,
    ) -> Record:
        """Return the first thing it said of these kinds, from ``said[since]`` on."""
        until_s = time.monotonic() + timeout_s
        with self._news:
            while True:
                for one in self.said[since:]:
                    if one["event"] in kinds and where(one):
                        return one
                left_s = until_s - time.monotonic()
                if left_s <= 0 or not self._news.wait(left_s):
                    told = "\n".join(map(str, self.said[-20:]))
                    raise AssertionError(f"no {kinds} in {timeout_s} s; it said:\n{told}")

    def all(self, kind: str) -> list[Record]:
        """Return everything of one kind that it said so far."""
        with self._news:
            return [one for one in self.said if one["event"] == kind]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):  # closed in mid-read
            for line in self.process.stdout:
                if line.startswith("{"):
                    with self._news:
                        self.said.append(json.loads(line))
                        self._news.notify_all()


class Rnsd(Process):
    """Reticulum's own daemon: a transport node, or a shared instance."""

    def __init__(self, configdir: Path, settle_s: float = 1.5) -> None:
        code = "from RNS.Utilities.rnsd import main; main()"
        super().__init__(["-c", code, "--config", str(configdir)], configdir / "stderr.log")
        time.sleep(settle_s)
        assert self.process.poll() is None, "rnsd did not start"
