"""A view of one's own over a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshlog.core.feed import FeedKind
from meshlog.replica import Replica
from meshlog.views.reduction import Reduction

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from meshlog.core.identity import AuthorId
    from meshlog.ports.store import Store
    from meshlog.replica.ledger import Ledger
    from meshlog.views.reducer import Reducer, State


class NodeReduction:
    """What a reducer makes of a node's events; ``Node.reduction`` makes it."""

    def __init__(
        self,
        store: Store,
        current: Callable[[], AbstractContextManager[Replica]],
        reducer: Reducer,
    ) -> None:
        """Serve one reducer over the replica in ``store``; ``NodeReader.current`` hands it out."""
        self._current = current
        self._reduction = Reduction(store, reducer)
        self._grounds: dict[AuthorId, bytes] = {}
        self._ledger: Ledger | None = None
        """By which the grounds were worked out."""

    def state(self) -> State:
        """Return the state that the events held now make; a copy.

        Raises:
            ReducerError: The reducer raised; it names the event, and nothing was done.
            InputError: The state is not what can be kept; nothing was done.
            StoreError: The disk refused; nothing was done.

        Cost: O(state + new events); where one comes late, O(what comes after it).
        """
        with self._current() as replica:
            ledger = replica.ledger
            standings = ledger.standings(replica.store)
            if ledger is not self._ledger:
                authors = {feed.author for feed in ledger.frontier if feed.kind is FeedKind.DATA}
                self._grounds, self._ledger = standings.grounds(authors), ledger
            return self._reduction.state(standings, self._grounds)

    def skipped(self) -> list[tuple[str, str]]:
        """Return id, in hex, and reason of each event that the reducer could not read, in order.

        As of the last ``state``. Cost: O(events that the reducer takes).
        """
        with self._current():
            return [(event_id.hex(), why) for event_id, why in self._reduction.skipped()]

    def drop(self) -> None:
        """Forget what the store keeps for this reducer; ``state`` makes it again."""
        with self._current():
            self._reduction.drop()
