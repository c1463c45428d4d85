"""Nothing of the future is shown: what is stamped beyond a device's horizon waits."""

from __future__ import annotations

from meshlog.sim.storm.world import World
from meshlog.views.records import decode


def check_held(world: World) -> list[str]:
    """Look for values and notes whose stamp, fixed where it was, is beyond the horizon."""
    wrong = []
    for device in world.staying:
        horizon_ms = device.running.ledger.horizon_ms
        for row in device.running.view.rows():
            latest_ms = decode(row).latest.wall_ms
            if latest_ms > horizon_ms:
                ahead_s = (latest_ms - horizon_ms) // 1_000
                wrong.append(f"{device.name} shows {row.record_id} {ahead_s} s before its time")
    return wrong
