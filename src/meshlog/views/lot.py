"""Data events brought together by the records that they touch, in columns: little memory each."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from io import BytesIO
from itertools import accumulate, compress, count, pairwise, repeat
from operator import iadd, itemgetter, lt, sub
from typing import TypeAlias

from meshlog.core.event import ID_SIZE
from meshlog.errors import MalformedError
from meshlog.ports.log import Stretch
from meshlog.views.changes import Change, Unreadable, feed_ref, read_changes
from meshlog.views.fold import Told
from meshlog.views.standing import Standings

READ_EVENTS = 2_048
"""Events found at once, the rest of the last one's record beyond. A choice."""

_ENTRY, _ENTRY_WORDS = struct.Struct("=qqIIqII"), 10
"""Of an event: stamp, packed; where its body begins, and how many bytes it has; its place in the
lot, its seq, the number of its feed, and that of its record."""

_RECORD = itemgetter(6)

_SHELF_RECORDS = 128
"""Records whose events are kept together, as they come, and sorted by record when they are asked
for: a buffer for each record, or one sort of all, takes three times as long. Measured."""

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
    def disordered(self) -> AbstractSet[bytes]:
        """See ``Lot.disordered``."""
        return self._lot.disordered

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

    def changes(self) -> list[Change | Unreadable | None]:
        """Return what each of them does."""
        return read_changes([body for *_, body in self.said])

    def doing_to(self, record_id: str, changes: Iterable[Change | Unreadable | None]) -> list[Told]:
        """Return those that count and do something to a record, each of which does these."""
        lot = self._lot
        return [
            Told(*said[:3], lot.id_at(at), change)
            for at, said, change in zip(self._places, self.said, changes, strict=True)
            if lot.counts[at] and type(change) is Change and change.record_id == record_id
        ]


class Lot:
    """Some data events of a log. Memory: about 90 bytes for each, and its body."""

    def __init__(self, standings: Standings) -> None:
        """Take events, as they stand by ``standings``."""
        self._standings = standings
        self._shelves: defaultdict[int, bytearray] = defaultdict(bytearray)
        """Entries of events, by the number of their records over ``_SHELF_RECORDS``."""
        self._bodies = BytesIO()
        self._ids = bytearray()
        self._feeds: dict[bytes, int] = {}
        """Numbers of feeds, which are as a ``Ref`` names them."""
        self._latest: dict[bytes, tuple[int, int]] = {}
        """Stamp and seq of the last event of each feed."""
        self.positions = array("q")
        self.counts = bytearray()
        """1 for each that counts, else 0."""
        self.all_count = True
        self.disordered: set[bytes] = set()
        """Feeds, as a ``Ref`` names them, in which stamp or seq does not rise: of twins, or where
        a fix of a clock begins."""

    def __len__(self) -> int:
        """Return how many events there are."""
        return len(self.positions)

    def id_at(self, place: int) -> bytes:
        """Return the id of an event."""
        return bytes(self._ids[place * ID_SIZE : (place + 1) * ID_SIZE])

    def take(
        self,
        stretch: Stretch,
        bodies: Sequence[bytes],
        records: Sequence[int],
        chosen: Sequence[int] = (),
    ) -> None:
        """Take events of a data feed that came after all that was taken.

        Args:
            stretch: The events.
            bodies: Of those that are chosen.
            records: The number of the record that each of them touches.
            chosen: Not 0 for each event that is; empty for all.

        Raises:
            MalformedError: The stretch is damaged.
        """
        size, position, seq = len(stretch), stretch.position, stretch.seq
        stamps, ids = stretch.stamps, stretch.ids
        counts = bytes((1,)) * size
        if not self._standings.all_count(stretch.feed, stamps):
            events = stretch.events()
            counts = bytes(map(self._standings.counts, events))
            stamps = [self._standings.stamp(event).packed() for event in events]
            self.all_count = False
        feed = feed_ref(stretch.feed)
        self._note_order(feed, stamps, seq)
        seqs: Iterable[int] = range(seq, seq + size)
        positions: Iterable[int] = range(position, position + size)
        if chosen:
            seqs, positions = compress(seqs, chosen), compress(positions, chosen)
            stamps, counts = list(compress(stamps, chosen)), bytes(compress(counts, chosen))
            at = compress(range(0, size * ID_SIZE, ID_SIZE), chosen)
            ids = b"".join([ids[start : start + ID_SIZE] for start in at])
        sizes = list(map(len, bodies))
        starts = accumulate(sizes, initial=self._bodies.tell())
        number = repeat(self._feeds.setdefault(feed, len(self._feeds)))
        entries = map(_ENTRY.pack, stamps, starts, sizes, count(len(self)), seqs, number, records)
        shelves = [self._shelves[record // _SHELF_RECORDS] for record in records]
        try:
            deque(map(iadd, shelves, entries), maxlen=0)
        except struct.error as error:  # a damaged seq can be any number
            raise MalformedError("place in a feed") from error
        self._bodies.write(b"".join(bodies))
        self.positions.extend(positions)
        self._ids += ids
        self.counts += counts

    def _note_order(self, feed: bytes, stamps: Sequence[int], seq: int) -> None:
        stamp_before, seq_before = self._latest.get(feed, (-1, 0))
        if seq <= seq_before or not all(map(lt, [stamp_before, *stamps], stamps)):
            self.disordered.add(feed)
        self._latest[feed] = max(stamp_before, *stamps), seq + len(stamps) - 1

    def by_record(self) -> Iterator[list[Came]]:
        """Yield the events of each record, by its number, those of some records at once; once.

        Cost: little more for each than to make what is yielded.
        """
        bodies, feeds = self._bodies.getvalue(), list(self._feeds)
        for shelf in sorted(self._shelves):
            for entries in _sorted(bytes(self._shelves.pop(shelf))):
                yield self._came(entries, bodies, feeds)

    def _came(
        self, entries: Iterable[tuple[int, ...]], bodies: bytes, feeds: Sequence[bytes]
    ) -> list[Came]:
        """Return the events of some records, by record."""
        stamps, starts, sizes, places, seqs, numbers, records = zip(*entries, strict=True)
        found = [bodies[at : at + size] for at, size in zip(starts, sizes, strict=True)]
        refs = map(feeds.__getitem__, numbers)
        said = list(zip(stamps, refs, seqs, found, strict=True))
        firsts = compress(range(1, len(said)), map(sub, records[1:], records))
        return [
            Came(self, records[at], places[at:end], said[at:end])
            for at, end in pairwise((0, *firsts, len(said)))
        ]


def _sorted(entries: bytes) -> Iterator[Iterable[tuple[int, ...]]]:
    """Yield entries by record, those of some records at once; of one as they came."""
    if len(entries) <= READ_EVENTS * _ENTRY.size:
        yield sorted(_ENTRY.iter_unpack(entries), key=_RECORD)
        return
    records = array("I", entries)[_ENTRY_WORDS - 1 :: _ENTRY_WORDS]
    order = sorted(range(len(records)), key=records.__getitem__)
    start = 0
    while start < len(order):
        end = min(start + READ_EVENTS, len(order))
        while end < len(order) and records[order[end]] == records[order[end - 1]]:
            end += 1
        at = [place * _ENTRY.size for place in order[start:end]]
        yield _ENTRY.iter_unpack(b"".join([entries[place : place + _ENTRY.size] for place in at]))
        start = end
