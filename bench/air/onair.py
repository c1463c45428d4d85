"""The predecessor on the simulated radio, carried as its own Reticulum transport would.

What is modelled, and always in its favour:

* Links between all pairs stand before the measurement, and their set-up is not counted. In a cell
  of 20 its announces no longer fit a packet, so its nodes would never find each other.
* A message is one link packet where it fits one (its own threshold is 250 bytes), else a Resource,
  compressed with bz2 as Reticulum does where that is shorter.
* One message is on its way at a time in the whole cell, as if somebody who knows all queues gave
  turns: nothing collides. A node offers its frontier at its default interval of 10 s, but never
  before everything that the last round caused has been carried. Its own timer fires regardless,
  and on such a radio queues everything missing again each time.
* Announces go every 20 s, carrying the frontier, where they fit; those that do not cost nothing.
* Keepalives of links are left out.
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from itertools import permutations
from types import TracebackType
from typing import NamedTuple, Self

from bench.air.inputs import edits
from bench.air.payload import compressed
from bench.air.predecessor import Predecessor, Send
from meshlog.core.air import LoRa
from meshlog.sim.cell import Cell
from meshlog.sim.checks import worst_hour

GOSSIP_MS = 10_000
ANNOUNCE_MS = 20_000
ANNOUNCE_APP_DATA_MAX = 500 - 167
"""MTU less what an announce costs without data; more is never sent."""

HOUR_MS = 3_600_000
GIVE_UP_MS = 96 * HOUR_MS
STEP_MS = 1_000
LORA = LoRa(sf=8)
CELL = 20
NEW_EVENTS = 10
HELD_BEFORE = 50
"""Events that each author of a cell wrote, and all hold, before the measurement."""


class PeerCell:
    """Nodes of the predecessor that all hear each other on one LoRa channel."""

    def __init__(self, version: str, seed: int, count: int, loss: float = 0.0) -> None:
        """Start nodes and links; ``open`` them before measuring."""
        self._stack = ExitStack()
        self.nodes = self._stack.enter_context(Predecessor(version, seed))
        self.names = self.nodes.cell(count)
        self.cell = Cell(seed=seed, names=self.names, lora=LORA, loss=loss, idle_close_ms=None)
        self._rng = self.nodes.rng
        self._waiting: deque[tuple[Send, str]] = deque()
        self._carrying = False
        self._before = 0
        self.heard_events = False
        """Whether events came in since somebody last cleared this."""
        for name in self.names:
            self.cell.on_message(name, self._hearing(name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def open(self) -> None:
        """Open the link of every pair in both directions, outside of what is measured."""
        pairs = permutations(self.names, 2)
        self._waiting.extend((Send(src, dst, b""), "opening") for src, dst in pairs)
        self._take_turns()
        self.settle()
        self._before = self.cell.bytes_on_air.total()

    def bytes_on_air(self) -> int:
        """Return the bytes since ``open``."""
        return self.cell.bytes_on_air.total() - self._before

    def round(self) -> None:
        """Let the gossip timer of every node fire once, each at its own time of the interval."""
        for name in self.names:
            self.cell.later(self._rng.randrange(GOSSIP_MS), self.gossip(name))

    def gossip(self, name: str) -> Callable[[], None]:
        """Return what a node's gossip timer does."""
        return lambda: self._post(self.nodes.gossip(name))

    def settle(self, done: Callable[[], bool] = lambda: False, until_ms: int | None = None) -> bool:
        """Let time pass until nothing is under way, or ``done``; say whether it was ``done``."""
        start_ms = self.cell.now_ms
        end_ms = start_ms + GIVE_UP_MS if until_ms is None else until_ms
        while self.cell.now_ms < end_ms:
            self.cell.run(min(STEP_MS, end_ms - self.cell.now_ms))
            if done():
                return True
            idle = not self._carrying and self.cell.is_quiet()
            if idle and self.cell.now_ms >= start_ms + GOSSIP_MS:
                return False
        return False

    def announce(self) -> None:
        """Let every node announce from now on, where its announce fits a packet."""

        def announcing(name: str) -> Callable[[], None]:
            def announce() -> None:
                size_bytes = self.nodes.announce_size_bytes(name)
                if size_bytes <= ANNOUNCE_APP_DATA_MAX:
                    self.cell.announce(name, bytes(size_bytes))
                self.cell.later(ANNOUNCE_MS, announce)

            return announce

        for name in self.names:
            self.cell.later(self._rng.randrange(ANNOUNCE_MS), announcing(name))

    def _hearing(self, name: str) -> Callable[[str, bytes], None]:
        def hear(src: str, payload: bytes) -> None:
            if payload:
                send = Send(src, name, unpacked(payload))
                self.heard_events |= not send.offers
                self._post(self.nodes.hear(send))

        return hear

    def _post(self, sends: list[Send]) -> None:
        self._waiting.extend((send, "offer" if send.offers else "events") for send in sends)
        self._take_turns()

    def _take_turns(self) -> None:
        if self._carrying or not self._waiting:
            return

        def carried(_ok: bool) -> None:  # noqa: FBT001 - the callback's only argument
            self._carrying = False
            self._take_turns()

        self._carrying = True
        send, kind = self._waiting.popleft()
        load = compressed(send.message)
        self.cell.send_message(send.src, send.dst, load, kind=kind, done=carried)


