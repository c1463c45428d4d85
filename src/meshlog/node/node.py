"""A node: replica, transport and clock. Also the seed's synchronous ``Node``."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast

from meshlog.core.event import Event
from meshlog.core.identity import Identity, name_identity
from meshlog.core.roster import label
from meshlog.errors import InputError
from meshlog.node.clock import HLC
from meshlog.node.exchange import LinkLoop, SeamExchange
from meshlog.node.feedstore import FeedStore, event_counts
from meshlog.node.status import node_status
from meshlog.ports import Links, Store, Transport
from meshlog.replica import Replica, join_open
from meshlog.replica.seat import load
from meshlog.store.identity_file import load_identity, save_identity
from meshlog.store.sqlite import SqliteStore
from meshlog.sync.effects import Changed, Poke
from meshlog.sync.policy import Policy
from meshlog.views.records import Record


class Node:
    """One device's copy of a dataset, writing and syncing.

    The constructor is the seed's: it opens (or creates) a copy of the *open dataset*, where
    every author is a member. Datasets with a roster are opened with ``Node.over``.

    Example:
        >>> from meshlog import Node, SimNetwork, SimTransport
        >>> air = SimNetwork()
        >>> base = Node("base", SimTransport("base", air))
        >>> team = Node("team", SimTransport("team", air))
        >>> _ = team.create_record("R-1", "water_point"), team.set_field("R-1", "working", True)
        >>> base.gossip_round()
        >>> base.view()["R-1"]["fields"]
        {'working': True}
    """

    def __init__(
        self,
        author: str | Identity,
        transport: Transport | Links | None,
        persist_path: str | Path | None = None,
        hlc: HLC | None = None,
        *,
        seated: Store | None = None,
        policy: Policy | None = None,
    ) -> None:
        """Open a copy of the open dataset.

        Args:
            author: A display name, which makes a local identity (kept beside the store where
                there is one), or an identity.
            transport: Either kind of transport; one with links starts syncing at once.
            persist_path: The store's file; None keeps everything in memory.
            hlc: A clock to tell the time with; by default the machine's.
            seated: See ``over``.
            policy: See ``over``.

        Raises:
            StoreError: The file is not a store, is damaged, or another process writes to it.
            IdentityError: The identity file is damaged, or is not the store's.
        """
        self.lock = threading.RLock()
        """Hold it while touching ``replica``: a transport's thread works on it, too."""
        self.hlc = hlc or HLC()
        self._owned_store: Store | None = None
        if seated is None:
            self._owned_store = seated = SqliteStore(persist_path or ":memory:")
        try:
            own = author if isinstance(author, Identity) else getattr(transport, "identity", None)
            identity = own or _identity_for(str(author), persist_path)
            if self._owned_store and load(seated, identity) is None:
                join_open(seated, identity, author if isinstance(author, str) else _hex(identity))
            system = random.SystemRandom()
            self.replica = Replica(seated, identity, self.now_ms(), system, policy)
        except BaseException:
            if self._owned_store:
                self._owned_store.close()
            raise
        self.author = self.replica.seat.name
        self.store = FeedStore(replica=self.replica)
        self._loop: LinkLoop | None = None
        self._seam: SeamExchange | None = None
        if transport is not None and hasattr(transport, "ask"):
            links = cast("Links", transport)
            self._loop = LinkLoop(self.replica, links, self.lock, self.now_ms)
            if self._owned_store:
                self.start()
        elif transport is not None:
            seam = cast("Transport", transport)
            self._seam = SeamExchange(self.replica, seam, self.lock, self.now_ms)

    @classmethod
    def over(
        cls,
        store: Store,
        identity: Identity,
        links: Links | None = None,
        policy: Policy | None = None,
    ) -> Self:
        """Return a node over an open store in which a seat was taken; ``start`` makes it sync.

        Args:
            store: Stays the caller's to close.
            identity: This device's.
            links: How to reach peers; None for a device that only writes and reads.
            policy: How eager to sync.
        """
        return cls(identity, links, seated=store, policy=policy)

    def now_ms(self) -> int:
        """Return the wall time by this node's clock."""
        return self.hlc.clock()

    def start(self) -> None:
        """Begin to sync over links; nothing to do where there are none."""
        if self._loop is not None:
            self._loop.start()

    def close(self) -> None:
        """Stop syncing and release what this node opened. Idempotent."""
        for exchange in (self._loop, self._seam):
            if exchange is not None:
                exchange.close()
        if self._owned_store is not None:
            with self.lock:
                self._owned_store.close()

    # ── writing ─────────────────────────────────────────────────────────────────────

    def emit(self, kind: str, payload: Mapping[str, Any]) -> Event:
        """Write one event; durable when this returns. See ``emit_many``."""
        return self.emit_many([(kind, payload)])[0]

    def emit_many(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Event]:
        """Write events in one transaction: all of them or none.

        Raises:
            InputError: A kind or payload cannot be carried (see ``core.event.encode_body``).
            StoreError: The disk refused.
        """
        with self.lock:
            events = self.replica.append_many(items, self.now_ms())
            self.hlc.latest = self.replica.ledger.clock
        if self._loop is not None:
            self._loop.tell(Changed())
        return events

    def create_record(self, record_id: str, form: str) -> Event:
        """Create a record of a form."""
        return self.emit("record.create", {"record_id": record_id, "form": form, "by": self.author})

    def put_record(
        self, record_id: str, fields: Mapping[str, Any], form: str | None = None
    ) -> Event:
        """Write many fields of a record in one event; with a form, create it, too."""
        payload: dict[str, Any] = {"record_id": record_id, "fields": fields}
        return self.emit(
            "record.put", payload if form is None else payload | {"form": form, "by": self.author}
        )

    def set_field(self, record_id: str, field: str, value: object) -> Event:
        """Write one field of a record."""
        return self.emit("field.set", {"record_id": record_id, "field": field, "value": value})

    def add_note(self, record_id: str, text: str) -> Event:
        """Add a note to a record; notes never conflict."""
        return self.emit("note.add", {"record_id": record_id, "text": text})

    def add_attachment(
        self, record_id: str, field: str, blob_hash: str, size: int, mime: str
    ) -> Event:
        """Note that a file belongs to a record: its hash, size in bytes and media type."""
        return self.emit(
            "attachment.add",
            {
                "record_id": record_id,
                "field": field,
                "blob_hash": blob_hash,
                "size": size,
                "mime": mime,
            },
        )

    def delete_record(self, record_id: str) -> Event:
        """Delete a record as it is seen here; a write that this delete had not seen keeps it."""
        return self.emit("record.delete", {"record_id": record_id})

    # ── reading ─────────────────────────────────────────────────────────────────────

    def view(self) -> dict[str, dict[str, Any]]:
        """Return every visible record, as ``materialize`` does. Cost: O(records)."""
        with self.lock:
            self.replica.advance_horizon(self.now_ms())
            return self.replica.view.snapshot()

    def record(self, record_id: str) -> Record | None:
        """Return one record, deleted ones included; None where nothing is known of it."""
        with self.lock:
            return self.replica.record(record_id)

    def frontier(self) -> dict[str, int]:
        """Return how many data events are held of each author, by its label."""
        with self.lock:
            roster = self.replica.ledger.roster
            counts = event_counts(self.replica)
            return {label(roster, author): count for author, count in counts.items()}

    def status(self) -> dict[str, Any]:
        """Return how this node and its peers stand, in values that JSON can carry."""
        links = self._loop.links if self._loop is not None else None
        with self.lock:
            return node_status(self.replica, links, self.now_ms())

    # ── syncing ─────────────────────────────────────────────────────────────────────

    def gossip_round(self) -> None:
        """Ask everyone in reach; over the seed's seam, run until nobody has more to say."""
        if self._seam is not None:
            self._seam.gossip()
        elif self._loop is not None:
            self.poke()
        else:
            raise InputError("this node has no transport")

    def poke(self) -> None:
        """Ask everyone in range now instead of when it is due."""
        if self._loop is not None:
            self._loop.tell(Poke())


def _identity_for(name: str, persist_path: str | Path | None) -> Identity:
    """Return the identity of a plain name: beside the store, or of this process."""
    system = random.SystemRandom()
    if persist_path is None:
        identity = Identity(system.randbytes(64))
    else:
        path = Path(f"{persist_path}.identity")
        private = load_identity(path)
        if private is None:
            private = system.randbytes(64)
            save_identity(path, private)
        identity = Identity(private)
    name_identity(name, identity)
    return identity


def _hex(identity: Identity) -> str:
    return identity.author.hex()
