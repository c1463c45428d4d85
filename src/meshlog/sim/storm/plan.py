"""What a storm is made of: drawn from a seed, changed by whoever shrinks it, kept as JSON."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, replace
from typing import Self

from meshlog.errors import InputError

EPOCH_MS = 1_767_225_600_000
"""Wall time at which every storm begins, 1 January 2026: no device believes a clock that shows a
time before ``core.credible.EARLIEST_MS``, so in an earlier year none would mend its own."""

LINKS, RADIO = "links", "radio"
"""The lanes: exchanges between peers, or broadcast and links on simulated LoRa."""

AIR_FAULTS = ("loss", "duplication", "reordering", "corruption", "delay", "partition")
DEVICE_FAULTS = ("crash", "full_disk", "clock", "drift", "clone", "restore")
ENEMIES = ("hostile", "outsider")
REVOKE = "revoke"
DISK = "disk"
"""Stores are files on disks that forget what was not synced, and power goes at any operation."""
RELENTLESS = "relentless"
"""Enemies do not stop when everything else heals: the honest agree all the same."""
FAULTS = (*AIR_FAULTS, *DEVICE_FAULTS, *ENEMIES, REVOKE, DISK, RELENTLESS)
"""Every kind of fault, in the order in which they are told."""

_DRAWN = AIR_FAULTS + DEVICE_FAULTS + ENEMIES

RADIO_EVERY = 8
"""One seed in so many plays on simulated radio. A choice: those cost ten times as much."""

DISK_EVERY = 8
"""One seed in so many plays on such disks, none of them on radio."""

ALL_TOGETHER = 0.4
"""Share of seeds that have every kind of fault; in the others each kind has its own chance."""

KIND_CHANCE = 0.7
REVOKE_CHANCE, RELENTLESS_CHANCE = 0.4, 0.4
"""Drawn by themselves, so that a seed's other faults are what they were before these came."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One storm. Equal plans give equal runs, to the byte."""

    seed: int
    lane: str
    nodes: int
    """Devices at the start; clones come on top."""
    hours: float
    """Virtual time until the heal."""
    writes: int
    faults: tuple[str, ...]

    def luck(self, concern: str) -> random.Random:
        """Return the luck of one concern: dropping another one does not change it."""
        return random.Random(f"{self.seed} {concern}")

    def has(self, fault: str) -> bool:
        """Say whether a kind of fault happens."""
        return fault in self.faults

    def to_json(self) -> str:
        """Return the plan as a file of ``tests/sim/seeds``."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan in a file.

        Raises:
            InputError: Not a plan.
        """
        try:
            made = cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise InputError(f"this is not a storm's plan: {error}") from error
        faults = tuple(made.faults)
        if made.lane not in (LINKS, RADIO) or not set(faults) <= set(FAULTS):
            raise InputError("this is not a storm's plan: an unknown lane or fault")
        return replace(made, faults=faults)


def draw(seed: int, *, nodes: int | None = None, hours: float | None = None) -> Plan:
    """Return the plan of a seed; sizes may be given instead of drawn."""
    luck = random.Random(f"{seed} plan")
    lane = RADIO if seed % RADIO_EVERY == RADIO_EVERY - 1 else LINKS
    together = luck.random() < ALL_TOGETHER
    faults = tuple(kind for kind in _DRAWN if luck.random() < KIND_CHANCE or together)
    if random.Random(f"{seed} {REVOKE}").random() < REVOKE_CHANCE:
        faults = (*faults, REVOKE)
    stays = random.Random(f"{seed} {RELENTLESS}").random() < RELENTLESS_CHANCE
    if stays and "hostile" in faults:
        faults = (*faults, RELENTLESS)
    if seed % DISK_EVERY == DISK_EVERY - 5:
        faults = tuple(dict.fromkeys((*faults, "crash", DISK)))
    if lane == RADIO:
        drawn_nodes, drawn_hours = luck.randint(5, 7), luck.uniform(1.0, 3.0)
        writes = luck.randint(5, 25)
    else:
        drawn_nodes = luck.choice((5, 5, 5, 6, 6, 7, 7, 8, 9, 10, 12, 14, 16, 20))
        drawn_hours = luck.uniform(1.5, 6.0)
        writes = luck.randint(15, 60)
    return Plan(seed, lane, nodes or drawn_nodes, hours or round(drawn_hours, 2), writes, faults)
