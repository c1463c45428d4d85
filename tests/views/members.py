"""Events of a dataset with a roster: openings, decrees and data, without signatures of feeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from meshlog.core.decrees import cut_list
from meshlog.core.event import NO_DATASET, NO_PREV, DatasetId, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind, Head
from meshlog.core.grant import Grant, Role, admit, issue
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AuthorId, Identity

SHARED = bytes(range(16))
"""Seed of invites that several join with."""


@dataclass
class Person:
    """A member: writes a control and a data feed of one life."""

    who: Identity
    dataset: DatasetId
    admission: bytes = b""
    life: int = 1
    last: dict[FeedKind, Event] = field(default_factory=dict)
    said: list[Event] = field(default_factory=list)

    @property
    def author(self) -> AuthorId:
        return self.who.author

    def write(
        self,
        feed: FeedKind,
        kind: str,
        payload: Mapping[str, Any],
        wall_ms: int,
        after: Event | None = None,
    ) -> Event:
        """Write the next event of a feed; ``after`` another than the last makes a fork."""
        before = after or self.last.get(feed)
        key = FeedKey(self.author, feed, self.life)
        seq, prev = (before.seq + 1, before.id) if before else (1, NO_PREV)
        wall_ms = max(wall_ms, before.stamp.wall_ms + 1 if before else 0)
        body = encode_body(kind, payload)
        event = Event.make(key, seq, Stamp(wall_ms, 0), prev, body, self.dataset)
        self.last[feed] = event
        self.said.append(event)
        return event

    def set(self, record: str, value: object, wall_ms: int, after: Event | None = None) -> Event:
        payload = {"record_id": record, "field": "a", "value": value}
        return self.write(FeedKind.DATA, "field.set", payload, wall_ms, after)

    def decree(self, kind: str, payload: Mapping[str, Any], wall_ms: int) -> Event:
        return self.write(FeedKind.CONTROL, kind, payload, wall_ms)

    def welcome(self, wall_ms: int, *guests: Person) -> Event:
        """Say in which order guests came."""
        return self.decree("member.welcome", {"guests": [one.author for one in guests]}, wall_ms)

    def open(self, wall_ms: int = 1) -> Event:
        payload: dict[str, Any] = {"keys": self.who.keys, "name": "x", "data": self.life}
        if self.admission:
            payload["admission"] = self.admission
        return self.write(FeedKind.CONTROL, "feed.open", payload, wall_ms)

    def heads(self, at: Mapping[FeedKind, int] | None = None) -> dict[FeedKey, tuple[Head, ...]]:
        """Return the heads now, or at a seq of each feed (0: nothing of it)."""
        found: dict[FeedKey, tuple[Head, ...]] = {}
        for kind, last in self.last.items():
            seq = (at or {}).get(kind, last.seq)
            line = [e for e in self.said if e.feed.kind is kind and e.seq == seq]
            if line:
                found[line[0].feed] = (Head(line[0].seq, line[0].id),)
        return found

    def revoke(
        self,
        other: Person,
        wall_ms: int,
        mode: str = "soft",
        at: Mapping[FeedKind, int] | None = None,
        keeps: Iterable[AuthorId] = (),
    ) -> Event:
        cuts = cut_list(other.heads(at))
        payload = {"author": other.author, "cuts": cuts, "mode": mode, "keeps": [*keeps]}
        return self.decree("member.revoke", payload, wall_ms)


def found(name: str = "base") -> Person:
    """Return the founder of a new dataset, who has opened its feeds."""
    who = Identity(Random(name).randbytes(64))
    body = encode_body("dataset.genesis", {"keys": who.keys, "name": "d", "salt": bytes(16)})
    key = FeedKey(who.author, FeedKind.CONTROL, 0)
    genesis = Event.make(key, 1, Stamp(0, 0), NO_PREV, body, NO_DATASET)
    person = Person(who, DatasetId(genesis.id))
    person.said.append(genesis)
    person.open()
    return person


def invited(
    host: Person,
    name: str,
    role: Role = Role.WRITER,
    wall_ms: int = 1,
    grant: Grant | None = None,
) -> Person:
    """Return a member let in by ``host``, who has opened its feeds.

    A ``grant`` is of the seed of ``SHARED``.
    """
    who, seed = Identity(Random(name).randbytes(64)), Random(f"{name} seed").randbytes(16)
    if grant is None:
        grant = issue(host.who, host.admission, host.dataset, seed, role)
    else:
        seed = SHARED
    person = Person(who, host.dataset, admit(grant, seed, who.author, host.dataset))
    person.open(wall_ms)
    return person
