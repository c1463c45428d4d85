"""What a replica holds and whom it knows: what sync, transports and readers see of it."""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.core.event import DatasetId
from meshlog.core.feed import FeedKey, Frontier, Head
from meshlog.core.identity import AuthorId
from meshlog.ports.links import Peer
from meshlog.replica import serving
from meshlog.replica.desk import Desk
from meshlog.replica.keeper import KeyKeeper, stands
from meshlog.replica.ledger import Ledger
from meshlog.sync.engine import announce_hint
from meshlog.sync.gate import KeyGate
from meshlog.sync.keyring import KeyRing
from meshlog.views.records import Record


class Held:
    """The reading half of a replica; ``Replica`` writes and takes in."""

    def __init__(self, desk: Desk, keeper: KeyKeeper) -> None:
        """Show what lies on ``desk``, under the keys of ``keeper``."""
        self.store = desk.store
        self.seat = desk.seat
        self.identity = desk.identity
        self.view = desk.view
        self._desk = desk
        self._keeper = keeper

    @property
    def dataset(self) -> DatasetId:
        """The dataset's 32-byte id."""
        return self.seat.dataset

    @property
    def data_feed(self) -> FeedKey:
        """The feed that ``append`` writes to."""
        return self._desk.own_feeds[1]

    @property
    def ledger(self) -> Ledger:
        """Heads, roster, clock and horizon; read only."""
        return self._desk.ledger

    @property
    def trouble(self) -> str:
        """What the disk refused last, in one sentence; empty where nothing."""
        return self._desk.trouble

    def record(self, record_id: str) -> Record | None:
        """Return a record of the live view, hidden ones included."""
        return self.view.get(record_id)

    # ── who belongs ─────────────────────────────────────────────────────────────────

    @property
    def ring(self) -> KeyRing:
        """The dataset's keys that we hold, the newest first."""
        return self._keeper.ring

    def stands(self, author: AuthorId) -> bool | None:
        """Return True for a member, False for one that was removed, None for anybody else."""
        return stands(self.ledger, author)

    def gate(self) -> KeyGate:
        """Return the proof of our links: for the transport."""
        return KeyGate(self.identity, self.dataset, self.ring, self.stands)

    def announce_hint(self) -> bytes:
        """Return the 8 bytes by which an announce says where we stand."""
        return announce_hint(self.ledger.root)

    # ── Holdings: what the engine sees ──────────────────────────────────────────────

    def may_hear(self, peer: Peer) -> bool:
        """See Holdings.may_hear. A member is told by its name, a newcomer by the key it proved."""
        try:
            known = self.stands(AuthorId(bytes.fromhex(peer)))
        except ValueError:  # a name of the simulator's or of a program's
            known = None
        return self.ring.is_current(peer) if known is None else known

    def root(self) -> bytes:
        """See Holdings.root."""
        return self.ledger.root

    def roster_digest(self) -> bytes:
        """See Holdings.roster_digest."""
        return self.ledger.roster_digest

    def event_count(self) -> int:
        """See Holdings.event_count."""
        return self.store.event_count()

    def frontier(self) -> Frontier:
        """See Holdings.frontier."""
        return self.ledger.frontier

    def genesis_feed(self) -> FeedKey | None:
        """See Holdings.genesis_feed."""
        return self.ledger.roster.genesis_feed

    def awaits_genesis(self) -> bool:
        """See Holdings.awaits_genesis."""
        return self.ledger.roster.awaits_genesis

    def indexed_feeds(self) -> Sequence[FeedKey]:
        """See Holdings.indexed_feeds."""
        return self.ledger.indexed

    def id_on_branch(self, feed: FeedKey, tip: Head, seq: int) -> bytes:
        """See Holdings.id_on_branch."""
        return serving.id_on_branch(self.store, feed, tip, seq)

    def holds(self, feed: FeedKey, seq: int, hint: bytes) -> bool:
        """See Holdings.holds."""
        return any(event.id.startswith(hint) for event in self.store.at(feed, seq))

    def segments(
        self,
        feed: FeedKey,
        tip: Head,
        after_seq: int,
        budget_bytes: int,
        *,
        compact: bool = False,
        size_max: int | None = None,
    ) -> tuple[list[bytes], int]:
        """See Holdings.segments."""
        return serving.segments(
            self.store,
            self.ledger,
            feed,
            tip,
            after_seq,
            budget_bytes,
            compact=compact,
            size_max=size_max,
            signer=self.identity if feed.author == self.identity.author else None,
        )
