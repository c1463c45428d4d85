"""Where a scenario plays: a world, somebody who watches it, and what a script may say."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from meshlog.core.air import LoRa
from meshlog.sim.agenda import Action
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.radio import Weather
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import Reach, everybody
from meshlog.sim.rows import Row, survey_rows

MINUTE_MS = 60_000

LOOK_MS = 5_000
"""How exactly the time of agreement is told."""

SAMPLES_MAX = 2_000
"""Points of the curve of what is lacking; it gets coarser beyond."""

Watch: TypeAlias = Callable[[int], None]
"""Called with the world's age in milliseconds, now and then."""


class Sample(NamedTuple):
    """What was lacking at one time."""

    age_ms: int
    lacking: dict[str, int]


@dataclass(slots=True)
class Phase:
    """A part of a run, and what it cost."""

    name: str
    from_ms: int
    """Age of the world when it began."""
    to_ms: int = 0
    agreed_after_ms: int | None = None
    """From the last event or change of the air in it until all agreed; None if they did not,
    or were not waited for."""
    waited: bool = False
    bytes_on_air: dict[str, int] = field(default_factory=dict)


class Stage:
    """A world with a curtain: scripts talk to this only."""

    def __init__(self, seed: int, lora: LoRa, duty_cycle: float, watch: Watch) -> None:
        """Set up an empty world.

        Args:
            seed: Decides everything.
            lora: What all stations are set to.
            duty_cycle: Share of every hour; 1.0 for no limit.
            watch: Told how far the run is.
        """
        self.world = RadioWorld(seed, lora, duty_cycle=duty_cycle)
        self.luck = random.Random(self.world.rng.getrandbits(64))
        self.rows: list[Row] = survey_rows()
        self.phases: list[Phase] = []
        self.samples: list[Sample] = []
        self._watch = watch
        self._began_ms = self.world.now_ms
        self._sample_ms = MINUTE_MS
        self._sampled_ms = -MINUTE_MS
        self._disturbed_ms = 0
        self._bytes_before: dict[str, int] = {}

    @property
    def age_ms(self) -> int:
        """How old the world is."""
        return self.world.now_ms - self._began_ms

    # ── what a script says ──────────────────────────────────────────────────────────

    def phase(self, name: str) -> None:
        """Begin a part of the run that is accounted for by itself."""
        self._end_phase()
        self.phases.append(Phase(name, self.age_ms))
        self._disturbed_ms = self.age_ms

    def at(self, age_ms: int, action: Action) -> None:
        """Plan an action."""
        self.world.later(age_ms - self.age_ms, action)

    def write(self, name: str, kind: str, payload: dict[str, Any]) -> None:
        """Let a device append an event."""
        self.world.write(name, kind, payload)
        self._disturbed_ms = self.age_ms

    def collect(self, name: str, count: int, start: int) -> None:
        """Let a device enter rows of the survey, as an import does."""
        rows = [self.rows[(start + index) % len(self.rows)] for index in range(count)]
        self.world.write_many(name, [("record.put", row.payload) for row in rows])
        self._disturbed_ms = self.age_ms

    def edit(self, name: str) -> None:
        """Let a device change what people change on a visit: one to four fields of one record."""
        row = self.luck.choice(self.rows)
        fields = self.luck.sample(sorted(row.edits), self.luck.randint(1, min(4, len(row.edits))))
        values = {field: self.luck.choice(row.edits[field]) for field in fields}
        self.write(name, "record.put", {"record_id": row.record_id, "fields": values})

    def reach(self, reach: Reach) -> None:
        """Change who hears whom."""
        self.world.air.reach = reach
        self._disturbed_ms = self.age_ms

    def clear(self) -> None:
        """Let everybody hear everybody."""
        self.reach(everybody)

    def weather(self, weather: Weather) -> None:
        """Change what the air does."""
        self.world.air.weather = weather

    def restart(self, name: str) -> None:
        """Stop a device and start it again."""
        self.world.restart(name)
        self._disturbed_ms = self.age_ms

    def clone(self, name: str, copy: str) -> None:
        """Copy a device's card; both go on."""
        self.world.clone(name, copy)
        self._disturbed_ms = self.age_ms

    def run(self, for_ms: int) -> None:
        """Let time pass."""
        until_ms = self.age_ms + for_ms
        while self.age_ms < until_ms:
            self.world.run(min(self._sample_ms, until_ms - self.age_ms))
            self._look()

    def until_agreed(self, limit_ms: int = 12 * HOUR_MS) -> bool:
        """Let time pass until all devices hold the same; say whether they do.

        Args:
            limit_ms: The most to wait.
        """
        phase = self.phases[-1]
        phase.waited = True
        self._look(now=True)
        until_ms = self.age_ms + limit_ms
        while not self.world.agrees() and self.age_ms < until_ms:
            self.world.run(LOOK_MS)
            self._look()
        if self.world.agrees():
            phase.agreed_after_ms = self.age_ms - self._disturbed_ms
        self._look(now=True)
        return phase.agreed_after_ms is not None

    def end(self) -> None:
        """Close the accounts."""
        self._end_phase()
        self._look(now=True)

    # ── inside ──────────────────────────────────────────────────────────────────────

    def _end_phase(self) -> None:
        spent = dict(self.world.air.bytes_on_air)
        if self.phases:
            phase = self.phases[-1]
            phase.to_ms = self.age_ms
            before = self._bytes_before
            grown = {label: count - before.get(label, 0) for label, count in spent.items()}
            phase.bytes_on_air = {label: count for label, count in grown.items() if count}
        self._bytes_before = spent

    def _look(self, *, now: bool = False) -> None:
        if not now and self.age_ms - self._sampled_ms < self._sample_ms:
            return
        self._sampled_ms = self.age_ms
        self.samples.append(Sample(self.age_ms, self.world.lacking()))
        if len(self.samples) > SAMPLES_MAX:
            self.samples = self.samples[::2]
            self._sample_ms *= 2
        self._watch(self.age_ms)
