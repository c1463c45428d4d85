"""Rows of a damaged store, sorted out in a file of their own: so that memory stays small."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import BODY_SIZE_MAX, ID_SIZE, NO_PREV, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.errors import MalformedError
from meshlog.store.checksums import crc_of
from meshlog.store.lots import is_lot, is_row
from meshlog.store.pages import Found, Pages, Place
from meshlog.store.runs import crc_of_run, events_told_by, unpack_run

META_SIZE_MAX = 65_536
POSITION_MAX = 2**48

DOUBTFUL_MAX = 200
"""Damaged rows of which each bit is tried: some 0.2 s each. More are no flipped bits."""

BELIEVED_EVENTS = 65_536
"""Events lost at the end of a log of which a mere head or cut can tell. A guess."""

REROUTED_MAX = 50
"""Runs whose other pages are looked for where a bit may have sent us elsewhere; some 0.1 s each."""

_RUN_COLUMNS = 9
"""With the signature, which rows of earlier schemas lack."""

_NOBODY = FeedKey(AuthorId(bytes(AUTHOR_ID_SIZE)), FeedKind.DATA, 0)
"""Whose a run is, until its feed's row was found."""

_SCHEMA = """
    CREATE TABLE event (position, stamp, id, body, digest, UNIQUE (position, digest));
    CREATE TABLE run (
        position, feed, seq, base, events, page, in_wal, at, UNIQUE (position, feed, seq, base));
    CREATE TABLE feed (feed, author, kind, incarnation, UNIQUE (feed, author, kind, incarnation));
    CREATE TABLE cut (position, signature, UNIQUE (position, signature));
    CREATE TABLE placed (position, row, feed, seq, prev, id);
    CREATE INDEX placed_position ON placed (position);
    CREATE INDEX placed_id ON placed (id);
    CREATE INDEX placed_seq ON placed (feed, seq);
    CREATE TABLE head (position, feed, seq, id, UNIQUE (position, feed, seq, id));
    CREATE INDEX head_id ON head (id);
    CREATE TABLE meta (key, value, UNIQUE (key, value));
"""


class Shard(NamedTuple):
    """An event as a row has it: where it stands in a feed is told elsewhere, or not at all."""

    row: int
    """Number of the row among the shards; 0 while it is not there."""
    position: int
    stamp: Stamp
    id: bytes
    body: bytes


class RunRow(NamedTuple):
    """Where a run of events stands in its feed, as a row says whose checksum fits."""

    position: int
    feed: FeedKey
    seq: int
    base: int | None
    events: int
    place: Place | None
    """Of its row, where that goes on on other pages."""


