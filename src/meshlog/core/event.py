"""The event: a signed, immutable entry in a feed. docs/protocol.md §3 is normative."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from struct import Struct
from typing import Any, NamedTuple, NewType, Self

from meshlog.core.cbor import (
    FrozenMap,
    decode_all,
    decode_cbor,
    encode_checked,
    encode_flat,
    plain,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp, check_stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId, Identity, author_id
from meshlog.errors import InputError, MalformedError

EventId = NewType("EventId", bytes)
"""32 bytes of BLAKE2b-256. People see the first 8 hex digits."""

DatasetId = NewType("DatasetId", EventId)
"""32 bytes: the id of the genesis event."""

EVENT_DOMAIN = b"meshlog.event.1\x00"
CUT_DOMAIN = b"meshlog.cut.1\x00"
ID_SIZE = 32
_PLACE = Struct(">IQ")
"""Seq, and the stamp packed: 48 bits of milliseconds, 16 of the counter."""

_LINK = Struct(f">IQ{ID_SIZE}s")
"""The same, and the id of the event before."""

NO_PREV = bytes(ID_SIZE)
"""What the first event of a feed names as its predecessor."""

NO_DATASET = DatasetId(EventId(bytes(ID_SIZE)))
"""What the genesis event, whose id names the dataset, hashes in a dataset's place."""

BODY_SIZE_MAX = 65_536
"""Bytes of kind and payload together; more is a blob. About 5 min of air at SF9 (1,758 bit/s)."""

KIND_SIZE_MAX = 64
SEQ_MAX = 2**32 - 1

PARTS_MAX = 8_192
"""Texts, byte strings, lists and maps in a body, keys included, a map counting as four; more
cannot be read. A choice: what is left are numbers, which take little."""

_MAP_PARTS = 4
_PARTS = (0, 0, 1, 1, 1, _MAP_PARTS, 0, 0)
"""By major type."""


class Content(NamedTuple):
    """A readable body: what happened and its details."""

    kind: str
    payload: Mapping[str, Any]
    """Deeply immutable."""


