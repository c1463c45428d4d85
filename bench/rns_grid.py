# ruff: noqa: INP001 - run with -m, imported by nobody
"""Real nodes over real Reticulum on slow, lossy media: do they converge, and at what cost?

python -m bench.rns_grid                                    the whole grid: about half an hour
python -m bench.rns_grid --loss 0 30 --rate 3125 --events 100

Three processes of ``meshlog run`` in one emulated cell (one channel, perfect carrier sense,
loss by each hearer's own luck) know each other; then one of them writes.
Prints a table in Markdown; bytes are Reticulum's whole packets, as the cell counts them.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.cell import Kind
from tests.system.camp import Camp
from tests.system.node import Home, items, try_status

NODES = 3
PACKET_OVERHEAD_BYTES = 19 + 17 + 3
"""Reticulum's header, the seal, and type and length of the segment, per packet."""

TEXT_SIZE = 8
"""Characters of hexadecimal text in each event, beside a number: a small survey edit."""

WATCHED_S = 60.0
"""How long silence is listened to once all agree."""

GRACE_S = 30.0
"""For beacons that say so."""

PATIENCE = 8.0
"""Times the ideal time on the air, plus ten minutes, until a run counts as failed."""


@dataclass(frozen=True, slots=True)
class Case:
    """One cell of the grid."""

    loss: float
    rate_bps: int
    events: int


@dataclass(frozen=True, slots=True)
class Result:
    """What became of it."""

    case: Case
    converged: bool
    took_s: float
    bytes_by_kind: dict[Kind, int]
    packets: int
    ideal_bytes: int
    queue_s_max: float
    """The most that the channel was behind."""
    later_bytes: int
    """In ``WATCHED_S`` after all agreed."""

    def row(self) -> str:
        """Return it as a line of the table."""
        case = self.case
        total = sum(self.bytes_by_kind.values())
        kinds = " + ".join(f"{self.bytes_by_kind.get(kind, 0):,}" for kind in Kind)
        return (
            f"| {case.loss:.0%} | {case.rate_bps:,} | {case.events:,} "
            f"| {'yes' if self.converged else '**no**'} | {self.took_s:,.0f} "
            f"| {total:,} ({kinds}) | {self.packets} | {self.ideal_bytes:,} "
            f"| {total / max(self.ideal_bytes, 1):.2f} | {self.queue_s_max:.1f} "
            f"| {self.later_bytes} |"
        )


HEADER = f"""\
| loss | bit/s | events | converges | s | bytes ({", ".join(Kind)}) | packets | ideal bytes \
| bytes / ideal | channel behind, s | bytes in {WATCHED_S:.0f} s after |
|---|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    """Run as the words say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loss", type=int, nargs="+", default=[0, 10, 30], help="per cent")
    parser.add_argument("--rate", type=int, nargs="+", default=[5000, 3125, 1200], help="bit/s")
    parser.add_argument("--events", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--jobs", type=int, default=2, help="cases at once")
    words = parser.parse_args()
    cases = [
        Case(loss / 100, rate, events)
        for events, rate, loss in itertools.product(words.events, words.rate, words.loss)
    ]
    sys.stdout.write(HEADER + "\n")
    running = ExitStack()
    with running, ThreadPoolExecutor(words.jobs) as pool:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            for result in pool.map(partial(run_case, running=running), cases):
                sys.stdout.write(result.row() + "\n")
                sys.stdout.flush()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            running.close()  # ends every node, so that no case goes on
            raise


def run_case(case: Case, running: ExitStack) -> Result:
    """Play one case in a folder of its own; ``running`` may end its nodes early."""
    folder = Path(tempfile.mkdtemp(prefix="meshlog-grid-"))
    try:
        with ExitStack() as stack:
            running.callback(stack.close)
            camp = Camp(
                folder, stack, NODES, rate_bps=case.rate_bps, loss=case.loss, seed=case.events
            )
            return play(camp, case)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def play(camp: Camp, case: Case) -> Result:
    """Have one write, and wait until all agree."""
    camp.acquaint()
    nodes = camp.run()
    started_s = time.monotonic()
    nodes[0].emit(items(case.events, text_size=TEXT_SIZE))
    guess_s = case.events * 40 * 8 / case.rate_bps
    queue = [0.0]
    held = nodes[0].status()["events"]
    converged = wait_agreed(camp, held, PATIENCE * guess_s + 600, queue)
    ended_s = time.monotonic()
    by_kind = {kind: sum(camp.ledger.sizes(kind, since_s=started_s)) for kind in Kind}
    packets = len(camp.ledger.sizes(since_s=started_s))
    time.sleep(GRACE_S if converged else 0)
    quiet_s = time.monotonic()
    time.sleep(WATCHED_S if converged else 0)
    later = sum(camp.ledger.sizes(since_s=quiet_s))
    for node in nodes:
        node.stop()
    ideal = ideal_bytes(camp.homes[0], case.events)
    took_s = ended_s - started_s
    return Result(case, converged, took_s, by_kind, packets, ideal, max(queue), later)


def wait_agreed(camp: Camp, least: int, limit_s: float, queue: list[float]) -> bool:
    """Wait until all hold the same, ``least`` events at least; say whether it came to that."""
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if any(node.process.poll() is not None for node in camp.nodes):
            return False  # it fell, or we were interrupted
        said = [try_status(node) for node in camp.nodes]
        roots = {one.get("root") for one in said}
        if len(roots) == 1 and said[0].get("events", 0) >= least:
            return True
        queue.append(camp.cell.queue_s)
        time.sleep(0.5)
    return False


def ideal_bytes(home: Home, events: int) -> int:
    """Return what it costs to send each of the events once, in the packets they were cut for."""
    with home.open() as node:
        replica = node.replica
        feed = replica.data_feed
        [tip] = replica.frontier()[feed]
        segments, _ = replica.segments(feed, tip, tip.seq - events, 10**9, compact=True)
    return sum(len(segment) + PACKET_OVERHEAD_BYTES for segment in segments)


if __name__ == "__main__":
    main()
