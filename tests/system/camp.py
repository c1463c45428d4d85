"""Several real nodes in one radio cell, slow as LoRa is: ``meshlog run`` at its own pace."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.cell import Cell, Kind, Ledger
from tests.support.rns_config import Udp, write_config
from tests.system.node import Home, Item, Running, try_status, wait_until

OWN_PACE = ("--announce-interval", "21600", "--gossip-interval", "10")
"""What `Running` shortens, as it is by default."""


class Camp:
    """Homes of one dataset whose nodes share one channel of ``rate_bps``."""

    def __init__(
        self,
        directory: Path,
        stack: ExitStack,
        count: int,
        *,
        rate_bps: int,
        loss: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Found a dataset and have the others join it; nobody runs yet."""
        self.directory = directory
        self.rate_bps = rate_bps
        self.ledger = Ledger()
        self._stack = stack
        self.cell = stack.enter_context(
            Cell(count, rate_bps=rate_bps, loss=loss, watch=self.ledger, seed=seed)
        )
        first = Home(directory / "team0", "team0")
        self.homes = [
            first,
            *(Home(directory / f"team{n}", f"team{n}", first.invite()) for n in range(1, count)),
        ]
        self.nodes: list[Running] = []

    def udp(self, nth: int) -> Udp:
        """Return the interface of the ``nth`` device."""
        ports = self.cell.ends[nth]
        return Udp(f"air{nth}", ports.listens, ports.sends, self.rate_bps)

    def acquaint(self) -> None:
        """Have all hold the same, as if they had met before; their nodes do not run yet."""
        with ExitStack() as stack:
            replicas = [stack.enter_context(home.open()).replica for home in self.homes]
            for giver in [*replicas, *replicas]:  # twice: some control events wait for others
                given: list[bytes] = []
                for feed, tips in sorted(giver.frontier().items(), key=lambda one: one[0].kind):
                    for tip in tips:
                        given += giver.segments(feed, tip, 0, 2**30)[0]
                for taker in replicas:
                    taker.ingest(given, time.time_ns() // 1_000_000)
            assert len({replica.root() for replica in replicas}) == 1

    def write(self, nth: int, written: list[Item]) -> None:
        """Have a device write while its node does not run."""
        with self.homes[nth].open() as node:
            node.emit_many(written)

    def run(self) -> list[Running]:
        """Start all nodes, and wait until they listen."""
        for nth, home in enumerate(self.homes):
            self.start(home, write_config(self.directory / f"rns{nth}", [self.udp(nth)]))
        return self.ready()

    def start(self, home: Home, configdir: Path) -> None:
        """Start one node."""
        self.nodes.append(self._stack.enter_context(Running(home, configdir, *OWN_PACE)))

    def ready(self) -> list[Running]:
        """Wait until all that were started listen on the air and on their sockets."""
        for node in self.nodes:
            wait_until(lambda node=node: bool(try_status(node)), 30, node.log)  # type: ignore[misc]
        wait_until(lambda: len(self.ledger.sizes(Kind.ANNOUNCE)) >= len(self.nodes), 30)
        return self.nodes
