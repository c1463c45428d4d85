"""Rows of a damaged store, sorted out in a file of their own: so that memory stays small."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from meshlog.core.event import BODY_SIZE_MAX, NO_PREV, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, SIGNATURE_SIZE, AuthorId
from meshlog.errors import MalformedError
from meshlog.store.checksums import crc_of
from meshlog.store.pages import Found, found_rows
from meshlog.store.runs import RUN_EVENTS_MAX, unpack_run

ID_SIZE = 32
META_SIZE_MAX = 65_536
POSITION_MAX = 2**48

_NOBODY = FeedKey(AuthorId(bytes(AUTHOR_ID_SIZE)), FeedKind.DATA, 0)
"""Whose a run is, until its feed's row was found."""

_SCHEMA = """
    CREATE TABLE event (position, stamp, id, body, digest, UNIQUE (position, digest));
    CREATE TABLE run (position, feed, seq, base, UNIQUE (position, feed, seq, base));
    CREATE TABLE feed (feed, author, kind, incarnation, UNIQUE (feed, author, kind, incarnation));
    CREATE TABLE cut (position, signature, UNIQUE (position, signature));
    CREATE TABLE placed (position, row, feed, seq, prev, id);
    CREATE INDEX placed_position ON placed (position);
    CREATE TABLE head (id PRIMARY KEY);
    CREATE TABLE meta (key, value, UNIQUE (key, value));
"""


class Shard(NamedTuple):
    """An event as a row has it: where it stands in a feed is told elsewhere, or not at all."""

    row: int
    """Number of the row among the shards."""
    position: int
    stamp: Stamp
    id: bytes
    body: bytes


class RunRow(NamedTuple):
    """Where a run of events stands in its feed, as a row says."""

    position: int
    feed: FeedKey
    seq: int
    base: int | None


class Shards:
    """Everything that the pages of a store still say. Close it: its file goes then.

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
        self._db.execute("BEGIN")
        for count, row in enumerate(found_rows(path)):
            self._take(row)
            if count % 1_000 == 0:
                advance(count)
        self._db.execute("COMMIT")
        self.feeds = dict(self._feeds())
        self._number_of = {feed: number for number, feed in self.feeds.items()}

    def close(self) -> None:
        """Forget everything."""
        self._db.close()
        self._folder.cleanup()

    def _take(self, row: Found) -> None:
        at = row.rowid
        match row.values:
            case (None, int(feed), int(seq), int() | None as base, int(),
                  bytes(places), bytes(ids), bytes(bodies)) if (
                at is not None and 0 < at < POSITION_MAX
            ):  # fmt: skip
                if 0 < seq < 2**32 and feed > 0:
                    self._put("run", at, feed, seq, base)
                self._put_events(at, places, ids, bodies)
            case (None, int(), int(), bytes(id_)) if at is not None and len(id_) == ID_SIZE:
                self._put("head", id_)
            case (None, bytes(signature)) if at is not None and len(signature) == SIGNATURE_SIZE:
                self._put("cut", at, signature)
            case (None, bytes(author), int(kind), int(life)) if at is not None:
                self._put_feed(at, author, kind, life)
            case (bytes(author), int(kind), int(life), int(number)):
                self._put_feed(number, author, kind, life)
            case (str(key), bytes(value), int(crc)) if (
                at is None and len(value) <= META_SIZE_MAX and crc == crc_of(key, value)
            ):
                self._put("meta", key, value)
            case (str(key), bytes(value)) if at is None and len(value) <= META_SIZE_MAX:
                self._put("meta", key, value)

    def _put_events(self, at: int, places: bytes, ids: bytes, bodies: bytes) -> None:
        """Take the events of a run: what its row says of the whole may be damaged."""
        try:
            run = unpack_run(at, _NOBODY, 1, NO_PREV, places, ids, bodies)
        except MalformedError:
            return
        for index, stamp in enumerate(run.stamps):
            id_, body = run.id_at(index), run.body_at(index)
            if len(body) <= BODY_SIZE_MAX:
                whole = stamp.to_bytes(8, "big") + id_ + body
                digest = hashlib.blake2b(whole, digest_size=16).digest()
                self._put("event", at + index, stamp, id_, body, digest)

    def _put_feed(self, number: int, author: bytes, kind: int, life: int) -> None:
        if len(author) == AUTHOR_ID_SIZE and kind in (0, 1) and 0 <= life < 2**32:
            self._put("feed", number, author, kind, life)

    def _put(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)  # noqa: S608 - our own words

    def _feeds(self) -> Iterator[tuple[int, FeedKey]]:
        for number, author, kind, life in self._db.execute("SELECT * FROM feed ORDER BY rowid"):
            yield number, FeedKey(AuthorId(author), FeedKind(kind), life)

    # ── reading ──

    def events(self) -> Iterator[Shard]:
        """Yield all shards by position; where a position has several, all of them."""
        sql = "SELECT rowid, position, stamp, id, body FROM event ORDER BY position, rowid"
        for row, position, stamp, id_, body in self._db.execute(sql):
            yield Shard(row, position, Stamp.unpacked(stamp), id_, body)

    def place(self, shard: Shard, event: Event, position: int) -> None:
        """Note where a shard belongs."""
        number = self._number_of[event.feed]
        values = (position, shard.row, number, event.seq, event.prev, event.id)
        self._db.execute("INSERT INTO placed VALUES (?, ?, ?, ?, ?, ?)", values)

    def placed(self) -> Iterator[tuple[int, Event]]:
        """Yield every event that was placed, and its position, by position."""
        sql = """
            SELECT p.position, feed, seq, prev, p.id, stamp, body
            FROM placed AS p JOIN event AS e ON e.rowid = p.row ORDER BY p.position, p.rowid
        """
        for position, feed, seq, prev, id_, stamp, body in self._db.execute(sql):
            event = Event(self.feeds[feed], seq, Stamp.unpacked(stamp), prev, body, EventId(id_))
            yield position, event

    def gaps(self) -> Iterator[int]:
        """Yield the positions between the first and the last at which nothing was placed."""
        last = 0
        for (position,) in self._db.execute("SELECT DISTINCT position FROM placed ORDER BY 1"):
            yield from range(last + 1, position)
            last = position
        sql = "SELECT max(position) FROM cut WHERE position BETWEEN ? AND ?"
        (beyond,) = self._db.execute(sql, (last, last + RUN_EVENTS_MAX)).fetchone()
        yield from range(last + 1, (beyond or last) + 1)

    def count(self) -> int:
        """Return how many shards there are."""
        return int(self._db.execute("SELECT count(*) FROM event").fetchone()[0])

    def run_at(self, position: int) -> list[RunRow]:
        """Return the runs that may hold a position, by their own rows: mostly one."""
        sql = """
            SELECT position, feed, seq, base FROM run WHERE position =
            (SELECT max(position) FROM run WHERE position <= ?)
        """
        return [
            RunRow(at, self.feeds[feed], seq, base)
            for at, feed, seq, base in self._db.execute(sql, (position,))
            if feed in self.feeds
        ]

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
