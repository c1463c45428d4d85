"""Where a device writes: its store, what it holds of it in memory, and its own two feeds.

Everything that changes a replica goes through ``Desk.change``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from meshlog.core.chain import Chain
from meshlog.core.event import DatasetId, Event
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.identity import AuthorId, Identity
from meshlog.errors import StoreError
from meshlog.ports.store import Store
from meshlog.replica.ledger import Ledger
from meshlog.replica.pen import Pen
from meshlog.replica.refold import stale_records
from meshlog.replica.seat import Seat
from meshlog.views.fold import told_by
from meshlog.views.live import LiveView
from meshlog.views.recent import Recent
from meshlog.views.standing import Standings


class _Change(AbstractContextManager[Ledger]):
    """A transaction of a desk; see ``Desk.change``."""

    __slots__ = ("_desk", "_ledger", "_transaction")

    def __init__(self, desk: Desk) -> None:
        self._desk, self._ledger = desk, desk.ledger.copy()
        self._transaction = desk.store.transaction()

    def __enter__(self) -> Ledger:
        self._transaction.__enter__()
        return self._ledger

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transaction.__exit__(kind, error, trace)
        if kind is None:
            self._desk.ledger, self._desk.trouble = self._ledger, ""


class Desk:
    """A store and its ledger, which change together or not at all."""

    def __init__(self, store: Store, identity: Identity, seat: Seat) -> None:
        """Read what ``store`` holds; it stays the caller's, and the seat is that of ``identity``.

        Raises:
            StoreError: The store is damaged.
        """
        self.store = store
        self.identity = identity
        self.seat = seat
        self.pen = Pen(store, identity, seat.dataset)
        self.view = LiveView(store, self.standings)
        self.recent = Recent(store, self.view)
        self.ledger = Ledger.load(store, seat.dataset)
        """Of what is durable; replaced whole, never changed."""
        self.trouble = ""
        """What the disk refused last, in one sentence; empty where nothing."""
        self._own_feeds = feeds_of(identity.author, 0)
        if store.get_meta("horizon") is None:
            self._pass_own_ends()
        if not self.view.is_current():
            with store.transaction():
                self.view.mark_all()

    def _pass_own_ends(self) -> None:
        """Put the clock behind what we wrote: without a horizon the log does not tell it.

        What goes on with a feed and is stamped before its end, nobody would take.
        """
        for feed in self.own_feeds:
            for head in self.ledger.frontier.get(feed, ()):
                for _, stamp in self.ledger.events_at(feed, head.seq, self.store):
                    self.ledger.clock = max(self.ledger.clock, stamp)

    @property
    def author(self) -> AuthorId:
        """Who writes here."""
        return self.identity.author

    @property
    def dataset(self) -> DatasetId:
        """What is written about."""
        return self.seat.dataset

    @property
    def own_feeds(self) -> tuple[FeedKey, FeedKey]:
        """The control and the data feed of our life."""
        life = self.ledger.life or 0
        if self._own_feeds[1].incarnation != life:
            self._own_feeds = feeds_of(self.author, life)
        return self._own_feeds

    def standings(self) -> Standings:
        """Return what counts now."""
        return self.ledger.standings(self.store)

    def change(self) -> AbstractContextManager[Ledger]:
        """Open a transaction and give a copy of the ledger, which is ours once that is durable.

        Raises:
            StoreError: The disk refused; nothing changed, as after any other exception.
        """
        return _Change(self)

    def say(
        self, ledger: Ledger, items: Sequence[tuple[str, Mapping[str, Any]]], now_ms: int
    ) -> Sequence[Event]:
        """Write to our control feed, and show what follows, inside ``change``.

        Raises:
            InputError: A payload cannot be carried or read.
        """
        feed = FeedKey(self.author, FeedKind.CONTROL, ledger.life or 0)
        events = self.pen.write(ledger, feed, items, now_ms)
        self.follow(ledger)
        return events

    def follow(
        self, ledger: Ledger, arrived: Sequence[Chain] = (), stale: Iterable[str] = ()
    ) -> None:
        """Bring the view to what ``ledger`` has and ours has not yet, inside ``change``.

        Args:
            ledger: A copy of ours, changed; its events are in the store.
            arrived: What is new in data feeds.
            stale: Records that changed for another reason.
        """
        stale = [*stale, *stale_records(self.store, self.ledger, ledger, arrived)]
        self.view.mark(stale)
        if ledger.decrees.fixes != self.ledger.decrees.fixes:
            told = told_by(event for chain in arrived for event in chain.events())
            records = [*(item.change.record_id for item in told), *stale]
            latest = self.view.latest(records, ledger.standings(self.store))
            ledger.clock = max(ledger.clock, latest)
            ledger.save(self.store)

    def settle(self, events: int) -> bool:
        """Bring some rows of the view up to date; return whether more is left.

        Where the disk refuses, they are made whenever somebody looks.
        """
        try:
            if self.view.is_settled():
                return False
            with self.store.transaction():
                is_left = self.view.settle(events)
        except StoreError as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        return is_left

    def keep_clock(self) -> None:
        """Write the clock where a killed writer left it to the log: so a checkpoint has it.

        Where the disk refuses, the log tells it at the next opening, too.
        """
        if self.store.checkpoint() < self.store.event_count():
            try:
                with self.change() as ledger:
                    ledger.save(self.store)
            except StoreError as error:
                self.trouble = str(error)

    def sign(self) -> None:
        """Sign the ends of our feeds where an earlier version left them unsigned.

        Raises:
            StoreError: The disk refused; nothing was signed.
        """
        tails = [
            events
            for feed in self.own_feeds
            for tip in self.ledger.frontier.get(feed, ())
            if (events := self.pen.unsigned(feed, tip))
        ]
        if tails:
            with self.store.transaction():
                for events in tails:
                    self.pen.sign(events)


def feeds_of(author: AuthorId, life: int) -> tuple[FeedKey, FeedKey]:
    """Return the control and the data feed of a life of a device."""
    return FeedKey(author, FeedKind.CONTROL, life), FeedKey(author, FeedKind.DATA, life)