def unpacked(payload: bytes) -> bytes:
    """Return a message as it was before ``compressed``: JSON never begins like bz2."""
    return bz2.decompress(payload) if payload.startswith(b"BZh") else payload


class Idle(NamedTuple):
    """What a cell in which nothing differs sends."""

    round_bytes: float
    hour_bytes: float
    busiest_share: float
    """Of the hour that the busiest station was on air: its duty cycle."""


@cache
def idle(version: str, seed: int) -> Idle:
    """Measure one round and one hour of 20 nodes that hold the same."""
    with PeerCell(version, seed, CELL) as world:
        _fill(world)
        world.open()
        world.announce()
        start_ms, round_bytes = world.cell.now_ms, 0
        while world.cell.now_ms < start_ms + HOUR_MS:
            world.round()
            world.settle(until_ms=start_ms + HOUR_MS)
            round_bytes = round_bytes or world.bytes_on_air()
        logs = [world.cell.air.stations[name].log for name in world.names]
        shares = [worst_hour(log).airtime_ms / HOUR_MS for log in logs]
        return Idle(round_bytes, world.bytes_on_air(), max(shares))


@cache
def new_events(version: str, seed: int, loss: float = 0.0) -> float:
    """Return the bytes until all 20 nodes hold 10 events that one of them wrote."""
    with PeerCell(version, seed, CELL, loss) as world:
        _fill(world)
        world.open()
        writer = world.names[0]
        world.nodes.clock(world.cell.now_ms)
        for edit in list(edits(world.nodes.rng))[:NEW_EVENTS]:
            payload = {"record_id": edit.record_id, "field": edit.field, "value": edit.value}
            world.nodes.emit(writer, "field.set", payload)
        spread = _spread(world)
        end_ms = world.cell.now_ms + GIVE_UP_MS
        while world.cell.now_ms < end_ms:
            world.round()
            if world.settle(spread):
                return world.bytes_on_air()
    raise TimeoutError(f"not converged after {GIVE_UP_MS / HOUR_MS:.0f} hours")


@cache
def to_new_device(version: str, seed: int, event_count: int, loss: float = 0.0) -> float:
    """Return the milliseconds of air per event of a whole feed that a new device takes over."""
    with PeerCell(version, seed, 2, loss) as world:
        world.open()
        full, new = world.names
        now_ms = world.cell.now_ms
        for edit in edits(world.nodes.rng, event_count // 4):
            now_ms += edit.after_ms
            world.nodes.clock(now_ms)
            payload = {"record_id": edit.record_id, "field": edit.field, "value": edit.value}
            world.nodes.emit(full, "field.set", payload)
        before_ms = sum(map(world.cell.airtime_ms, world.names))
        spread = _spread(world)
        end_ms = world.cell.now_ms + GIVE_UP_MS
        while world.cell.now_ms < end_ms:
            world.cell.later(0, world.gossip(new))
            if world.settle(spread):
                air_ms = sum(map(world.cell.airtime_ms, world.names)) - before_ms
                return air_ms / event_count
    raise TimeoutError(f"not converged after {GIVE_UP_MS / HOUR_MS:.0f} hours")


def _fill(world: PeerCell) -> None:
    counts = dict.fromkeys(world.names, HELD_BEFORE)
    for name in world.names:
        world.nodes.fill(name, counts)


def _spread(world: PeerCell) -> Callable[[], bool]:
    """Return a test of whether all hold the same, which asks only after events came in."""

    def spread() -> bool:
        if not world.heard_events:
            return False
        world.heard_events = False
        return len(set(world.nodes.held().values())) == 1

    return spread
