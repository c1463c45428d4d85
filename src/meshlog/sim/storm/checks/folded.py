"""The live view equals the pure fold, on every honest device, and its rows prove it."""

from __future__ import annotations

from meshlog.sim.storm.device import Device
from meshlog.sim.storm.world import World
from meshlog.views.materialize import shown


def check_folded(world: World) -> list[str]:
    """Fold each distinct log once; compare every view with its fold."""
    folds: dict[tuple[bytes, int], object] = {}
    wrong = []
    for device in world.staying:
        replica = device.running
        key = replica.ledger.root, replica.ledger.horizon_ms
        if key not in folds:
            folds[key] = fold(device)
        if replica.view.snapshot() != folds[key]:
            wrong.append(f"{device.name}: the live view is not the fold")
        replica.settle()
        if not replica.view.is_settled() or replica.view.snapshot() != folds[key]:
            wrong.append(f"{device.name}: the live view's rows are not the fold")
        wrong += (f"{device.name}: {what}" for what in replica.view.check())
    return wrong


def fold(device: Device) -> dict[str, dict[str, object]]:
    """Return what the pure fold makes of a device's log under its own horizon."""
    replica = device.running
    events = (arrival.event for arrival in device.card.scan())
    return shown(events, replica.dataset, replica.ledger.horizon_ms)
