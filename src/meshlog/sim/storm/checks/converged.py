"""I4, I5: an hour after the heal all honest devices hold the same and show the same."""

from __future__ import annotations

from meshlog.replica.ledger import horizon_for
from meshlog.sim.storm.world import World


def check_converged(world: World) -> list[str]:
    """Compare roots, and the views of all whose horizon is that of their clock.

    A device whose clock was ahead keeps its horizon until neighbours have told it the time: in a
    dataset in which all is said nobody may. It then counts what the others still hold back (I4).
    """
    wrong = []
    devices = world.staying
    roots = {device.name: device.running.ledger.root.hex()[:8] for device in devices}
    if len(set(roots.values())) > 1:
        counts = {device.name: device.running.event_count() for device in devices}
        wrong.append(f"roots differ: {roots}, events {counts}")
        return wrong
    views = [
        (device.name, device.running.view.snapshot())
        for device in devices
        if device.running.ledger.horizon_ms <= horizon_for(world.shows(device))
    ]
    for name, view in views[1:]:
        if view != views[0][1]:
            wrong.append(f"the views of {views[0][0]} and {name} differ, the roots do not")
    return wrong
