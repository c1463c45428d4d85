"""Real nodes for the system tests: ``meshlog run --service`` in processes of their own."""

from __future__ import annotations

import contextlib
import copy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random, SystemRandom
from typing import Any

from meshlog.core.grant import Invite, Role
from meshlog.core.identity import Identity
from meshlog.daemon.address import control_paths
from meshlog.daemon.client import connect
from meshlog.errors import MeshlogError
from meshlog.node import Node
from meshlog.replica import found, join
from meshlog.store import SqliteStore, save_identity
from meshlog.transport.relay import Relay, Side, header
from tests.support.rns_config import Udp, write_config
from tests.transport.driver import Process, Rnsd

Item = tuple[str, Mapping[str, Any]]


def end(relay: Relay, side: Side) -> Udp:
    """Return the interface at one end of a relay."""
    ports = relay.ends
    if side == "a":
        return Udp("air_a", ports.a_listens, ports.a_sends)
    return Udp("air_b", ports.b_listens, ports.b_sends)


def items(count: int, form: str = "well", first: int = 0, text_size: int = 64) -> list[Item]:
    """Return events that each make a record, with a text that compresses to half at best."""
    return [
        (
            "record.put",
            {
                "record_id": f"{form}-{number}",
                "form": form,
                "fields": {
                    "number": number,
                    "text": Random(number).randbytes(text_size // 2).hex(),
                },
            },
        )
        for number in range(first, first + count)
    ]


class Home:
    """A device at rest: a store with a seat in it, an identity, a Reticulum configuration."""

    def __init__(self, folder: Path, name: str, invite: Invite | None = None) -> None:
        """Found a dataset, or join one."""
        folder.mkdir(parents=True)
        self.name = name
        self.folder = folder
        self.path = folder / "store.db"
        self.identity = Identity(SystemRandom().randbytes(64))
        save_identity(f"{self.path}.identity", self.identity.private)
        store = SqliteStore(self.path)
        try:
            if invite is None:
                now_ms = time.time_ns() // 1_000_000
                found(store, self.identity, name, "Test", now_ms, SystemRandom())
            else:
                join(store, self.identity, name, invite)
            Node.over(store, self.identity).close()
        finally:
            store.close()

    @contextmanager
    def open(self) -> Iterator[Node]:
        """Have the store for ourselves, without a radio."""
        store = SqliteStore(self.path)
        node = Node.over(store, self.identity)
        try:
            yield node
        finally:
            node.close()
            store.close()

    def copied(self, name: str) -> Home:
        """Copy a device at rest, file by file, as people copy a folder or restore a backup."""
        other = copy.copy(self)
        other.folder = self.folder.with_name(name)
        other.path = other.folder / self.path.name
        shutil.copytree(self.folder, other.folder)
        return other

    def invite(self) -> Invite:
        with self.open() as node:
            return node.replica.invite(Role.WRITER)

    def events(self) -> set[str]:
        """Return the ids of all events on the disk, as another process reads them."""
        store = SqliteStore(self.path, read_only=True)
        try:
            return {arrival.event.id.hex() for arrival in store.scan()}
        finally:
            store.close()

    def view(self) -> bytes:
        """Return what ``meshlog view --json`` prints."""
        return meshlog("view", "--json", "--data", str(self.path))


class Running(Process):
    """``meshlog run --service`` on a home, over Reticulum."""

    def __init__(self, home: Home, configdir: Path, *options: str) -> None:
        self.home = home
        self.configdir = configdir
        words = [
            "-m",
            "meshlog",
            "run",
            "--service",
            "--data",
            str(home.path),
            "--configdir",
            str(configdir),
        ]
        intervals = ["--gossip-interval", "1", "--announce-interval", "1"]
        super().__init__([*words, *intervals, *options], home.folder / "node.log")

    def status(self) -> dict[str, Any]:
        """Return its status; empty while it starts."""
        assert self.process.poll() is None, f"{self.home.name} ended: {self.log()}"
        client = connect(self.home.path)
        if client is None:
            return {}
        with client:
            return client.status()

    def emit(self, written: Sequence[Item]) -> list[str]:
        """Write events through the control socket; return the ids of what is durable."""
        client = connect(self.home.path)
        assert client is not None, f"{self.home.name} does not listen: {self.log()}"
        with client:
            return [event_id for event_id, _ in client.emit(written)]

    def stop(self) -> int:
        """End it in order; return its exit code."""
        self.process.terminate()
        return self.process.wait(15)

    def close(self) -> None:
        super().close()
        for path in control_paths(self.home.path):  # a killed node leaves its socket
            with contextlib.suppress(OSError):
                path.unlink()

    def log(self) -> str:
        return (self.home.folder / "node.log").read_text(errors="replace")[-2000:]


class Field:
    """The homes, nodes, daemons and relays of one test, all closed at its end."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self._stack = stack

    def homes(self, *names: str) -> list[Home]:
        """The first founds a dataset, the others join it."""
        first = Home(self.directory / names[0], names[0])
        joined = [Home(self.directory / name, name, first.invite()) for name in names[1:]]
        return [first, *joined]

    def relay(self, **how: Any) -> Relay:
        return self._stack.enter_context(Relay(**how))

    def config(self, name: str, *ends: Udp, transport: bool = False, share: bool = False) -> Path:
        return write_config(self.directory / f"rns-{name}", ends, transport=transport, share=share)

    def run(self, home: Home, *ends: Udp, configdir: Path | None = None) -> Running:
        configdir = configdir or self.config(home.name, *ends)
        return self._stack.enter_context(Running(home, configdir))

    def rnsd(self, config: Path) -> Rnsd:
        return self._stack.enter_context(Rnsd(config))

    def pair(self, relay: Relay, ann: Home, bob: Home) -> tuple[Running, Running]:
        """Two nodes at the two ends of ``relay``."""
        return self.run(ann, end(relay, "a")), self.run(bob, end(relay, "b"))


def wait_alike(*nodes: Running, timeout_s: float = 45) -> float:
    """Wait until all nodes hold the same, by their own words; return how long it took."""
    started_s = time.monotonic()

    def alike() -> bool:
        roots = [node.status().get("root") for node in nodes]
        return None not in roots and len(set(roots)) == 1

    def told() -> str:
        lines = [f"{node.home.name}: {try_status(node)}\n{node.log()}" for node in nodes]
        return "\n".join(lines)

    wait_until(alike, timeout_s, told)
    return time.monotonic() - started_s


def wait_until(
    condition: Callable[[], bool], timeout_s: float, told: Callable[[], str] = lambda: ""
) -> None:
    """Wait for a condition; AssertionError with what ``told`` returns where it does not come."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {timeout_s} s\n{told()}"
        time.sleep(0.1)


def meshlog(*words: str) -> bytes:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "meshlog", *words], check=False, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class LosesFirst:
    """A relay's ``drop`` that loses the first packet of one context."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.lost: list[bytes] = []

    def __call__(self, _side: Side, packet: bytes) -> bool:
        head = header(packet)
        if head is None or head.context != self.context or self.lost:
            return False
        self.lost.append(packet)
        return True


class Recorder:
    """A relay's ``drop`` that loses nothing and keeps every packet."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, Side, bytes]] = []

    def __call__(self, side: Side, packet: bytes) -> bool:
        self.packets.append((time.monotonic(), side, packet))
        return False

    def bytes_since(self, since_s: float, without: Iterable[int] = ()) -> int:
        """Return the bytes that came in since a monotonic time, those of some contexts left out."""
        return sum(len(packet) for _, _, packet in self._since(since_s, without))

    def told_since(self, since_s: float, without: Iterable[int] = ()) -> str:
        """Return the same packet by packet: when it came, from which end, its bytes and header."""
        return "\n".join(
            f"{at_s - since_s:.2f} s {side} {len(packet)} B {header(packet)}"
            for at_s, side, packet in self._since(since_s, without)
        )

    def _since(self, since_s: float, without: Iterable[int]) -> Iterator[tuple[float, Side, bytes]]:
        ignored = set(without)
        for at_s, side, packet in self.packets:
            head = header(packet)
            if at_s >= since_s and (head is None or head.context not in ignored):
                yield at_s, side, packet


def try_status(node: Running) -> dict[str, Any]:
    """Return a status, or nothing where the node is between two lives."""
    with contextlib.suppress(MeshlogError, AssertionError):
        return node.status()
    return {}
