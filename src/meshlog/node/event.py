"""The seed's event, as programs see it: a face on the core's event, in text and plain dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from meshlog.core.cbor import plain
from meshlog.core.event import (
    BODY_SIZE_MAX,
    ID_SIZE,
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    EventId,
    check_place,
    encode_body,
    read_body,
)
from meshlog.core.event import Event as CoreEvent
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.errors import InputError, MalformedError
from meshlog.node.jsonform import from_json, to_json
from meshlog.node.names import feed_of, remember, remembered, signer
from meshlog.node.opening import OPENING_SIZE_MAX, check_opening
from meshlog.views.materialize import materialize as fold

_REPLACING = frozenset({"field.set", "record.put", "record.delete"})
"""Kinds to which the library adds ``replaces``: see ``views.records.with_replaces``."""


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One entry of one feed. Equal to another, and hashed, by its ``id``.

    Example:
        >>> event = Event.from_parts("ann", 1, (1, 0), "note.add", {"record_id": "r", "text": "hi"})
        >>> event.author, event.seq, event.payload["text"], event.is_authentic()
        ('ann', 1, 'hi', True)
        >>> Event.from_wire(event.to_wire()) == event
        True
    """

    author: str
    """What people call the author (``FeedStore.frontier`` has the same keys), or 32 hex digits."""
    seq: int
    """Place in the feed, from 1."""
    hlc: tuple[int, int]
    """Wall milliseconds and counter."""
    kind: str
    """What happened, e.g. ``"field.set"``; empty where the body is unreadable."""
    payload: dict[str, Any]
    """The details as a program gave them; a copy, whose change makes the event unauthentic.
    What a write replaces, which the library adds, stands in ``core.payload`` alone."""
    prev: str
    """Id of the event before it; empty at seq 1."""
    id: str = ""
    """64 hex digits: the hash of all that identifies the event."""
    sig: str = ""
    """Signature over the id; often empty, because one covers all events before it."""
    feed: FeedKey | None = field(default=None, kw_only=True, repr=False)
    """Whose log it is an entry of; None: the one that ``author`` writes in this process."""
    body: bytes = field(default=b"", kw_only=True, repr=False)
    """Kind and payload as their author wrote them."""
    opening: bytes = field(default=b"", kw_only=True, repr=False)
    """What introduces the author to a stranger; beside the first event of a feed."""
    dataset: DatasetId = field(default=OPEN_DATASET, kw_only=True, repr=False)
    """The dataset that the id binds."""

    @classmethod
    def of(
        cls,
        core: CoreEvent,
        author: str,
        *,
        opening: bytes = b"",
        dataset: DatasetId = OPEN_DATASET,
    ) -> Self:
        """Return the face of an event, with what its author is called here."""
        kind, payload = _shown(core.body)
        remember(core.author, author)
        return cls(
            author,
            core.seq,
            (core.stamp.wall_ms, core.stamp.counter),
            kind,
            payload,
            "" if core.prev == NO_PREV else core.prev.hex(),
            core.id.hex(),
            core.signature.hex(),
            feed=core.feed,
            body=core.body,
            opening=opening,
            dataset=dataset,
        )

    @classmethod
    def from_parts(
        cls,
        author: str | bytes,
        seq: int,
        hlc: tuple[int, int],
        kind: str,
        payload: Mapping[str, Any],
        prev: str | bytes = "",
    ) -> Self:
        """Build an event of the open dataset, signed where this process can sign for its author.

        Args:
            author: A plain name, which stands for the node of that name or for an identity of
                this process; or an author id, 16 bytes or 32 hex digits.
            seq: 1 … 2**32-1.
            hlc: Wall milliseconds and counter; later than the event before it.
            kind: Text of 1 to 64 bytes.
            payload: Mapping with text keys; None, bool, int, float, str, bytes, list and dict.
            prev: Id of the event before it; empty for seq 1.

        Raises:
            InputError: A part is of the wrong type or out of range; nothing was made.
        """
        feed = feed_of(author)
        who = signer(feed.author)
        core = CoreEvent.from_parts(
            feed.author,
            seq,
            hlc,
            kind,
            payload,
            prev,
            incarnation=feed.incarnation,
        )
        mine = who is not None and who.feed == feed
        return cls.of(
            core.signed(who.identity) if who and mine else core,
            author if isinstance(author, str) else author.hex(),
            opening=who.opening if who and mine and seq == 1 else b"",
        )

    @property
    def core(self) -> CoreEvent:
        """The event of the core that these fields describe; its id is the one they claim.

        Raises:
            InputError: They describe none.
        """
        stamp, prev = check_place(self.seq, self.hlc, self.prev)
        as_written = _is_alike([*_shown(self.body)], [self.kind, self.payload])
        body = self.body if as_written else encode_body(self.kind, self.payload)
        feed = self.feed or feed_of(self.author)
        try:
            claimed, signature = EventId(bytes.fromhex(self.id)), bytes.fromhex(self.sig)
        except (TypeError, ValueError):
            raise InputError("an id and a signature are hex digits") from None
        return CoreEvent(feed, self.seq, stamp, prev, body, claimed, signature)

    def recompute_id(self) -> str:
        """Return the id that the fields hash to.

        Raises:
            InputError: They describe no event.
        """
        return self.core.recompute_id(self.dataset).hex()

    def is_authentic(self) -> bool:
        """Say whether ``id`` is the hash of the fields. Signatures are the store's to check."""
        try:
            return self.core.is_authentic(self.dataset)
        except InputError:
            return False

    def to_wire(self) -> dict[str, Any]:
        """Return a JSON form with short keys, which ``from_wire`` reads in any process.

        Keys: ``a`` author id, ``c`` incarnation, ``s`` seq, ``h`` stamp, ``k`` kind,
        ``p`` payload (bytes as ``{"$b": hex}``), ``v`` prev, ``i`` id; where there is one,
        ``g`` signature, ``o`` opening, ``d`` dataset, ``b`` body that kind and payload do not give.

        Raises:
            InputError: The fields describe no event.
        """
        core = self.core
        kind, payload = _said(core.body)
        wire: dict[str, Any] = {
            "a": core.author.hex(),
            "c": core.feed.incarnation,
            "s": self.seq,
            "h": list(self.hlc),
            "k": kind,
            "p": to_json(payload),
            "v": self.prev,
            "i": self.id,
        }
        if self.sig:
            wire["g"] = self.sig
        if self.opening:
            wire["o"] = self.opening.hex()
        if self.dataset != OPEN_DATASET:
            wire["d"] = self.dataset.hex()
        if core.body != _encoded(kind, payload):
            wire["b"] = core.body.hex()
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return the event that ``to_wire`` wrote; check it with ``is_authentic``.

        Raises:
            MalformedError: Keys are missing or of the wrong type or range.
        """
        try:
            feed = _read_feed(wire)
            dataset = DatasetId(EventId(bytes.fromhex(wire.get("d", OPEN_DATASET.hex()))))
            raw, opening = (bytes.fromhex(wire.get(key, "")) for key in ("b", "o"))
            if len(raw) > BODY_SIZE_MAX or len(opening) > OPENING_SIZE_MAX:
                raise MalformedError("event too large")
            if len(dataset) != ID_SIZE:
                raise MalformedError("not a dataset")
            kind, payload = wire["k"], plain(from_json(wire["p"]))
            as_written = _is_alike([*_said(raw)], [kind, payload])
            body = raw if as_written else encode_body(kind, payload)
            stamp, prev = check_place(wire["s"], wire["h"], wire["v"])
            claimed, signature = bytes.fromhex(wire["i"]), bytes.fromhex(wire.get("g", ""))
            core = CoreEvent(feed, wire["s"], stamp, prev, body, EventId(claimed), signature)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise MalformedError("not an event") from error
        except InputError as error:
            raise MalformedError("not an event") from error
        said = check_opening(opening, feed, dataset) if opening else None
        known = remembered(feed.author)
        author = said.name if said is not None and known == feed.author.hex() else known
        return cls.of(core, author or known, opening=opening, dataset=dataset)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


def materialize(events: Iterable[Event | CoreEvent]) -> dict[str, dict[str, Any]]:
    """Return the records that a set of events makes. See ``views.materialize``.

    Example:
        >>> made = Event.from_parts("ann", 1, (7, 0), "field.set",
        ...                         {"record_id": "r1", "field": "name", "value": "Nia"})
        >>> materialize([made])["r1"]["fields"]
        {'name': 'Nia'}
    """
    return fold(event.core if isinstance(event, Event) else event for event in events)


def _shown(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return kind and payload of a body without what the library adds to a program's payload."""
    kind, payload = _said(body)
    if kind in _REPLACING:
        payload.pop("replaces", None)
    return kind, payload


def _said(body: bytes) -> tuple[str, dict[str, Any]]:
    """Return kind and payload of a body, as plain values; nothing where it is unreadable."""
    content = read_body(body, is_frozen=False)
    return (content.kind, dict(content.payload)) if content else ("", {})


def _is_alike(one: object, other: object) -> bool:
    """Say whether two plain values are one in a body: 1, 1.0 and True are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_alike, one, other))
    return type(one) is type(other) and (repr(one) == repr(other) if one == 0 else one == other)


def _encoded(kind: str, payload: Mapping[str, Any]) -> bytes:
    try:
        return encode_body(kind, payload)
    except InputError:
        return b""


def _read_feed(wire: Mapping[str, Any]) -> FeedKey:
    who, life = bytes.fromhex(wire["a"]), wire.get("c")
    if len(who) != AUTHOR_ID_SIZE or type(life) is not int or not 0 <= life < 2**32:
        raise MalformedError("not a feed")
    return FeedKey(AuthorId(who), FeedKind.DATA, life)
