"""A device's storage: a store that can be copied, put back, filled up, and lose power.

In memory, because a swarm opens tens of thousands; ``diskcard`` has those on a disk that forgets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshlog.sim.card import CardGuard
from meshlog.store.events import EventTable
from meshlog.store.file import MEMORY, StoreFile
from meshlog.store.instance import Instance
from meshlog.store.sqlite import SqliteStore

ROOM_PAGES = 1 << 30


class PowerLostError(BaseException):
    """The device lost its power in the middle of an operation; nothing of ours may catch it."""


class CardFile(StoreFile):
    """A store's file in memory whose power can go at any statement, or whose room can end."""

    def __init__(self, image: bytes | None = None) -> None:
        """Begin empty, or with what an ``image`` holds."""
        super().__init__(MEMORY, read_only=False)
        self.operations = 0
        """Statements and commits so far."""
        self._power_lasts: int | None = None
        self._lost_after_commit = False
        if image is not None:
            self._open.deserialize(image)

    def write(self, sql: str, values: Sequence[object] = ()) -> int:
        """See StoreFile.write."""
        self._spend()
        return super().write(sql, values)

    def write_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """See StoreFile.write_many."""
        self._spend()
        super().write_many(sql, rows)

    def commit(self) -> None:
        """See StoreFile.commit."""
        if self._lost_after_commit:
            super().commit()
            self._spend()
        else:
            self._spend()
            super().commit()

    def fail_power(self, after: int | None, *, after_commit: bool) -> None:
        """Let the power go.

        Args:
            after: How many operations pass before; None keeps it.
            after_commit: Whether a commit that it goes at is on the card by then.
        """
        self._power_lasts, self._lost_after_commit = after, after_commit

    def image(self) -> bytes:
        """Return every byte of the file, as a copy of the card has them."""
        return self._open.serialize()

    def set_room(self, *, is_full: bool) -> None:
        """Let the disk be full from now on, or have room."""
        pages = self.run("PRAGMA page_count")[0][0] if is_full else ROOM_PAGES
        self.run(f"PRAGMA max_page_count = {pages}")

    def _spend(self) -> None:
        self.operations += 1
        if self._power_lasts is not None:
            self._power_lasts -= 1
            if self._power_lasts < 0:
                raise PowerLostError


class Card(SqliteStore):
    """The store of a simulated device."""

    def __init__(self, image: bytes | None = None, guard: CardGuard | None = None) -> None:
        """Take what an ``image`` holds; the guard is what stands beside the store."""
        self.file = CardFile(image)
        self.guard = guard or CardGuard()
        self._instance = Instance(self.guard)
        EventTable.__init__(self, self.file)

    def after_power_cut(self) -> Card:
        """Return the card as it is found after the power went; this one is closed."""
        found = self.another(self.file.image(), self.guard)
        self.close()
        return found

    def close(self) -> None:
        """Let go of it as a power cut does: nothing more is written, so no power goes meanwhile."""
        self._instance.close()
        self.file.close()

    def another(self, image: bytes, guard: CardGuard | None) -> Card:
        """Return a new card of the same make that holds an image."""
        return Card(image, guard)
