"""I4, I5: an hour after the heal all honest devices hold the same and show the same."""

from __future__ import annotations

from meshlog.sim.storm.world import World


def check_converged(world: World) -> list[str]:
    """Compare roots and views: also of devices whose clock was ahead, once it is right."""
    wrong = []
    devices = world.staying
    roots = {device.name: device.running.ledger.root.hex()[:8] for device in devices}
    if len(set(roots.values())) > 1:
        counts = {device.name: device.running.event_count() for device in devices}
        wrong.append(f"roots differ: {roots}, events {counts}")
        return wrong
    views = [(device.name, device.running.view.snapshot()) for device in devices]
    for name, view in views[1:]:
        if view != views[0][1]:
            wrong.append(f"the views of {views[0][0]} and {name} differ, the roots do not")
    return wrong
