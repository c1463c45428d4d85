"""Whatever is refused is counted, so that its owner can see it: no packet vanishes in silence."""

from __future__ import annotations

from meshlog.errors import MalformedError
from meshlog.ports.links import Asked, Overheard
from meshlog.sim.storm.device import Device
from meshlog.sync.bundle import decode_bundle
from meshlog.sync.effects import Input


def check_counted(device: Device, happened: Input, before: int) -> list[str]:
    """Look whether what a device just heard moved one of its counters, where it had to.

    Args:
        device: Which heard it.
        happened: What; a packet of the air, or a request that is no bundle, is counted always.
        before: What ``device.counted`` was.
    """
    match happened:
        case Overheard():
            is_due = True
        case Asked(request=request):
            is_due = not _is_bundle(request)
        case _:
            is_due = False
    if not is_due or device.is_hostile or device.counted() > before:
        return []
    return [f"{device.name}: a refused {type(happened).__name__.lower()} was not counted"]


def _is_bundle(data: bytes) -> bool:
    try:
        decode_bundle(data)
    except MalformedError:
        return False
    return True