def encode_body(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return the body bytes of an event; see ``write_bodies``."""
    [(body, _)] = write_bodies([(kind, payload)])
    return body


def write_bodies(
    items: Sequence[tuple[str, object]],
) -> Iterator[tuple[bytes, tuple[str, Any]]]:
    """Yield the body bytes of each event, beside kind and payload that say the same.

    Those are the caller's, or a copy where a program's own types stand in them.

    Raises:
        InputError: At the first whose kind is empty or past 64 bytes, whose payload holds what
            CBOR bodies cannot carry, or that passes 64 KiB.
    """
    quick = encode_flat(items)
    if all(quick) and max(map(len, quick), default=0) <= _NEVER_TOO_MANY:
        return zip(quick, items, strict=True)
    return map(_written, items, quick)


def _written(item: tuple[str, object], body: bytes) -> tuple[bytes, tuple[str, object]]:
    kind, payload = item
    if not body:
        _check_kind(kind)
        if not isinstance(payload, Mapping):
            raise InputError("a payload is a mapping with text keys")
        said = kind, payload = plain([kind, payload])
        body = encode_checked(said)
    _check_size(body)
    return body, (kind, payload)


def _check_size(body: bytes) -> None:
    if len(body) > BODY_SIZE_MAX:
        raise InputError(
            f"event is {len(body)} B, the limit is {BODY_SIZE_MAX} B; attach more as a file"
        )
    if has_too_many_parts(body):
        raise InputError(
            f"an event holds at most {PARTS_MAX} texts, lists and maps; attach more as a file"
        )


def _check_kind(kind: object) -> None:
    if type(kind) is not str or not 0 < len(kind.encode(errors="replace")) <= KIND_SIZE_MAX:
        raise InputError(f"a kind is text of 1 to {KIND_SIZE_MAX} bytes")


def read_body(body: bytes, *, is_frozen: bool = True) -> Content | None:
    """Return the content of a body, or None where it is unreadable. Never raises.

    Args:
        body: Any bytes.
        is_frozen: See ``decode_cbor``: without, only for whoever changes and keeps nothing of it.
    """
    if has_too_many_parts(body):
        return None
    try:
        value = decode_cbor(body, is_frozen=is_frozen)
    except MalformedError:
        return None
    if type(value) not in _LISTS or len(value) != 2:  # noqa: PLR2004 - kind and payload
        return None
    kind, payload = value
    if type(kind) is not str or type(payload) not in _MAPS:
        return None
    return Content(kind, payload)


_LISTS, _MAPS = (tuple, list), (FrozenMap, dict)

_NEVER_TOO_MANY = PARTS_MAX // _MAP_PARTS
"""Bytes in which there cannot be too many parts."""


def read_bodies(bodies: Sequence[bytes]) -> list[Sequence[Any] | None]:
    """Return kind and payload of each as ``read_body`` does, not frozen: half the cost."""
    values = None
    if bodies and max(map(len, bodies)) <= _NEVER_TOO_MANY:
        values = decode_all(bodies)
    if values is None:
        return [read_body(body, is_frozen=False) for body in bodies]
    return [
        value
        if type(value) is list
        and len(value) == 2  # noqa: PLR2004 - kind and payload
        and type(value[0]) is str
        and type(value[1]) is dict
        else None
        for value in values
    ]


def has_too_many_parts(body: bytes) -> bool:
    """Say whether a CBOR body could take more than about a megabyte as objects, by its heads alone.

    An empty map is one byte, and 138 as an object. Cost: a step for each value, up to the limit.
    """
    at, left = 0, PARTS_MAX
    while at < len(body) and len(body) - at > left // _MAP_PARTS:
        major, size = body[at] >> 5, body[at] & 31
        at += 1
        width = 1 << size - 24 if 24 <= size <= 27 else 0  # noqa: PLR2004 - RFC 8949 §3
        if major in (2, 3):
            at += int.from_bytes(body[at : at + width], "big") if width else size
        at += width
        left -= _PARTS[major]
        if left < 0:
            return True
    return False


def event_id(
    dataset: bytes, key: FeedKey, seq: int, stamp: Stamp, prev: bytes, body: bytes
) -> EventId:
    """Return BLAKE2b-256(domain ‖ dataset ‖ 65-byte header ‖ body)."""
    return id_in_feed(feed_prefix(dataset, key), seq, stamp, prev, body)


@lru_cache(maxsize=64)
def feed_prefix(dataset: bytes, key: FeedKey) -> bytes:
    """Return what the ids of all events of a feed hash first."""
    return EVENT_DOMAIN + dataset + key.packed()


def id_in_feed(prefix: bytes, seq: int, stamp: Stamp, prev: bytes, body: bytes) -> EventId:
    """Return the id of an event of the feed that ``prefix`` is made for; see ``event_id``."""
    wall_ms, counter = stamp
    place = _PLACE.pack(seq, wall_ms << 16 | counter)
    return EventId(blake2b(prefix + place + prev + body, digest_size=ID_SIZE).digest())


def chained_ids(
    prefix: bytes, seq: int, prev: bytes, stamps: Iterable[int], bodies: Iterable[bytes]
) -> list[bytes]:
    """Return the ids of events that follow one another in a feed; see ``id_in_feed``.

    Args:
        prefix: See ``feed_prefix``.
        seq: Of the first.
        prev: Id of the event before the first.
        stamps: Packed.
        bodies: As many.

    Cost: half of ``id_in_feed`` for each.
    """
    begun = blake2b(prefix, digest_size=ID_SIZE).copy  # cheaper than to join and to begin anew
    pack, ids = _LINK.pack, []
    for number, stamp, body in zip(count(seq), stamps, bodies, strict=False):
        hashing = begun()
        hashing.update(pack(number, stamp, prev) + body)
        prev = hashing.digest()
        ids.append(prev)
    return ids


OPEN_GENESIS_BODY = encode_body("dataset.genesis", {"name": "open", "open": True})
OPEN_DATASET = DatasetId(
    event_id(
        NO_DATASET,
        FeedKey(AuthorId(bytes(16)), FeedKind.CONTROL, 0),
        1,
        Stamp(0, 0),
        NO_PREV,
        OPEN_GENESIS_BODY,
    ),
)
"""The dataset of the seed's constructor and flags: a fixed genesis, every author a member."""


class Event(NamedTuple):
    """One entry of one feed; ``id`` is the hash of all that identifies it.

    ``signature`` is present where a cut ends: there it authenticates this event and every
    one before it on its branch. Events are equal whether signed or not.
    """

    feed: FeedKey
    seq: int
    """Place in the feed, from 1."""
    stamp: Stamp
    prev: bytes
    """Id of the event before it on its branch, 32 bytes; zeros at seq 1."""
    body: bytes
    """Deterministic CBOR of [kind, payload]; opaque to feeds and sync."""
    id: EventId
    signature: bytes = b""

    def __eq__(self, other: object) -> bool:
        """Say whether the parts are the same, signature aside."""
        return isinstance(other, Event) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        """See ``__eq__``."""
        return not self == other

    def __hash__(self) -> int:
        """Go with ``__eq__``: the id commits to the other parts."""
        return hash(self.id)

    @classmethod
    def make(
        cls,
        key: FeedKey,
        seq: int,
        stamp: Stamp,
        prev: bytes,
        body: bytes,
        dataset: DatasetId = OPEN_DATASET,
    ) -> Self:
        """Return the unsigned event with these parts, its id computed."""
        return cls(key, seq, stamp, prev, body, event_id(dataset, key, seq, stamp, prev, body))

    @classmethod
    def from_parts(
        cls,
        author: str | bytes,
        seq: int,
        hlc: tuple[int, int],
        kind: str,
        payload: Mapping[str, Any],
        prev: str | bytes = b"",
        *,
        dataset: DatasetId = OPEN_DATASET,
        incarnation: int | None = None,
    ) -> Self:
        """Return the unsigned data event with these parts, checked one by one.

        Args:
            author: 16 bytes or 32 hex digits; any other text stands for the author that its
                hash makes, for whom nobody can sign.
            seq: 1 … 2**32-1.
            hlc: Wall milliseconds and counter.
            kind: Text of 1 to 64 bytes.
            payload: Mapping with text keys; see ``encode_cbor`` for its values.
            prev: Id of the event before it, bytes or hex; empty for seq 1.
            dataset: The dataset that the id binds.
            incarnation: 32 bits; by default the first four bytes of the author id.

        Raises:
            InputError: A part is out of range; nothing was made.
        """
        who = _author(author)
        stamp, before = check_place(seq, hlc, prev)
        life = int.from_bytes(who[:4], "big") if incarnation is None else incarnation
        if type(life) is not int or not 0 <= life < 2**32:
            raise InputError("an incarnation is a 32-bit number")
        key = FeedKey(who, FeedKind.DATA, life)
        return cls.make(key, seq, stamp, before, encode_body(kind, payload), dataset)

    @property
    def author(self) -> AuthorId:
        """The 16-byte author id."""
        return self.feed.author

    @property
    def content(self) -> Content | None:
        """The decoded body, or None where it is unreadable. Cost: one CBOR decoding."""
        return read_body(self.body)

    @property
    def kind(self) -> str:
        """What happened, e.g. ``"field.set"``; empty where the body is unreadable."""
        content = self.content
        return content.kind if content else ""

    @property
    def payload(self) -> Mapping[str, Any]:
        """The details, deeply immutable; empty where the body is unreadable."""
        content = self.content
        return content.payload if content else {}

    @property
    def order(self) -> tuple[int, bytes, int, int, bytes]:
        """Place in the total order of events: stamp, author, incarnation, seq, id."""
        return (self.stamp.packed(), self.feed.author, self.feed.incarnation, self.seq, self.id)

    def signed(self, identity: Identity) -> Self:
        """Return this event as a cut: signed by ``identity``, which must be its author."""
        return self._replace(signature=identity.sign(CUT_DOMAIN + self.id))

    def recompute_id(self, dataset: DatasetId = OPEN_DATASET) -> EventId:
        """Return the id that the parts hash to in ``dataset``."""
        return event_id(dataset, self.feed, self.seq, self.stamp, self.prev, self.body)

    def is_authentic(self, dataset: DatasetId = OPEN_DATASET) -> bool:
        """Say whether ``id`` is the hash of the parts. Signatures are the store's to check."""
        return 0 < self.seq <= SEQ_MAX and self.id == self.recompute_id(dataset)


def check_place(seq: object, hlc: object, prev: object) -> tuple[Stamp, bytes]:
    """Return the stamp and the 32-byte prev of an event that others describe.

    Args:
        seq: 1 … 2**32-1.
        hlc: Wall milliseconds and counter.
        prev: Id of the event before it, bytes or hex; empty for none.

    Raises:
        InputError: One of them is of the wrong type or out of range.
    """
    if type(seq) is not int or not 1 <= seq <= SEQ_MAX:
        raise InputError(f"seq is a whole number from 1 to {SEQ_MAX}")
    stamp = check_stamp(hlc)
    try:
        raw = bytes.fromhex(prev) if isinstance(prev, str) else prev
    except ValueError:
        raw = None
    if not isinstance(raw, bytes) or len(raw) not in (0, ID_SIZE):
        raise InputError("prev is the 32-byte id of the event before, or empty")
    return stamp, raw or NO_PREV


def _author(author: str | bytes) -> AuthorId:
    if isinstance(author, bytes) and len(author) == AUTHOR_ID_SIZE:
        return AuthorId(author)
    if isinstance(author, str) and author:
        try:
            who = bytes.fromhex(author)
        except ValueError:
            who = b""
        return AuthorId(
            who if len(who) == AUTHOR_ID_SIZE else author_id(author.encode(errors="replace"))
        )
    raise InputError("an author is 16 bytes, 32 hex digits or a name")
