"""The dataset's key and its rotations, as the control events say. docs/protocol.md §7.7.

A pure fold, the same for every order of the events. Which key is the newest is a function of
those that count; which of them a device holds depends on the boxes that it can open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from meshlog.core.decrees import Place, place_of
from meshlog.core.event import DatasetId, Event, read_body
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.sealedbox import SECRET_SIZE, are_boxes, open_box, prefixes

KEY_KIND = "dataset.key"
KEY_ID_SIZE = 4
EPOCH_MAX = 2**32 - 1

KEYS_MAX = 4
"""Keys that a device holds at most, the newest: what a stranger's packet is tried with."""

EVENTS_PER_AUTHOR_MAX = 64
"""Of one author's events that count so many are looked at, the newest. A choice: far more than
people need. What does not count takes no place: whoever was removed may write without end."""

LOOKED_AT_MAX = 64
"""Keys that a device tries to open, the newest first; more are a hostile coordinator's."""


class KeyEvent(NamedTuple):
    """One ``dataset.key``; sorts by age: the greatest is the newest."""

    epoch: int
    """1 for the first rotation, one more for each that its author knew of."""
    order: tuple[int, bytes, int, int, bytes]
    key_id: bytes
    place: Place
    """Where it is said; its boxes are in the store."""


class Rotation(NamedTuple):
    """One key and the boxes that hold it, of all events that name it."""

    key_id: bytes
    epoch: int
    events: tuple[bytes, ...]
    """Ids of those that count, the newest first."""
    boxes: tuple[bytes, ...] = ()
    """Of each of them, once they were looked up."""

    @property
    def holders(self) -> frozenset[bytes]:
        """Author prefixes of those who got a box."""
        return frozenset(prefix for boxes in self.boxes for prefix in prefixes(boxes))


def key_id(key: bytes) -> bytes:
    """Return the 4 bytes that name a key and do not tell it."""
    return hashlib.blake2b(b"meshlog.key-id.1", key=key, digest_size=KEY_ID_SIZE).digest()


def key_payload(epoch: int, key: bytes, boxes: bytes) -> dict[str, object]:
    """Return the payload of a ``dataset.key``."""
    return {"epoch": epoch, "id": key_id(key), "boxes": boxes}


def read_key_event(event: Event) -> KeyEvent | None:
    """Return what a ``dataset.key`` says, or None for any other event."""
    if KEY_KIND.encode() not in event.body[:16]:
        return None
    content = read_body(event.body)
    if content is None or content.kind != KEY_KIND:
        return None
    epoch, named, boxes = (content.payload.get(key) for key in ("epoch", "id", "boxes"))
    if type(epoch) is not int or not 1 <= epoch <= EPOCH_MAX:
        return None
    if not isinstance(named, bytes) or len(named) != KEY_ID_SIZE:
        return None
    if not isinstance(boxes, bytes) or not are_boxes(boxes):
        return None
    return KeyEvent(epoch, event.order, named, place_of(event))


def boxes_of(event: Event) -> bytes:
    """Return the boxes in an event that ``read_key_event`` has read."""
    content = read_body(event.body)
    boxes = content.payload.get("boxes") if content else None
    return boxes if isinstance(boxes, bytes) else b""


@dataclass(frozen=True, slots=True)
class KeyLog:
    """Every ``dataset.key`` seen, and the key that each device joined with."""

    by_author: Mapping[AuthorId, Mapping[bytes, KeyEvent]] = field(default_factory=dict)
    """By author, then by event id; without their boxes: some 400 bytes each."""
    joined_with: Mapping[AuthorId, tuple[tuple[int, bytes, int, int, bytes], bytes]] = field(
        default_factory=dict
    )
    """Per author its latest opening's place in the total order, and the key id that it names."""

    def put(self, event: Event) -> KeyLog:
        """Return the log after one more control event; other kinds change nothing."""
        new = read_key_event(event)
        if new is not None:
            held = self.by_author.get(event.author, {})
            if event.id in held:
                return self
            more = {**self.by_author, event.author: {**held, event.id: new}}
            return KeyLog(more, self.joined_with)
        named = _named_by_opening(event)
        if named is None:
            return self
        known = self.joined_with.get(event.author)
        if known is not None and known[0] >= event.order:
            return self
        return KeyLog(self.by_author, {**self.joined_with, event.author: (event.order, named)})

    def rotations(
        self,
        counts: Callable[[Place], bool],
        stands: Callable[[AuthorId], bool] = lambda _: True,
    ) -> list[Rotation]:
        """Return the keys that count, the newest first: by epoch, then in the total order.

        Of one epoch, the keys of authors who stand are newer than those of authors removed since:
        there is a last epoch and a last stamp, and who was removed may have used both.

        Args:
            counts: Whether the author of what is said there may rotate, and stood when it did.
            stands: Whether an author was not removed since.
        """
        said: list[KeyEvent] = []
        for events in self.by_author.values():
            newest = sorted(events.values(), reverse=True)
            said += islice((one for one in newest if counts(one.place)), EVENTS_PER_AUTHOR_MAX)
        said.sort(
            key=lambda one: (one.epoch, stands(one.place.feed.author), one.order), reverse=True
        )
        found: dict[bytes, Rotation] = {}
        for one in said:
            known = found.get(one.key_id, Rotation(one.key_id, one.epoch, ()))
            found[one.key_id] = known._replace(events=(*known.events, one.place.id))
        return list(found.values())


def fold_keys(events: Iterable[Event]) -> KeyLog:
    """Return the rotations that these control events make, in any order."""
    log = KeyLog()
    for event in events:
        log = log.put(event)
    return log


def held_keys(
    rotations: Iterable[Rotation], known: Iterable[bytes], identity: Identity, dataset: DatasetId
) -> tuple[bytes, ...]:
    """Return the keys that a device holds, the newest first, at most ``KEYS_MAX``.

    Args:
        rotations: The newest first, with their boxes.
        known: Keys that it came by otherwise: its invite's, earlier ones.
        identity: Whose boxes are opened.
        dataset: What the keys are for.
    """
    left = {key_id(key): key for key in known}
    held = []
    for rotation in islice(rotations, LOOKED_AT_MAX):
        key = left.pop(rotation.key_id, None) or _opened(rotation, identity, dataset)
        if key is not None:
            held.append(key)
        if len(held) == KEYS_MAX:
            break
    return tuple([*held, *left.values()][:KEYS_MAX])


def _opened(rotation: Rotation, identity: Identity, dataset: DatasetId) -> bytes | None:
    for boxes in rotation.boxes:
        key = open_box(boxes, identity, dataset)
        if key is not None and len(key) == SECRET_SIZE and key_id(key) == rotation.key_id:
            return key
    return None


def _named_by_opening(event: Event) -> bytes | None:
    if b"feed.open" not in event.body[:16]:
        return None
    content = read_body(event.body)
    if content is None or content.kind != "feed.open":
        return None
    named = content.payload.get("key")
    return named if isinstance(named, bytes) and len(named) == KEY_ID_SIZE else None
