"""Small numbers that stand for feeds in the tables."""

from __future__ import annotations

from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.store.file import StoreFile


class FeedNumbers:
    """All feeds, both ways; new ones belong to the open transaction."""

    def __init__(self, file: StoreFile) -> None:
        """Read all feeds. O(feeds)."""
        self._file = file
        self._feed_of: dict[int, FeedKey] = {}
        self._number_of: dict[FeedKey, int] = {}
        self._new: list[int] = []
        for number, author, kind, incarnation in file.run("SELECT * FROM feed"):
            if not (
                type(author) is bytes
                and len(author) == AUTHOR_ID_SIZE
                and kind in (FeedKind.CONTROL, FeedKind.DATA)
                and type(incarnation) is int
                and 0 <= incarnation < 1 << 32
            ):
                raise file.damaged()
            self._keep(number, FeedKey(AuthorId(author), FeedKind(kind), incarnation))

    def _keep(self, number: int, feed: FeedKey) -> int:
        self._feed_of[number] = feed
        self._number_of[feed] = number
        return number

    def find(self, feed: FeedKey) -> int | None:
        """Return the number of a feed, or None."""
        return self._number_of.get(feed)

    def make(self, feed: FeedKey) -> int:
        """Return the number of a feed; a new one is written with the open transaction."""
        number = self._number_of.get(feed)
        if number is None:
            sql = "INSERT INTO feed (author, kind, incarnation) VALUES (?, ?, ?)"
            values = (feed.author, int(feed.kind), feed.incarnation)
            number = self._keep(self._file.write(sql, values), feed)
            self._new.append(number)
        return number

    def feed(self, number: int) -> FeedKey:
        """Return the feed with a number.

        Raises:
            StoreError: There is none: the file is damaged.
        """
        try:
            return self._feed_of[number]
        except KeyError as error:
            raise self._file.damaged() from error

    def accept(self) -> None:
        """Keep what is new: the transaction is durable."""
        self._new.clear()

    def restore(self) -> None:
        """Forget what is new: the transaction never was."""
        for number in self._new:
            del self._number_of[self._feed_of.pop(number)]
        self._new.clear()
