"""A view of one's own over a node."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from meshlog.core.codec import encode_cbor
from meshlog.replica import Replica
from meshlog.views.reduction import Reduction

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from meshlog.ports import Store
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

    def state(self) -> State:
        """Return the state that the events held now make; a copy.

        Raises:
            ReducerError: The reducer raised; it names the event, and nothing was done.
            InputError: The state is not what can be kept; nothing was done.
            StoreError: The disk refused; nothing was done.

        Cost: O(state + new events); where one comes late, O(what comes after it).
        """
        with self._current() as replica:
            standings = replica.ledger.standings(replica.store)
            return self._reduction.state(standings, _judgement(replica))

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


def _judgement(replica: Replica) -> bytes:
    """Return a digest of what decides which events count, horizon aside.

    That is the control events, the quarantine, and which events are held that cuts end in.
    """
    ledger = replica.ledger
    told = [
        ledger.roster_digest,
        [[feed.packed(), seq] for feed, seq in sorted(ledger.quarantine.items())],
        sorted(tip for tip in ledger.decrees.tips if replica.store.get(tip) is not None),
    ]
    return hashlib.blake2b(encode_cbor(told), digest_size=16).digest()