class Shards:
    """Everything that the pages of a store still say. Close it: its file goes then.

    Rows that do not hold are read again with each bit flipped, and then from anywhere on
    their pages.

    Args:
        path: The damaged store; only read.
        folder: Where there is room for as much again.
        advance: Called now and then with how many rows were found.
    """

    def __init__(self, path: Path, folder: Path, advance: Callable[[int], None]) -> None:
        self._folder = TemporaryDirectory(prefix=".meshlog-repair-", dir=folder)
        self._db = sqlite3.connect(Path(self._folder.name) / "shards", isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.executescript(_SCHEMA)
        self._pages = Pages(path)
        self._rerouted = 0
        doubtful: list[Found] = []
        self._db.execute("BEGIN")
        for count, row in enumerate(self._pages.rows()):
            if not self._take(row) and len(doubtful) < DOUBTFUL_MAX and _is_doubtful(row):
                doubtful.append(row)
            if count % 1_000 == 0:
                advance(count)
        self._mend(doubtful)
        self._db.execute("COMMIT")
        self.feeds = dict(self._feeds())
        self._number_of = {feed: number for number, feed in self.feeds.items()}

    def close(self) -> None:
        """Forget everything."""
        self._pages.close()
        self._db.close()
        self._folder.cleanup()

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
                place = row.place if row.overflows else (None, None, None)
                events = events_told_by(places)  # lost ones, too: they are named
                self._put("run", at, feed, seq, base, events, *place[:3])
                holds = self._put_events(at, row) > 0
                match signature:
                    case [bytes(signed)] if len(signed) == SIGNATURE_SIZE:
                        self._put("cut", at + events - 1, signed)
                    case [] | [None]:  # a row of an earlier schema, or ending in no cut
                        pass
                    case _:
                        return False
                return holds
            case (None, int(feed), int(seq), bytes(id_)) if len(id_) == ID_SIZE:
                self._put("head", at, feed, seq, id_)
            case (None, bytes(signature)) if len(signature) == SIGNATURE_SIZE:
                self._put("cut", at, signature)
            case (None, bytes(author), int(kind), int(life)):
                return self._put_feed(at, author, kind, life)
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
                return self._put_feed(number, author, kind, life)
            case (str(key), bytes(value), int(crc)) if len(
                value
            ) <= META_SIZE_MAX and crc == crc_of(key, value):
                self._put("meta", key, value)
                return True
        return False

    def _put_loose(self, row: Found) -> None:
        """Take the events of a run that does not hold: its stamps may, and hashes will tell."""
        if row.rowid is not None and 0 < row.rowid < POSITION_MAX:
            events = self._put_events(row.rowid, row)
            match row.values[_RUN_COLUMNS - 1 :]:
                case (bytes(signed),) if events and len(signed) == SIGNATURE_SIZE:
                    self._put("cut", row.rowid + events - 1, signed)

    def _put_events(self, position: int, row: Found) -> int:
        """Take the events of a run, and return how many there are."""
        shards = _shards_of(position, row)
        for shard in shards:
            self.add(shard)
        return len(shards)

    def add(self, shard: Shard) -> int:
        """Keep an event as a row has it, or as it must have been; return its number."""
        if len(shard.body) > BODY_SIZE_MAX:
            return 0
        stamp = shard.stamp.packed()
        whole = stamp.to_bytes(8, "big") + shard.id + shard.body
        digest = hashlib.blake2b(whole, digest_size=16).digest()
        return self._put("event", shard.position, stamp, shard.id, shard.body, digest)

    def _put_feed(self, number: int, author: bytes, kind: int, life: int) -> bool:
        fits = len(author) == AUTHOR_ID_SIZE and kind in (0, 1) and 0 <= life < 2**32
        if fits:
            self._put("feed", number, author, kind, life)
        return fits

    def _put(self, table: str, *values: object) -> int:
        marks = ", ".join("?" * len(values))
        sql = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"  # noqa: S608 - our own words
        return self._db.execute(sql, values).lastrowid or 0

    def _feeds(self) -> Iterator[tuple[int, FeedKey]]:
        """Yield all feeds that rows tell of: two for a number, where one of its rows is damaged."""
        sql = "SELECT rowid, author, kind, incarnation FROM feed ORDER BY rowid"
        for row, author, kind, life in self._db.execute(sql):
            yield row, FeedKey(AuthorId(author), FeedKind(kind), life)

    # ── reading ──

    def positions(self) -> Iterator[int]:
        """Yield the positions at which there are shards, rising."""
        position, sql = 0, "SELECT min(position) FROM event WHERE position > ?"
        while (position := self._db.execute(sql, (position,)).fetchone()[0]) is not None:
            yield position

    def at(self, position: int) -> list[Shard]:
        """Return all shards at a position: mostly one."""
        sql = "SELECT rowid, stamp, id, body FROM event WHERE position = ? ORDER BY rowid"
        return [
            Shard(row, position, Stamp.unpacked(stamp), id_, body)
            for row, stamp, id_, body in self._db.execute(sql, (position,))
        ]

    def rerouted(self, run: RunRow) -> Iterator[list[Shard]]:
        """Yield what the events of a run would be, were a bit flipped in where its pages are."""
        if run.place is None or self._rerouted >= REROUTED_MAX:
            return
        self._rerouted += 1
        self._db.execute("UPDATE run SET page = NULL WHERE position = ?", (run.position,))
        for row in self._pages.rerouted(run.place):
            shards = _shards_of(run.position, row)
            if len(shards) == run.events:
                yield shards

    def place(self, shard: Shard, event: Event, position: int) -> None:
        """Note where a shard belongs."""
        number = self._number_of[event.feed]
        values = (position, shard.row, number, event.seq, event.prev, event.id)
        self._db.execute("INSERT INTO placed VALUES (?, ?, ?, ?, ?, ?)", values)

    def placed(self) -> Iterator[tuple[int, Event]]:
        """Yield every event that was placed, and its position, by position."""
        return self._placed("", ())

    def _placed(self, where: str, values: tuple[int, ...]) -> Iterator[tuple[int, Event]]:
        sql = f"""
            SELECT p.position, feed, seq, prev, p.id, stamp, body
            FROM placed AS p JOIN event AS e ON e.rowid = p.row {where}
            ORDER BY p.position, p.rowid
        """  # noqa: S608 - our own words
        for position, feed, seq, prev, id_, stamp, body in self._db.execute(sql, values):
            event = Event(self.feeds[feed], seq, Stamp.unpacked(stamp), prev, body, EventId(id_))
            yield position, event

    def gaps(self) -> Iterator[int]:
        """Yield the positions at which nothing is placed, up to the last that a row tells of."""
        last = 0
        for (position,) in self._db.execute("SELECT DISTINCT position FROM placed ORDER BY 1"):
            yield from range(last + 1, position)
            last = position
        yield from range(last + 1, self._end(last) + 1)

    def _end(self, placed: int) -> int:
        """Return the last position that a row tells of: the last event of the log is a head.

        Args:
            placed: The last at which an event is. What no checksum covers is believed near it.
        """
        sql = """
            SELECT max(position + events - 1) FROM run
            UNION SELECT max(position) FROM head
                WHERE position < ?1 AND NOT EXISTS (SELECT 1 FROM placed WHERE placed.id = head.id)
            UNION SELECT max(position) FROM cut WHERE position < ?1
        """
        told = self._db.execute(sql, (placed + BELIEVED_EVENTS,))
        return max([placed, *(int(end) for (end,) in told if end is not None)])

    def cuts(self) -> Iterator[tuple[int, bytes]]:
        """Yield positions and signatures of all cuts that rows tell of, by position."""
        sql = "SELECT position, signature FROM cut WHERE position > ? ORDER BY position LIMIT 256"
        position = 0
        while rows := self._db.execute(sql, (position,)).fetchall():
            yield from rows
            position = rows[-1][0]

    def move_cut(self, old: tuple[int, bytes], new: tuple[int, bytes]) -> None:
        """Note where a signature belongs, and what it was."""
        self._db.execute("DELETE FROM cut WHERE position = ? AND signature = ?", old)
        self._put("cut", *new)

    def placed_at(self, position: int) -> list[Event]:
        """Return the events that were placed at a position."""
        return [event for _, event in self._placed("WHERE p.position = ?", (position,))]

    def count(self) -> int:
        """Return how many shards there are."""
        return int(self._db.execute("SELECT count(*) FROM event").fetchone()[0])

    def run_at(self, position: int) -> list[RunRow]:
        """Return the runs that hold a position, by their own rows: mostly one."""
        sql = """
            SELECT position, feed.rowid, seq, base, events, page, in_wal, at
            FROM run JOIN feed USING (feed) WHERE position =
            (SELECT max(position) FROM run WHERE position <= ?1) AND position + events > ?1
        """
        return [
            RunRow(
                start,
                self.feeds[feed],
                seq,
                base,
                events,
                None if page is None else Place(page, bool(in_wal), at, is_table=True),
            )
            for start, feed, seq, base, events, page, in_wal, at in self._db.execute(
                sql, (position,)
            )
        ]

    def told_of(self, position: int) -> tuple[FeedKey, int] | None:
        """Return feed and seq of a lost event, by a row that tells of it or of one soon after."""
        sql = """
            SELECT feed.rowid, seq - (position - ?1) FROM
                (SELECT position, feed, seq FROM head
                 UNION SELECT base, feed, seq - 1 FROM run WHERE base NOTNULL)
            JOIN feed USING (feed)
            WHERE position BETWEEN ?1 AND ?1 + 63 AND seq > position - ?1
            AND NOT EXISTS (SELECT 1 FROM placed WHERE placed.position BETWEEN ?1 AND position)
            ORDER BY position
        """
        for feed, seq in self._db.execute(sql, (position,)):
            held = "SELECT 1 FROM placed WHERE feed = ? AND seq = ?"
            if self._db.execute(held, (feed, seq)).fetchone() is None:
                return self.feeds[feed], seq
        return None

    def ids_at(self, position: int) -> list[bytes]:
        """Return the ids that a position has: the proven one, and what rows say."""
        sql = """
            SELECT id FROM placed WHERE position = ?1
            UNION SELECT id FROM event WHERE position = ?1
        """
        return [id_ for (id_,) in self._db.execute(sql, (position,))]

    def cuts_at(self, position: int) -> list[bytes]:
        """Return the signatures that rows give to a position."""
        found = self._db.execute("SELECT signature FROM cut WHERE position = ?", (position,))
        return [signature for (signature,) in found]

    def is_head(self, event_id: bytes) -> bool:
        """Say whether a row names an event as the last of its branch."""
        found = self._db.execute("SELECT 1 FROM head WHERE id = ?", (event_id,))
        return found.fetchone() is not None

    def meta(self, key: str) -> list[bytes]:
        """Return the values that rows give to a key, the last found first."""
        found = self._db.execute("SELECT value FROM meta WHERE key = ? ORDER BY rowid DESC", (key,))
        return [value for (value,) in found]


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
