"""Whatever happened on the air, calm brings agreement, and agreement silence.

Everything follows from the seed: how many devices, which medium, and every mishap.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from meshlog.core.air import LoRa
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.checks import check_duty_cycle
from meshlog.sim.radio import Weather
from meshlog.sim.radioworld import RadioWorld
from meshlog.sim.reach import everybody, heard_if
from meshlog.sync.effects import Changed

FIELDS = [["name", "text"], ["count", "int"], ["kind", "choice", {"options": ["a", "b", "c"]}]]
PAUSES_MS = (500, 3_000, 20_000, 120_000, 600_000)
DEVICES_MAX = 8


class Storm:
    """One seeded storm over a radio world."""

    def __init__(self, seed: int) -> None:
        self.luck = luck = random.Random(seed)
        self.duty_cycle = luck.choice([1.0, 1.0, 1.0, 0.1])
        lora = LoRa(sf=luck.choice([7, 8, 9]))
        self.world = RadioWorld(seed, lora, duty_cycle=self.duty_cycle)
        self.names = [f"n{number}" for number in range(luck.randint(2, 7))]
        for name in self.names:
            self.world.add(name, on_card=True, skew_ms=luck.choice([0, 0, 5_000, -60_000, 600_000]))
        self.world.start()
        self.world.air.weather = Weather(loss=luck.choice([0.0, 0.1, 0.3, 0.5]))

    def rage(self) -> None:
        """Let mishaps happen, then end the weather."""
        acts: list[Callable[[str], None]] = [
            self.edit, self.edit, self.edit, self.bring_many, self.write_long, self.pin,
            self.part, self.meet, self.restart, self.clone,
        ]  # fmt: skip
        for _ in range(self.luck.randint(5, 30)):
            self.luck.choice(acts)(self.luck.choice(self.names))
            self.world.run(self.luck.choice(PAUSES_MS))
        self.world.air.weather = Weather()
        self.meet("")

    def edit(self, who: str) -> None:
        record = f"R-{self.luck.randrange(9)}"
        value = self.luck.choice([1, 2.5, "text", None])
        fields = {"name": "abc", "count": self.luck.randrange(100)}
        written: list[tuple[str, dict[str, Any]]] = [
            ("note.add", {"record_id": record, "text": "longer " * self.luck.randrange(20)}),
            ("record.put", {"record_id": record, "form": "F1", "fields": fields}),
            ("field.set", {"record_id": record, "field": "count", "value": value}),
            ("custom.kind", {"a": [1, {"b": self.luck.randbytes(50)}]}),
        ]
        self.world.write(who, *self.luck.choice(written))

    def bring_many(self, who: str) -> None:
        notes = [
            ("note.add", {"record_id": f"I-{number}", "text": f"row {number}"})
            for number in range(self.luck.choice([20, 70, 150]))
        ]
        self.world.write_many(who, notes)

    def write_long(self, who: str) -> None:
        text = self.luck.randbytes(self.luck.randrange(250, 1_500)).hex()
        self.world.write(who, "note.add", {"record_id": "LONG", "text": text})

    def pin(self, who: str) -> None:
        device = self.world.devices[who]
        fields = self.luck.sample(FIELDS, self.luck.randint(1, len(FIELDS)))
        form = {"form": f"F{self.luck.randrange(3)}", "fields": fields}
        now_ms = self.world.now_ms + device.skew_ms
        device.replica.put_form(form, now_ms)
        self.world._handle(device, Changed())

    def part(self, _who: str) -> None:
        group = {name: self.luck.randrange(2) for name in self.names}
        self.world.air.reach = heard_if(lambda one, other, _ms: group[one] == group[other])

    def meet(self, _who: str) -> None:
        self.world.air.reach = everybody

    def restart(self, who: str) -> None:
        self.world.restart(who)

    def clone(self, who: str) -> None:
        if len(self.names) < DEVICES_MAX and self.luck.random() < 0.3:
            self.meet("")  # a copy has no place in an island yet
            self.names.append(f"c{len(self.names)}")
            self.world.clone(who, self.names[-1])


@pytest.mark.parametrize("seed", range(403, 415))
def test_calm_brings_agreement_and_agreement_silence(seed: int):
    storm = Storm(seed)
    world = storm.world

    storm.rage()
    for _ in range(60):
        world.run(300_000)
        if world.agrees():
            break
    assert world.agrees()
    if storm.duty_cycle < 1:
        check_duty_cycle(world.air.stations, storm.duty_cycle)

    world.run(HOUR_MS)
    before = world.air.packets_on_air.copy()
    world.run(HOUR_MS)
    said = world.air.packets_on_air - before
    assert set(said) <= {"beacon", "announce"}
    assert said["beacon"] <= 12
    world.close()
