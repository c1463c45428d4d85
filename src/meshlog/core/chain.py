"""A chain: events that follow one another on one branch, in columns.

So they come in and are written: an object for each event costs more than all that is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise, repeat
from typing import overload

from meshlog.core.event import Event, EventId
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import COUNTER_MAX, Stamp


@dataclass(slots=True)
class Chain:
    """At least one event; whoever holds it changes nothing of it."""

    feed: FeedKey
    first_seq: int
    prev: bytes
    """Id of the event before the first, 32 bytes; zeros at seq 1."""
    stamps: list[int]
    """Packed."""
    bodies: list[bytes]
    ids: list[bytes]
    signatures: dict[int, bytes]
    """Of the cuts, by place in the chain, from 0."""

    @classmethod
    def of(cls, events: Sequence[Event]) -> Chain:
        """Return events, at least one, as a chain."""
        first = events[0]
        for one, later in pairwise(events):
            place = (first.feed, one.seq + 1, one.id)
            assert (later.feed, later.seq, later.prev) == place, "an event follows the one before"
        return cls(
            first.feed,
            first.seq,
            first.prev,
            [wall_ms << 16 | counter for wall_ms, counter in [event.stamp for event in events]],
            [event.body for event in events],
            [event.id for event in events],
            {at: event.signature for at, event in enumerate(events) if event.signature},
        )

    @classmethod
    def joined(cls, chains: Sequence[Chain]) -> Chain:
        """Return chains, at least one, of which each follows the one before, as one."""
        first = chains[0]
        if len(chains) == 1:
            return first
        stamps: list[int] = []
        bodies: list[bytes] = []
        ids: list[bytes] = []
        signatures: dict[int, bytes] = {}
        for chain in chains:
            signatures |= {len(ids) + at: signed for at, signed in chain.signatures.items()}
            stamps += chain.stamps
            bodies += chain.bodies
            ids += chain.ids
        return cls(first.feed, first.first_seq, first.prev, stamps, bodies, ids, signatures)

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.ids)

    @property
    def last_seq(self) -> int:
        """Seq of the last event."""
        return self.first_seq + len(self.ids) - 1

    def after(self, events: int) -> Chain:
        """Return what follows the first so many events, fewer than all."""
        if not events:
            return self
        return Chain(
            self.feed,
            self.first_seq + events,
            self.ids[events - 1],
            self.stamps[events:],
            self.bodies[events:],
            self.ids[events:],
            {at - events: signed for at, signed in self.signatures.items() if at >= events},
        )

    def event(self, index: int) -> Event:
        """Return an event, from 0."""
        return Event(
            self.feed,
            self.first_seq + index,
            Stamp.unpacked(self.stamps[index]),
            self.ids[index - 1] if index else self.prev,
            self.bodies[index],
            EventId(self.ids[index]),
            self.signatures.get(index, b""),
        )

    def events(self) -> list[Event]:
        """Return all of them; a quarter of the cost of one after the other."""
        stamps = [_made_stamp((stamp >> 16, stamp & COUNTER_MAX)) for stamp in self.stamps]
        prevs, signatures = [self.prev, *self.ids], [b""] * len(self.ids)
        for at, signature in self.signatures.items():
            signatures[at] = signature
        columns = (stamps, prevs, self.bodies, self.ids, signatures)
        rows = zip(repeat(self.feed), count(self.first_seq), *columns, strict=False)
        return list(map(_made_event, rows))


class Events(Sequence[Event]):
    """The events of a chain, made when somebody looks at them: else as a list of them is.

    It is equal to that list and shown as it.
    """

    __slots__ = ("_chain",)
    __hash__ = None  # type: ignore[assignment] # as a list

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._chain)

    @overload
    def __getitem__(self, at: int) -> Event: ...
    @overload
    def __getitem__(self, at: slice) -> list[Event]: ...
    def __getitem__(self, at: int | slice) -> Event | list[Event]:
        """Return one, or some; see ``list``."""
        if isinstance(at, slice):
            return self._chain.events()[at]
        return self._chain.event(range(len(self))[at])

    def __iter__(self) -> Iterator[Event]:
        """Yield all; see ``Chain.events``."""
        return iter(self._chain.events())

    def __eq__(self, other: object) -> bool:
        """Say whether the other has the same events, of ``append_many`` or in a list."""
        if isinstance(other, Events):
            other = other._chain.events()
        return self._chain.events() == other if isinstance(other, list) else NotImplemented

    def __repr__(self) -> str:
        """Show what a list of them shows."""
        return repr(self._chain.events())


_made_stamp: Callable[[tuple[int, int]], Stamp] = partial(tuple.__new__, Stamp)
_made_event: Callable[[tuple[object, ...]], Event] = partial(tuple.__new__, Event)
"""In two thirds of the time of a call of the class."""
