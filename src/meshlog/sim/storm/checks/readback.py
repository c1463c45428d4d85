"""Who writes a field sees it, alone: looked at right after writes whose clock is about right."""

from __future__ import annotations

from meshlog.sim.storm.device import Device
from meshlog.sim.storm.world import World
from meshlog.sim.storm.writing import Items

SKEW_MS_MAX = 900_000


def check_readback(world: World, device: Device, items: Items) -> list[str]:
    """Compare the last value that was set with the one shown, and look what stands beside it.

    A write replaces all that its author saw; of a feed that forked it cannot say which.
    """
    if world.book.ahead or abs(world.shows(device) - world.now_ms) > SKEW_MS_MAX:
        return []
    values: dict[tuple[str, str], object] = {}
    for kind, payload in items:
        if kind == "field.set":
            values[payload["record_id"], payload["field"]] = payload["value"]
        elif kind == "record.put":
            values.update({(payload["record_id"], n): v for n, v in payload["fields"].items()})
    wrong = []
    forked = device.running.ledger.forks
    for (record_id, field), value in values.items():
        record = device.running.record(record_id)
        shown = record.fields.get(field, ()) if record else ()
        if not shown or shown[0].value != value:
            found = shown[0].value if shown else "nothing"
            wrong.append(f"{device.name} set {record_id}.{field} to {value!r} and sees {found!r}")
        forks = {feed.author + feed.incarnation.to_bytes(4, "big") for feed in forked}
        beside = [write for write in shown[1:] if write.origin.ref.feed not in forks]
        if beside:
            wrong.append(f"{device.name} set {record_id}.{field} and {len(beside)} older stay")
    return wrong
