"""A device's lives: each opens feeds of its own, and ends the one before it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.keylog import key_id
from meshlog.core.lives import SEAL_KIND, seal_payload
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger
from meshlog.views.watch import ERA_KEY, ERA_SIZE


def begin(desk: Desk, key: bytes, now_ms: int, rng: random.Random) -> None:
    """Begin the first life of a seat, or the next one of a store that was copied.

    Raises:
        StoreError: The disk refused; nothing changed.
    """
    with desk.change() as ledger:
        open_feeds(desk, ledger, key, now_ms, rng)
        desk.store.set_meta(ERA_KEY, (ledger.life or 0).to_bytes(ERA_SIZE, "big"))
        desk.follow(ledger)


def open_feeds(desk: Desk, ledger: Ledger, key: bytes, now_ms: int, rng: random.Random) -> None:
    """Open feeds under a new random incarnation and seal the last, in a transaction.

    A seal that our twin wrote is as good as ours.

    Args:
        desk: Ours, and its last life's.
        ledger: A copy, which is given the new life.
        key: The dataset's current one.
        now_ms: Wall time.
        rng: Where incarnations come from.
    """
    store, last = desk.store, ledger.life
    life = rng.getrandbits(32)
    opening = {"keys": desk.identity.keys, "name": desk.seat.name, "data": life}
    if desk.seat.admission:
        opening["admission"] = desk.seat.admission
        opening["key"] = key_id(key)
    store.begin_life(life)
    store.set_meta("incarnation", life.to_bytes(4, "big"))
    if desk.seat.genesis and not ledger.roster.founder:
        desk.pen.add(ledger, desk.seat.genesis_event(), now_ms)
    items: list[tuple[str, Mapping[str, Any]]] = [("feed.open", opening)]
    if last is not None and not is_sealed(desk, ledger):
        heads = (ledger.frontier.get(own, ()) for own in desk.own_feeds)
        items.append((SEAL_KIND, seal_payload(last, *heads)))
    feed = FeedKey(desk.author, FeedKind.CONTROL, life)
    desk.pen.write(ledger, feed, items, now_ms)
    ledger.life = life


def is_sealed(desk: Desk, ledger: Ledger) -> bool:
    """Say whether we, or a twin of ours, ended the life that we live."""
    return ledger.life in ledger.seals.get(desk.author, frozenset())
