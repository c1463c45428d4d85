"""What the pages of a damaged store still tell, row by row, taken apart into shards.

Rows that do not hold are read again with each bit flipped, and then from anywhere on
their pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import ID_SIZE, NO_PREV
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.errors import MalformedError
from meshlog.store.checksums import crc_of
from meshlog.store.lots import is_lot, is_row
from meshlog.store.pages import Found, Pages
from meshlog.store.runs import crc_of_run, events_told_by, unpack_run
from meshlog.tools.repair.shards import RunRow, Shard, Shards

META_SIZE_MAX = 65_536
POSITION_MAX = 2**48

DOUBTFUL_MAX = 200
"""Damaged rows of which each bit is tried: some 0.2 s each. More are no flipped bits."""

REROUTED_MAX = 50
"""Runs whose other pages are looked for where a bit may have sent us elsewhere; some 0.1 s each."""

_RUN_COLUMNS = 9
"""With the signature, which rows of earlier schemas lack."""

_NOBODY = FeedKey(AuthorId(bytes(AUTHOR_ID_SIZE)), FeedKind.DATA, 0)
"""Whose a run is, until its feed's row was found."""


class Sieve:
    """Sifts a damaged store into ``shards``, and looks again where they do not fit together.

    Args:
        path: The damaged store; only read.
        folder: Where there is room for as much again.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.shards = Shards(folder)
        self._pages = Pages(path)
        self._rerouted = 0

    def close(self) -> None:
        """Forget everything."""
        self._pages.close()
        self.shards.close()

    def sift(self, advance: Callable[[int], None]) -> None:
        """Take everything apart; ``advance`` is called now and then with how many rows were found.

        Raises:
            sqlite3.Error: There is no room.
        """
        doubtful: list[Found] = []
        for count, row in enumerate(self._pages.rows()):
            if not self._take(row) and len(doubtful) < DOUBTFUL_MAX and _is_doubtful(row):
                doubtful.append(row)
            if count % 1_000 == 0:
                advance(count)
        self._mend(doubtful)
        self.shards.finish()

    def rerouted(self, run: RunRow) -> Iterator[list[Shard]]:
        """Yield what the events of a run would be, were a bit flipped in where its pages are."""
        if run.place is None or self._rerouted >= REROUTED_MAX:
            return
        self._rerouted += 1
        self.shards.forget_pages(run)
        for row in self._pages.rerouted(run.place):
            shards = _shards_of(run.position, row)
            if len(shards) == run.events:
                yield shards

    def _mend(self, doubtful: Iterable[Found]) -> None:
        """Take damaged rows as they were before a bit flipped, where that can be told."""
        seen = set()
        for row in doubtful:
            flipped = (one for one in self._pages.flipped(row.place) if one.fits)
            if any(map(self._take, flipped)):
                continue
            if any(map(self._take, self._pages.rerouted(row.place))):
                continue  # a run whose bodies may be another's: see ``rerouted``
            self._put_loose(row)
            page = row.place[:2]
            if page not in seen:
                seen.add(page)
                for other in self._pages.elsewhere(row.place):
                    self._take(other)

    def _take(self, row: Found) -> bool:
        """Keep what a row tells; return whether it tells anything, and holds where it can tell."""
        return self._take_placed(row) if row.place.is_table else self._take_keyed(row)

    def _take_placed(self, row: Found) -> bool:
        """Take a row of a table with rowids."""
        at = row.rowid
        if at is None or not 0 < at < POSITION_MAX:
            return False
        match row.values:
            case (None, int(feed), int(seq), int() | None as base, int(crc),
                  bytes(places), bytes(), bytes(), *signature):  # fmt: skip
                if not _fits(crc, crc_of_run(at, feed, seq, base, places)):
                    return False
                place = row.place if row.overflows else None
                events = events_told_by(places)  # lost ones, too: they are named
                self.shards.put_run(at, feed, seq, base, events, place)
                holds = self._put_events(at, row) > 0
                match signature:
                    case [bytes(signed)] if len(signed) == SIGNATURE_SIZE:
                        self.shards.put_cut(at + events - 1, signed)
                    case [] | [None]:  # a row of an earlier schema, or ending in no cut
                        pass
                    case _:
                        return False
                return holds
            case (None, int(feed), int(seq), bytes(id_)) if len(id_) == ID_SIZE:
                self.shards.put_head(at, feed, seq, id_)
            case (None, bytes(signature)) if len(signature) == SIGNATURE_SIZE:
                self.shards.put_cut(at, signature)
            case (None, bytes(author), int(kind), int(life)):
                return self.shards.put_feed(at, author, kind, life)
            case (None, int(until), bytes(pairs), int(crc)):  # of an index, which is made anew
                return is_row((at, until, pairs, crc))
            case (None, int(last), int(crc)):
                return is_lot((at, last, crc))
            case _:
                return False
        return row.fits

    def _take_keyed(self, row: Found) -> bool:
        """Take a row of an index or of a table without rowids."""
        match row.values:
            case (bytes(author), int(kind), int(life), int(number)):
                return self.shards.put_feed(number, author, kind, life)
            case (str(key), bytes(value), int(crc)) if len(
                value
            ) <= META_SIZE_MAX and crc == crc_of(key, value):
                self.shards.put_meta(key, value)
                return True
        return False

    def _put_loose(self, row: Found) -> None:
        """Take the events of a run that does not hold: its stamps may, and hashes will tell."""
        if row.rowid is not None and 0 < row.rowid < POSITION_MAX:
            events = self._put_events(row.rowid, row)
            match row.values[_RUN_COLUMNS - 1 :]:
                case (bytes(signed),) if events and len(signed) == SIGNATURE_SIZE:
                    self.shards.put_cut(row.rowid + events - 1, signed)

    def _put_events(self, position: int, row: Found) -> int:
        """Take the events of a run, and return how many there are."""
        shards = _shards_of(position, row)
        for shard in shards:
            self.shards.add(shard)
        return len(shards)


def _shards_of(position: int, row: Found) -> list[Shard]:
    """Return the events of a run's row; none where it is none, or cannot be taken apart."""
    match row.values:
        case (None, _, _, _, _, bytes(places), bytes(ids), bytes(bodies), *_):
            pass
        case _:
            return []
    try:
        run = unpack_run(position, _NOBODY, 1, NO_PREV, places, ids, bodies)
    except MalformedError:
        return []
    return [
        Shard(0, position + index, Stamp.unpacked(stamp), run.id_at(index), run.body_at(index))
        for index, stamp in enumerate(run.stamps)
    ]


def _fits(crc: int, computed: int) -> bool:
    """Say whether a checksum fits, or would had one of its own bits not flipped."""
    return 0 <= crc < 1 << 32 and (crc ^ computed).bit_count() <= 1


def _is_doubtful(row: Found) -> bool:
    """Say whether a row that told nothing may be one that should."""
    if not row.is_counted:
        return False
    match row.values:
        case (None, str(), *_, last) if row.place.is_table:  # of the view, or of a reducer
            return type(last) is bytes or not row.fits
        case (str(), str(), str(), int(), _) if row.place.is_table:  # of the schema
            return False
        case (int(), int(), int(), bytes(), int()):  # a reducer's
            return not row.fits
        case (str(), str(), int()):
            return True
    return row.place.is_table or not row.fits or any(type(one) is bytes for one in row.values)
