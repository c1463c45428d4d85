"""Data events brought together by the records that they touch, in columns: little memory each."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, pairwise, repeat
from typing import TypeAlias

from meshlog.core.event import ID_SIZE
from meshlog.ports.log import Stretch
from meshlog.views.changes import Change, Unreadable, feed_ref
from meshlog.views.fold import Told
from meshlog.views.standing import Standings

READ_EVENTS = 2_048
"""Events found at once, the rest of the last one's record beyond. A choice."""

Said: TypeAlias = tuple[int, bytes, int, bytes]
"""Stamp, packed, as it is placed; feed, as a ``Ref`` names it; seq; and the body of an event."""


NO_RECORD = 0
"""The number of whatever is no record's name."""


class RecordNumbers(dict[bytes, int]):
    """The number of each name of a record, from 1 in the order in which they were asked for."""

    def __missing__(self, name: bytes) -> int:
        """Give a name the next number."""
        try:
            number = len(self) + 1 if name.decode() else NO_RECORD
        except UnicodeDecodeError:  # no record can have it
            return NO_RECORD
        if number != NO_RECORD:
            self[name] = number
        return number

    def names(self) -> list[str]:
        """Return the names by their numbers; the first has 1."""
        return [name.decode() for name in self]


class Came:
    """The events of one record, as they arrived."""

    __slots__ = ("_lot", "_places", "record", "said")

    def __init__(self, lot: Lot, record: int, places: Sequence[int], said: Sequence[Said]) -> None:
        """Note where they are in a lot, and what each says."""
        self._lot = lot
        self.record = record
        """Its number."""
        self._places = places
        self.said = said

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.said)

    @property
    def first(self) -> int:
        """Position of the first."""
        return self._lot.positions[self._places[0]]

    @property
    def last(self) -> int:
        """Position of the last."""
        return self._lot.positions[self._places[-1]]

    @property
    def all_count(self) -> bool:
        """Whether each of them counts."""
        counts = self._lot.counts
        return self._lot.all_count or all(counts[at] for at in self._places)

    def places(self) -> list[tuple[int, bytes]]:
        """Return position and id of each."""
        return [(self._lot.positions[at], self._lot.id_at(at)) for at in self._places]

    def between(self, after: int, until: int) -> Came:
        """Return those that came after a position and up to another."""
        if self.first > after and self.last <= until:
            return self
        positions = [self._lot.positions[at] for at in self._places]
        start, end = bisect_right(positions, after), bisect_right(positions, until)
        return Came(self._lot, self.record, self._places[start:end], self.said[start:end])

    def doing_to(self, record_id: str, changes: Iterable[Change | Unreadable | None]) -> list[Told]:
        """Return those that count and do something to a record, each of which does these."""
        lot = self._lot
        return [
            Told(*said[:3], lot.id_at(at), change)
            for at, said, change in zip(self._places, self.said, changes, strict=True)
            if lot.counts[at] and type(change) is Change and change.record_id == record_id
        ]


class Lot:
    """Some data events of a log. Memory: about 200 bytes for each, and its body."""

    def __init__(self, standings: Standings) -> None:
        """Take events, as they stand by ``standings``."""
        self._standings = standings
        self._records: list[int] = []
        self._said: list[Said] = []
        self._ids = bytearray()
        self.positions = array("q")
        self.counts = bytearray()
        """1 for each that counts, else 0."""
        self.all_count = True

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self._records)

    def id_at(self, place: int) -> bytes:
        """Return the id of an event."""
        return bytes(self._ids[place * ID_SIZE : (place + 1) * ID_SIZE])

    def take(
        self,
        stretch: Stretch,
        bodies: Iterable[bytes],
        records: Iterable[int],
        chosen: Sequence[int] = (),
    ) -> None:
        """Take events of a data feed that came after all that was taken.

        Args:
            stretch: The events.
            bodies: Of those that are chosen.
            records: The number of the record that each of them touches.
            chosen: Not 0 for each event that is; empty for all.
        """
        size, position, seq = len(stretch), stretch.position, stretch.seq
        stamps, ids = stretch.stamps, stretch.ids
        counts = bytes((1,)) * size
        if not self._standings.all_count(stretch.feed, stamps):
            events = stretch.events()
            counts = bytes(map(self._standings.counts, events))
            stamps = [self._standings.stamp(event).packed() for event in events]
            self.all_count = False
        seqs: Iterable[int] = range(seq, seq + size)
        positions: Iterable[int] = range(position, position + size)
        if chosen:
            seqs, positions = compress(seqs, chosen), compress(positions, chosen)
            stamps, counts = list(compress(stamps, chosen)), bytes(compress(counts, chosen))
            at = compress(range(0, size * ID_SIZE, ID_SIZE), chosen)
            ids = b"".join([ids[start : start + ID_SIZE] for start in at])
        self._records.extend(records)
        self._said.extend(zip(stamps, repeat(feed_ref(stretch.feed)), seqs, bodies, strict=False))
        self.positions.extend(positions)
        self._ids += ids
        self.counts += counts

    def by_record(self) -> Iterator[list[Came]]:
        """Yield the events of each record, by its number, those of some records at once.

        Cost: a sort of all, and little more for each.
        """
        number_of, said_at = self._records.__getitem__, self._said.__getitem__
        order = sorted(range(len(self)), key=number_of)
        start = 0
        while start < len(order):
            end = min(start + READ_EVENTS, len(order))
            while end < len(order) and number_of(order[end]) == number_of(order[end - 1]):
                end += 1
            places = order[start:end]
            records, said = list(map(number_of, places)), list(map(said_at, places))
            ends = [at for at, (one, next_) in enumerate(pairwise(records), 1) if one != next_]
            yield [
                Came(self, records[at], places[at:until], said[at:until])
                for at, until in pairwise((0, *ends, len(places)))
            ]
            start = end
