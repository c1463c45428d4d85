"""The hybrid clock moves with what was verified and written, and with nothing else."""

from __future__ import annotations

from meshlog.core.hlc import ZERO
from meshlog.sim.storm.world import World


def check_clock(world: World) -> list[str]:
    """Look for the event that moved each device's clock to where it stands."""
    wrong = []
    for device in world.staying:
        clock = device.running.ledger.clock
        standings = device.running.ledger.standings(device.running.store)
        stamps = {standings.stamp(arrival.event) for arrival in device.card.scan()}
        stamps |= {arrival.event.stamp for arrival in device.card.scan()}
        if clock != ZERO and clock not in stamps:
            wrong.append(f"{device.name}: no event held moved its clock to {clock.wall_ms}")
    return wrong
