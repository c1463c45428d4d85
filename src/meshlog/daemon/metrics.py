"""Figures of a running node for Prometheus: few, bounded, and without anybody's data.

docs/operating.md has the list. Labels take fixed words only, save for the interfaces' names.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshlog.errors import InputError, StoreError
from meshlog.node import Node
from meshlog.sync.holdings import Verdict
from meshlog.sync.peers import Contact

if TYPE_CHECKING:
    from prometheus_client.core import Metric

STATUS_FRESH_S = 5.0
"""A status costs a look at every record: scrapes closer together share one."""

INTERFACES_MAX = 32
"""Interfaces that are told apart."""


def check_installed() -> None:
    """Refuse early where the library is missing.

    Raises:
        InputError: It is.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise InputError("metrics need one more package: pip install 'meshlog[metrics]'")


@contextmanager
def served(node: Node, path: Path | None, address: str, port: int) -> Iterator[None]:
    """Serve the figures of ``node`` over HTTP while the block runs.

    Args:
        node: Running.
        path: Its store; None in memory.
        address: Where to listen: loopback, or whoever reaches it reads them.
        port: Of TCP.

    Raises:
        StoreError: The port is taken, or the address is not this machine's.
    """
    from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - an extra

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(node, path))
    try:
        server, thread = start_http_server(port, address, registry)
    except OSError as error:
        raise StoreError(
            f"metrics cannot be served at {address}:{port} ({error.strerror}): choose another port"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


class Figures:
    """A collector of ``prometheus_client``: asks the node when it is scraped."""

    def __init__(self, node: Node, path: Path | None) -> None:
        """Tell the figures of ``node``, whose store is at ``path`` (None in memory)."""
        self._node = node
        self._path = path
        self._guard = threading.Lock()
        self._status: Mapping[str, Any] = {}
        self._asked_s = -STATUS_FRESH_S

    def describe(self) -> list[Metric]:
        """Return nothing: names are fixed, and registering reads no status."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every figure."""
        status = self._fresh()
        yield from self._gauges(status)
        yield from _counters(status)

    def _fresh(self) -> Mapping[str, Any]:
        with self._guard:
            if time.monotonic() - self._asked_s >= STATUS_FRESH_S:
                self._status = self._node.status()
                self._asked_s = time.monotonic()
            return self._status

    def _gauges(self, status: Mapping[str, Any]) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - an extra

        peers = status["peers"]
        with self._node.lock:
            replica = self._node.replica
            forks = sum(len(heads) > 1 for heads in replica.ledger.frontier.values())
            trouble = bool(replica.trouble)
        clock = status["clock"]
        plain = {
            "events": ("Events held.", status["events"]),
            "records": ("Records shown.", status["records"]),
            "conflicts": ("Fields in conflict.", status["conflicts"]),
            "held_records": (
                "Records with events that wait for their time.",
                status["held_records"],
            ),
            "members": ("Members of the dataset.", status["members"]),
            "forked_feeds": ("Feeds with several branches.", forks),
            "we_lack_events": (
                "Events that some peer holds and this node lacks.",
                max((peer["we_lack_events"] for peer in peers), default=0),
            ),
            "they_lack_events": (
                "Events that some peer lacks.",
                max((peer["lacks_events"] for peer in peers), default=0),
            ),
            "disk_trouble": ("Whether the disk refused the last write.", trouble),
            "clock_doubtful": (
                "Whether this device's clock cannot be right.",
                bool(clock["doubt"]),
            ),
            **_sizes(self._path),
        }
        if clock["ahead_ms"] is not None:
            ahead = "Clock against the median of the neighbours', positive ahead."
            plain["clock_ahead_seconds"] = (ahead, clock["ahead_ms"] / 1_000)
        for name, (what, value) in plain.items():
            yield GaugeMetricFamily(f"meshlog_{name}", what, value=float(value))
        contacts = Counter(peer["contact"] for peer in peers)
        family = GaugeMetricFamily("meshlog_peers", "Peers, by contact.", labels=["contact"])
        for contact in Contact:
            family.add_metric([str(contact)], contacts[str(contact)])
        yield family


def _sizes(path: Path | None) -> dict[str, tuple[str, float]]:
    if path is None:
        return {}
    with contextlib.suppress(OSError):
        disk = os.statvfs(path.absolute().parent)
        sizes = {
            "disk_free_bytes": ("Room where the store is.", float(disk.f_bavail * disk.f_frsize)),
        }
        files = [path, path.with_name(path.name + "-wal")]
        held = sum(one.stat().st_size for one in files if one.is_file())
        return {**sizes, "store_bytes": ("Size of the store and its WAL.", float(held))}
    return {}


def _counters(status: Mapping[str, Any]) -> Iterator[Metric]:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - an extra

    refused = CounterMetricFamily(
        "meshlog_refused_segments", "Segments refused since start.", labels=["reason"]
    )
    for verdict in Verdict:
        if verdict not in (Verdict.ACCEPTED, Verdict.DUPLICATE):
            refused.add_metric([str(verdict)], status["refused"].get(verdict, 0))
    yield refused
    moved = CounterMetricFamily(
        "meshlog_lane_bytes", "Bytes moved since start.", labels=["lane", "direction"]
    )
    peers, air = status["peers"], (status["air"] or {}).get("sent") or {}
    moved.add_metric(["link", "out"], sum(peer["bytes_sent"] for peer in peers))
    moved.add_metric(["link", "in"], sum(peer["bytes_received"] for peer in peers))
    moved.add_metric(["broadcast", "out"], air.get("bytes_sent", 0))
    moved.add_metric(["broadcast", "in"], air.get("bytes_heard", 0))
    yield moved
    media = CounterMetricFamily(
        "meshlog_interface_bytes", "Bytes of Reticulum's interfaces.", labels=["name", "direction"]
    )
    for interface in status["interfaces"][:INTERFACES_MAX]:
        name = str(interface.get("name", "?"))
        media.add_metric([name, "out"], interface.get("sent_bytes") or 0)
        media.add_metric([name, "in"], interface.get("received_bytes") or 0)
    yield media
