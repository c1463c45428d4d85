"""Base, two teams, and the air between base and each team. Between the teams there is none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from meshlog.demo.device import Command, DemoError, Device
from meshlog.demo.interrupts import interrupts
from meshlog.demo.reticulum_config import end_of
from meshlog.demo.screen import Show
from meshlog.transport.relay import Relay

BASE, TEAMS = "base", ("team_a", "team_b")
NAMES = (BASE, *TEAMS)

PATIENCE_S = 60.0
"""How long nothing may move before the demo gives up: twice what a request may wait for its
answer. A large survey takes as long as it takes."""

_POLL_S = 0.1
_POLL_SHARE = 4
"""Between two looks pass at least so many times what a look took: nodes have work to do."""


class Carried(NamedTuple):
    """Bytes that a length of air took in, headers of Reticulum included, UDP's left out."""

    to_base: int
    to_team: int


class Field:
    """Everything that runs; ``close`` ends all of it."""

    def __init__(self, home: Path) -> None:
        """Make devices and air, all of it switched off."""
        self._ends = ExitStack()
        self._commands: list[Command] = []
        self.devices = {name: Device(name, home) for name in NAMES}
        self.air = {team: self._ends.enter_context(Relay(on=False)) for team in TEAMS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for command in self._commands:
            command.kill()
        self.stop()
        self._ends.close()

    def __getitem__(self, name: str) -> Device:
        """Return a device by its name."""
        return self.devices[name]

    # ── nodes ───────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the three nodes; base has an interface to each team, a team one to base."""
        interfaces = {BASE: [end_of(self.air[team], "a", f"to {team}") for team in TEAMS]}
        interfaces |= {team: [end_of(self.air[team], "b", "to base")] for team in TEAMS}
        for name, device in self.devices.items():
            device.start(interfaces[name])

    def stop(self) -> dict[str, int]:
        """End the nodes; return their exit codes."""
        for device in self.devices.values():
            device.tell_to_stop()
        return {name: device.stop() for name, device in self.devices.items()}

    def carried(self) -> dict[str, Carried]:
        """Return what each length of air carried so far."""
        return {
            team: Carried(to_base=air.traffic("b").bytes, to_team=air.traffic("a").bytes)
            for team, air in self.air.items()
        }

    # ── commands side by side ───────────────────────────────────────────────────────

    def together(
        self, words: Mapping[str, Sequence[str]], fails: Sequence[int] = ()
    ) -> dict[str, Command]:
        """Start one command per device."""
        begun = {}
        for name, said in words.items():
            with interrupts.held():
                begun[name] = self[name].begin(*said, fails=fails)
                self._commands.append(begun[name])
        return begun

    # ── waiting ─────────────────────────────────────────────────────────────────────

    def wait_started(self, show: Show) -> None:
        """Return when every node answers."""
        patience = _Patience("the nodes do not start")
        while True:
            waiting = [name for name in NAMES if self[name].status() is None]
            if not waiting:
                return
            show(f"waiting for {', '.join(waiting)}")
            patience.look(NAMES.index(waiting[0]))
            time.sleep(_POLL_S)

    def wait_alike(self, names: Iterable[str], show: Show) -> None:
        """Return when these nodes say that they hold the same.

        Raises:
            DemoError: Nothing moved for ``PATIENCE_S``, or a node ended.
        """
        names = tuple(names)
        patience = _Patience(f"{' and '.join(names)} do not come to hold the same")
        while True:
            began_s = time.monotonic()
            said = {name: self[name].status() or {} for name in names}
            if len({one.get("root") for one in said.values()}) == 1:
                return
            events = {name: one.get("events", 0) for name, one in said.items()}
            show(", ".join(f"{name} holds {count:,}" for name, count in events.items()))
            patience.look(tuple(events.values()))
            time.sleep(max(_POLL_S, _POLL_SHARE * (time.monotonic() - began_s)))

    def wait_done(self, commands: dict[str, Command], show: Show) -> None:
        """Return when commands have ended; shows what the devices hold meanwhile."""
        while any(command.running() for command in commands.values()):
            began_s = time.monotonic()
            said = {name: self[name].status() or {} for name in commands}
            show(", ".join(f"{name} holds {one.get('events', 0):,}" for name, one in said.items()))
            time.sleep(max(_POLL_S, _POLL_SHARE * (time.monotonic() - began_s)))

    def met(self, name: str) -> set[str]:
        """Return the names of all that a running node has met."""
        status: dict[str, Any] = self[name].status() or {}
        return {peer["name"] for peer in status.get("peers", ())}


class _Patience:
    """Gives up when what it is shown stays the same for too long."""

    def __init__(self, otherwise: str) -> None:
        self._otherwise = otherwise
        self._last: object = None
        self._until_s = time.monotonic() + PATIENCE_S

    def look(self, now: object) -> None:
        """Take how far things are."""
        if now != self._last:
            self._last, self._until_s = now, time.monotonic() + PATIENCE_S
        elif time.monotonic() > self._until_s:
            raise DemoError(f"{self._otherwise}: nothing moved for {PATIENCE_S:.0f} s")
