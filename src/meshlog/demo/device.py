"""One device of the demo: a folder with store, identity and configuration, and its node."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from meshlog.core.event import DatasetId, EventId
from meshlog.core.feed import FeedKind
from meshlog.daemon.address import control_paths
from meshlog.daemon.client import connect
from meshlog.demo.interrupts import interrupts
from meshlog.demo.reticulum_config import Udp, write_config
from meshlog.errors import MeshlogError
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore
from meshlog.views.live import LiveView

STOP_WAIT_S = 10.0
"""What a node has to shut down before it is killed. A choice; usually it takes 0.3 s."""

GOSSIP_INTERVAL_S = 1
ANNOUNCE_INTERVAL_S = 1
"""Before a failed sync is tried again, and between announces while alone: loopback is no radio
and nobody wants to wait for six hours here."""


class DemoError(MeshlogError):
    """The demo did not do what it shows; the message says what went wrong."""


class Holding(NamedTuple):
    """What a store holds."""

    own: int
    """Data events of this device."""
    others: int
    """Data events of the others."""
    records: int


class Device:
    """A device whose every deed is a ``meshlog`` command in a process of its own."""

    def __init__(self, name: str, home: Path) -> None:
        """Make its folder; nothing runs yet."""
        self.name = name
        self.folder = home / name
        self.folder.mkdir()
        self.store = self.folder / "store.db"
        self._node: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._told = False

    # ── commands ────────────────────────────────────────────────────────────────────

    def begin(self, *words: str, fails: Sequence[int] = ()) -> Command:
        """Start ``meshlog words --data STORE``; ``fails`` are exit codes that are no failure."""
        return Command([*words, "--data", str(self.store)], self.name, fails)

    def do(self, *words: str) -> str:
        """Run ``meshlog words --data STORE`` and return what it printed."""
        return self.begin(*words).end()

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        """Run a command with ``--json`` and return what it said."""
        return json.loads(self.do(*words, "--json"))

    # ── the node ────────────────────────────────────────────────────────────────────

    def start(self, interfaces: Sequence[Udp]) -> None:
        """Start ``meshlog run --service`` over these interfaces."""
        self._told = False
        configdir = write_config(self.folder / "reticulum", interfaces)
        self._log = (self.folder / "node.log").open("wb")
        with interrupts.held():  # a node that nobody knows of would stay behind
            self._node = subprocess.Popen(
                _meshlog(
                    "run",
                    "--service",
                    *("--data", str(self.store)),
                    *("--configdir", str(configdir)),
                    *("--gossip-interval", str(GOSSIP_INTERVAL_S)),
                    *("--announce-interval", str(ANNOUNCE_INTERVAL_S)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we end it in order
            )

    @property
    def pid(self) -> int | None:
        """The node's process id; None while none runs."""
        return self._node.pid if self._node else None

    def status(self) -> dict[str, Any] | None:
        """Return the running node's status; None while it is starting.

        Raises:
            DemoError: It ended.
        """
        if self._node is None or self._node.poll() is not None:
            raise DemoError(f"the node of {self.name} ended: {self.last_words()}")
        client = connect(self.store)
        if client is None:
            return None
        with client:
            return client.status()

    def tell_to_stop(self) -> None:
        """Tell the node to end, once: a second time would cut its shutdown short."""
        if self._node is not None and not self._told:
            self._told = True
            self._node.terminate()

    def stop(self) -> int:
        """End the node as a service manager does; kill it if it does not end. Idempotent.

        Returns:
            Its exit code; 0 where none ran.
        """
        self.tell_to_stop()
        node, self._node = self._node, None
        if node is None:
            return 0
        try:
            code = node.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            node.kill()
            code = node.wait()
        for path in control_paths(self.store):  # a killed node leaves its socket
            with contextlib.suppress(OSError):
                path.unlink()
        if self._log is not None:
            self._log.close()
        return code

    def last_words(self) -> str:
        """Return the last line of the node's log."""
        log = self.folder / "node.log"
        lines = (
            log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
        )
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    # ── the disk ────────────────────────────────────────────────────────────────────

    def holding(self) -> Holding:
        """Return what stands on the disk, as another process sees it."""
        store = SqliteStore(self.store, read_only=True)
        try:
            author = store.get_meta("author")
            ledger = Ledger.load(store, DatasetId(EventId(store.get_meta("dataset") or b"")))
            view = LiveView(store, lambda: ledger.standings(store))
            own = others = 0
            for feed, heads in store.heads().items():
                if feed.kind is FeedKind.DATA:
                    events = sum(head.seq for head in heads)
                    own += events * (feed.author == author)
                    others += events * (feed.author != author)
            return Holding(own, others, sum(row.visible for row in view.rows()))
        finally:
            store.close()

    def size_bytes(self) -> int:
        """Return what the store takes on the disk, its log included."""
        return sum(one.stat().st_size for one in self.folder.glob("store.db*"))


class Command:
    """A ``meshlog`` command in its own process."""

    def __init__(self, words: Sequence[str], who: str, fails: Sequence[int]) -> None:
        """Start it."""
        self._what = f"`meshlog {words[0]}` on {who}"
        self._fails = fails
        self._process = subprocess.Popen(
            _meshlog(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def running(self) -> bool:
        """Say whether it still works. What it prints meanwhile must fit a pipe (64 KiB)."""
        return self._process.poll() is None

    def end(self) -> str:
        """Wait for its end and return what it printed.

        Raises:
            DemoError: It failed.
        """
        return self.bytes().decode()

    def bytes(self) -> bytes:
        """Return what it printed, as bytes. See ``end``."""
        try:
            out, err = self._process.communicate()
        except BaseException:
            self.kill()
            raise
        if self._process.returncode not in (0, *self._fails):
            said = err.decode(errors="replace").strip().split("\n")[-1]
            raise DemoError(f"{self._what} failed ({self._process.returncode}): {said}")
        return out

    def kill(self) -> None:
        """End it at once. Idempotent."""
        if self.running():
            self._process.kill()
            self._process.communicate()


def _meshlog(*words: str) -> list[str]:
    return [sys.executable, "-m", "meshlog", *words]
