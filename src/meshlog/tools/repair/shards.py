"""Rows of a damaged store, sorted out in a file of their own: so that memory stays small."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from meshlog.core.event import BODY_SIZE_MAX, Event, EventId
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.hlc import Stamp
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.store.pages import Place

BELIEVED_EVENTS = 65_536
"""Events lost at the end of a log of which a mere head or cut can tell. A guess."""

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
    """Everything that the pages of a store still say: first all of it is put, then it is read.

    Close it: its file goes then.

    Args:
        folder: Where there is room for as much as the store has.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = TemporaryDirectory(prefix=".meshlog-repair-", dir=folder)
        self._db = sqlite3.connect(Path(self._folder.name) / "shards", isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        self.feeds: dict[int, FeedKey] = {}
        """By the number that rows know a feed by."""
        self._number_of: dict[FeedKey, int] = {}

    def close(self) -> None:
        """Forget everything."""
        self._db.close()
        self._folder.cleanup()

    # ── putting ──

    def put_run(
        self, position: int, feed: int, seq: int, base: int | None, events: int, place: Place | None
    ) -> None:
        """Keep where a run of events stands, and where its row lies if it has other pages."""
        where = (None, None, None) if place is None else place[:3]
        self._put("run", position, feed, seq, base, events, *where)

    def put_head(self, position: int, feed: int, seq: int, event_id: bytes) -> None:
        """Keep that an event is the last of its branch."""
        self._put("head", position, feed, seq, event_id)

    def put_cut(self, position: int, signature: bytes) -> None:
        """Keep the signature of the event at a position."""
        self._put("cut", position, signature)

    def put_meta(self, key: str, value: bytes) -> None:
        """Keep a value of the store's meta."""
        self._put("meta", key, value)

    def add(self, shard: Shard) -> int:
        """Keep an event as a row has it, or as it must have been; return its number."""
        if len(shard.body) > BODY_SIZE_MAX:
            return 0
        stamp = shard.stamp.packed()
        whole = stamp.to_bytes(8, "big") + shard.id + shard.body
        digest = hashlib.blake2b(whole, digest_size=16).digest()
        return self._put("event", shard.position, stamp, shard.id, shard.body, digest)

    def put_feed(self, number: int, author: bytes, kind: int, life: int) -> bool:
        """Keep whose a number is; return whether it can be anybody's."""
        fits = len(author) == AUTHOR_ID_SIZE and kind in (0, 1) and 0 <= life < 2**32
        if fits:
            self._put("feed", number, author, kind, life)
        return fits

    def finish(self) -> None:
        """Take that everything was put: from now on it is read."""
        self._db.execute("COMMIT")
        self.feeds = dict(self._feeds())
        self._number_of = {feed: number for number, feed in self.feeds.items()}

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

    def forget_pages(self, run: RunRow) -> None:
        """Note that a run's other pages need not be looked for again."""
        self._db.execute("UPDATE run SET page = NULL WHERE position = ?", (run.position,))

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
