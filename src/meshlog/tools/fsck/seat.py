"""fsck of what a device keeps of itself: who it is, which life it writes in, its clock."""

from __future__ import annotations

import contextlib

from meshlog.core.hlc import Stamp
from meshlog.errors import StoreError
from meshlog.ports.store import Store
from meshlog.replica.ledger import kept_clock
from meshlog.replica.seat import FIELDS
from meshlog.tools.fsck.feeds import DAMAGE, RESTORE, Sink, meta_or_none

REJOIN = (
    "Restore a backup; or join again in a new store, and `meshlog fsck --repair-from` this one"
    " there takes all that it holds"
)

_NUMBER_SIZE = 8
"""Bytes of a clock or a horizon in the store's meta."""


def number_of(store: Store, key: str, problems: Sink) -> int:
    """Return the clock or the horizon that a store keeps; 0 where it has lost it."""
    value = meta_or_none(store, key)
    if value is None or len(value) > _NUMBER_SIZE:
        problems.add(f"the store has lost its {key}: open it once with `meshlog run`")
        return 0
    return int.from_bytes(value, "big")


def check_seat(store: Store, problems: Sink) -> None:
    """A device without one of these does not go on, or begins a new life."""
    with contextlib.suppress(StoreError):  # that it is damaged is said by now
        for name in FIELDS:
            if store.get_meta(name) is None:
                problems.add(f"the store has lost its {name}. {REJOIN}")
        own = store.get_meta("author")
        is_known = store.get_meta("incarnation") is not None
        if not is_known and any(feed.author == own and feed.kind for feed in store.heads()):
            problems.add(
                "the store has lost which life it writes in: open it once with `meshlog run`,"
                " and it begins a new one"
            )


def check_clock(store: Store, own_latest: Stamp, problems: Sink) -> None:
    """The clock that the store keeps may not lie behind what it stamped itself."""
    written = Stamp.unpacked(number_of(store, "clock", problems) & (2**63 - 1))
    try:
        clock = max(written, kept_clock(store))
    except DAMAGE:  # said by now
        clock = written
    if clock < own_latest:
        problems.add(
            f"the clock in the store ({clock.wall_ms} ms) is behind its own last event"
            f" ({own_latest.wall_ms} ms): it was restored in part. {RESTORE}"
        )
