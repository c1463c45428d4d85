"""The dataset's key on this device: which ones it holds, and whom it still owes a box.

docs/protocol.md §7.7. Everything here follows from the control events and our identity; what
the store keeps of it is a cache.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from operator import is_
from typing import Any

from meshlog.core.decrees import Decrees, Place
from meshlog.core.event import BODY_SIZE_MAX, DatasetId, Event
from meshlog.core.grant import DATASET_KEY_SIZE, Role, chain_of
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.keylog import (
    EPOCH_MAX,
    KEY_KIND,
    KeyLog,
    Rotation,
    boxes_of,
    held_keys,
    key_id,
    key_payload,
)
from meshlog.core.roster import Member, Roster
from meshlog.core.sealedbox import (
    BOX_SIZE,
    EPHEMERAL_SIZE,
    PREFIX_SIZE,
    seal_boxes,
    takes_boxes,
)
from meshlog.errors import StoreError
from meshlog.ports.store import Store
from meshlog.replica.desk import Desk
from meshlog.replica.ledger import Ledger
from meshlog.sync.keyring import KeyRing

TEND_FIRST_MS = 10_000
"""Newcomers who lack the key are waited for so long: they often come together."""

TEND_TURN_MS = 60_000
"""A coordinator waits so much longer for each that comes before it by author id."""

TEND_REST_MS = 600_000
"""A device writes boxes unasked at most this often."""

BATCHES_MAX = 8
"""Events with boxes for newcomers under one key; the next is a rotation, if that holds all."""

BOXES_MAX = (BODY_SIZE_MAX - 1_024) // BOX_SIZE
"""Boxes that one event holds: 1,792. Who finds no room is handed the key with the next one."""


def stands(ledger: Ledger, author: AuthorId) -> bool | None:
    """Return True for a member, False for one that was removed, None for anybody else."""
    if author not in ledger.roster.members:
        return None
    decrees = ledger.decrees
    return author not in decrees.removals and author not in decrees.lapsed


class KeyKeeper:
    """Turns the ring as control events come, and says which boxes are due."""

    def __init__(
        self, identity: Identity, dataset: DatasetId, seat_key: bytes, kept: bytes
    ) -> None:
        """Take who we are and what we held.

        Args:
            identity: Ours; opens boxes.
            dataset: What the keys are for.
            seat_key: That this device came with.
            kept: What the store kept of the ring, or nothing.
        """
        self._identity = identity
        self._dataset = dataset
        sizes = range(0, len(kept) - DATASET_KEY_SIZE + 1, DATASET_KEY_SIZE)
        self._known = (seat_key, *(kept[at : at + DATASET_KEY_SIZE] for at in sizes))
        self.ring = KeyRing((seat_key,))
        self._seen: tuple[KeyLog, Roster, Decrees] | None = None
        self._newest: Rotation | None = None
        self._leaked = False
        """Whether somebody who was removed holds the newest key."""
        self._lacking: list[bytes] = []
        """Public keys of members who do not."""
        self._due_ms: int | None = None
        self._rest_until_ms = 0

    def follow(self, desk: Desk) -> None:
        """Turn to the newest key that we can open; the copy in the store is a cache (I7).

        Cost: nothing without news.
        """
        ledger, store = desk.ledger, desk.store
        seen = (ledger.key_log, ledger.roster, ledger.decrees)
        if self._seen is not None and all(map(is_, seen, self._seen)):
            return
        self._seen = seen

        def counts(place: Place) -> bool:
            return _has_rank(ledger, place.feed.author) and ledger.decrees.stands(place)

        rotations = ledger.key_log.rotations(counts, lambda author: stands(ledger, author) is True)
        self._newest = _with_boxes(rotations[0], store) if rotations else None
        looked_up = (_with_boxes(rotation, store) for rotation in rotations)
        keys = held_keys(looked_up, self._known, self._identity, self._dataset)
        if keys != self.ring.keys:
            self.ring.turn(keys)
            self._known = (self._known[0], *keys)
            self._keep(desk)
        self._leaked, self._lacking = self._debt(ledger)

    def _keep(self, desk: Desk) -> None:
        packed = b"".join(self.ring.keys)
        if packed != desk.store.get_meta("keys"):
            try:
                with desk.store.transaction():
                    desk.store.set_meta("keys", packed)
            except StoreError as error:
                desk.trouble = str(error)

    def rotate(self, desk: Desk, now_ms: int, rng: random.Random) -> Event:
        """Write a rotation of the key, and turn to it; see ``Replica.rotate_key``."""
        return self._write(desk, self.rotation(desk.ledger, rng), now_ms)

    def tend(self, desk: Desk, now_ms: int, rng: random.Random) -> bool:
        """As a coordinator, hand the key to who lacks it; return whether we did."""
        payload = self.due(desk.ledger, now_ms, rng)
        if payload is None:
            return False
        try:
            self._write(desk, payload, now_ms)
        except StoreError as error:
            desk.trouble = str(error)
            return False
        return True

    def _write(self, desk: Desk, payload: Mapping[str, Any], now_ms: int) -> Event:
        with desk.change() as ledger:
            [event] = desk.say(ledger, [(KEY_KIND, payload)], now_ms)
        self.follow(desk)
        return event

    def rotation(self, ledger: Ledger, rng: random.Random) -> Mapping[str, Any]:
        """Return the payload of a rotation: a new key, with a box for every member that stands."""
        epoch = min(self._newest.epoch + 1 if self._newest else 1, EPOCH_MAX)
        members = [member.keys for member in standing_members(ledger)]
        key = rng.randbytes(DATASET_KEY_SIZE)
        return self._payload(epoch, key, members, rng)

    def due(self, ledger: Ledger, now_ms: int, rng: random.Random) -> Mapping[str, Any] | None:
        """Return the payload of a ``dataset.key`` that a coordinator owes now, if any.

        Whoever joined with an older invite than the newest key gets a box; where somebody who
        was removed holds the newest key, it is rotated: so a revocation that was cut short after
        its decree, or met another's rotation, is finished. One event for all; then a rest.
        """
        if not (self._leaked or self._lacking):
            self._due_ms = None
            return None
        wait_ms = TEND_FIRST_MS + self._place(ledger) * TEND_TURN_MS
        due_ms = now_ms + wait_ms if self._due_ms is None else self._due_ms
        self._due_ms = min(due_ms, now_ms + wait_ms)  # clocks may go back
        self._rest_until_ms = min(self._rest_until_ms, now_ms + TEND_REST_MS)
        if now_ms < max(self._due_ms, self._rest_until_ms):
            return None
        self._rest_until_ms = now_ms + TEND_REST_MS
        newest = self._newest
        is_full = newest is not None and len(newest.boxes) > BATCHES_MAX
        holds_all = len(standing_members(ledger)) <= BOXES_MAX
        if newest is None or self._leaked or (is_full and holds_all):
            return self.rotation(ledger, rng)
        return self._payload(newest.epoch, self.ring.current, self._lacking, rng)

    def _payload(
        self, epoch: int, key: bytes, members: list[bytes], rng: random.Random
    ) -> Mapping[str, Any]:
        boxes = seal_boxes(key, members[:BOXES_MAX], rng.randbytes(EPHEMERAL_SIZE), self._dataset)
        return key_payload(epoch, key, boxes)

    def _debt(self, ledger: Ledger) -> tuple[bool, list[bytes]]:
        """Return whether a removed member holds the newest key, and the keys of who lacks it.

        Nothing is ours to pay where we may not hand the key out, or do not hold it.
        """
        newest, me = self._newest, self._identity.author
        if not may_rotate(ledger, me):
            return False, []
        removed = [author for author in ledger.roster.members if not stands(ledger, author)]
        if newest is None:
            return bool(removed), []  # everybody came with the founder's key
        if key_id(self.ring.current) != newest.key_id:
            return False, []
        holders = newest.holders
        came_with = ledger.key_log.joined_with

        def holds(author: AuthorId) -> bool:
            return (
                author[:PREFIX_SIZE] in holders
                or came_with.get(author, (None, b""))[1] == newest.key_id
            )

        lacking = [
            member.keys
            for member in standing_members(ledger)
            if member.author != me and not holds(member.author) and takes_boxes(member.keys)
        ]
        return any(map(holds, removed)), lacking

    def _place(self, ledger: Ledger) -> int:
        """Return how many coordinators come before us."""
        tenders = [m.author for m in standing_members(ledger) if m.role >= Role.COORDINATOR]
        return sum(author < self._identity.author for author in tenders)


def _with_boxes(rotation: Rotation, store: Store) -> Rotation:
    arrivals = (store.get(event_id) for event_id in rotation.events)
    return rotation._replace(boxes=tuple(boxes_of(one.event) for one in arrivals if one))


def may_rotate(ledger: Ledger, author: AuthorId) -> bool:
    """Say whether an author may hand out the dataset's key."""
    return _has_rank(ledger, author) and stands(ledger, author) is True


def _has_rank(ledger: Ledger, author: AuthorId) -> bool:
    member = ledger.roster.members.get(author)
    return member is not None and member.role >= Role.COORDINATOR and not ledger.roster.is_open


def standing_members(ledger: Ledger) -> list[Member]:
    """Return who stands, in the order in which boxes are made.

    A hostile coordinator can let in thousands, but only below itself: whom the founder let in
    does not wait for them.
    """
    standing = [one for one in ledger.roster.members.values() if stands(ledger, one.author)]
    return sorted(standing, key=lambda one: (len(chain_of(one.admission)), one.author))
