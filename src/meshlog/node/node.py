"""A node: replica, transport and clock. Also the seed's synchronous ``Node``."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

from meshlog.core.clockfix import Shift
from meshlog.core.event import Event as CoreEvent
from meshlog.core.feed import FeedKey
from meshlog.core.hlc import observe
from meshlog.core.identity import Identity
from meshlog.errors import InputError
from meshlog.node.clock import HLC, checked_clock, time_of
from meshlog.node.event import Event
from meshlog.node.exchange import LinkLoop, SeamExchange, log_news
from meshlog.node.feedstore import FeedStore, introduce
from meshlog.node.groupcommit import GroupCommit, Items, checked_items
from meshlog.node.home import open_replica
from meshlog.node.names import check_name
from meshlog.node.reader import NodeReader
from meshlog.node.seedreplica import SeedReplica
from meshlog.node.status import clock_status, node_status
from meshlog.ports.links import Links
from meshlog.ports.store import Store
from meshlog.ports.transport import Transport
from meshlog.sync.effects import Changed, Poke
from meshlog.sync.holdings import Ingested
from meshlog.sync.policy import Policy
from meshlog.views.records import Conflict


class Node(NodeReader):
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
            seated: See ``over``; nothing is opened then.
            policy: See ``over``.

        Raises:
            InputError: An argument is of the wrong type, or the store has another name.
            StoreError: The file is not a store, is damaged, or is open for writing elsewhere.
            IdentityError: The identity file is damaged, missing, or is not the store's.
        """
        name = None if isinstance(author, Identity) else check_name(author)
        links, seam = _sorted_out(transport)
        self._hlc = clock = checked_clock(hlc)
        own = author if isinstance(author, Identity) else getattr(transport, "identity", None)
        if seated is None:
            replica = open_replica(persist_path, own, name, clock.clock())
        elif own is not None:
            replica = SeedReplica(seated, own, clock.clock(), random.SystemRandom(), policy)
        else:
            raise InputError("a store in which a seat was taken needs the identity that took it")
        self._owned_store = replica.store if seated is None else None
        super().__init__(replica, clock.clock, persist_path)
        log_news(replica)
        self.author = replica.seat.name
        self.transport = transport
        tell_ms = time_of(clock)
        self._loop = LinkLoop(replica, links, self.lock, tell_ms) if links else None
        self._seam = SeamExchange(replica, seam, self.lock, tell_ms) if seam else None
        self.store = FeedStore(replica=replica, lock=self.lock, changed=_teller(self._loop))
        self._commit = GroupCommit(self.lock)
        if seated is None:
            if name is not None:
                introduce(replica)
            if self._loop is None and persist_path:
                # A program of the seed never closes. Without a file nothing needs it; over
                # links the node's thread goes on working whoever forgets the node.
                weakref.finalize(self, _release, self._seam, replica.store)
            self.start()

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

    @property
    def hlc(self) -> HLC:
        """The clock, never behind a stamp that this node made or believed."""
        with self.lock:
            self._hlc.latest = observe(self.replica.ledger.clock, self._hlc.latest, self.now_ms())
            return self._hlc

    def start(self) -> None:
        """Begin to sync over links; nothing to do where there are none."""
        if self._loop is not None:
            self._loop.start()

    def close(self) -> None:
        """Stop syncing and release what this node opened. Idempotent."""
        if self._loop is not None:
            self._loop.close()
        if self._seam is not None:
            self._seam.close()
        with self.lock:
            self._finder.close()
            self.replica.settle()  # who only reads, reads rows then
            if self._owned_store is not None:
                self._owned_store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── writing ─────────────────────────────────────────────────────────────────────

    def emit(self, kind: str, payload: Mapping[str, Any]) -> Event:
        """Write one event; durable when this returns. See ``emit_many``."""
        return self.emit_many([(kind, payload)])[0]

    def emit_many(self, items: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Event]:
        """Write events in one transaction: all of them or none.

        What other threads write at the same time shares it, and its sync of the disk.

        Raises:
            InputError: A kind or payload cannot be carried (see ``core.event.encode_body``).
            StoreError: The disk refused.
        """
        items = checked_items(items)
        events = self._commit.write(items, self._append)
        if self._loop is not None:
            self._loop.tell(Changed(self.replica.is_urgent(kind for kind, _ in items)))
        return events

    def _append(self, items: Items) -> list[Event]:
        """Write events in one transaction, holding the lock."""
        self.replica.believe(self._hlc.latest, self.now_ms())
        cores = self.replica.append_many(items, self.now_ms())
        self._hlc.latest = self.replica.ledger.clock
        return self.store.shown(cores)

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

    def resolve(self, conflict: Conflict, value: object) -> Event:
        """Settle a conflict as it was seen: replace its values, and none that came meanwhile.

        More than 64 values take several events, in one transaction; the last one is returned.

        Args:
            conflict: As ``conflicts`` returned it.
            value: What the field is from now on; one of the values, or another.

        Raises:
            InputError: The value cannot be carried.
            StoreError: The disk refused.
        """
        if not isinstance(conflict, Conflict):
            raise InputError("resolve takes a conflict, as conflicts() returned it")
        *_, last = self.emit_many(("field.set", said) for said in conflict.resolution(value))
        return last

    def put_form(self, definition: Mapping[str, Any]) -> bool:
        """Pin a form, so that its records take a few bytes on slow air.

        Args:
            definition: ``{"form": name, "fields": [[name, type, parameters], …]}``, as
                docs/importing.md has it.

        Returns:
            Whether it was pinned now; False where the very same one is pinned already.

        Raises:
            InputError: Not a form; the message says where it is wrong.
            StoreError: The disk refused.
        """
        with self.lock:
            self.replica.believe(self._hlc.latest, self.now_ms())
            event = self.replica.put_form(definition, self.now_ms())
            self._hlc.latest = self.replica.ledger.clock
        if self._loop is not None:
            self._loop.tell(Changed())
        return event is not None

    def decree(self, kind: str, payload: Mapping[str, Any]) -> CoreEvent:
        """Say who belongs no more, or again; durable and shown on return.

        Raises:
            InputError: Not readable, or it would not count; nothing was written.
            StoreError: The disk refused; nothing was written.
        """
        with self.lock:
            self.replica.believe(self._hlc.latest, self.now_ms())
            event = self.replica.decree(kind, payload, self.now_ms())
            self._hlc.latest = self.replica.ledger.clock
        if self._loop is not None:
            self._loop.tell(Changed(urgent=True))
        return event

    def take_in(self, segments: Sequence[bytes]) -> Ingested:
        """Verify and store segments from a file, in one transaction, as if a peer had sent them.

        Nothing of them is trusted. Where the disk refuses, every verdict is ``busy``.
        """
        with self.lock:
            taken = self.replica.ingest(segments, self.now_ms())
            self.replica.welcome(self.now_ms())
            self._hlc.latest = max(self._hlc.latest, self.replica.ledger.clock)
        if taken.events and self._loop is not None:
            self._loop.tell(Changed())
        return taken

    def rotate_key(self) -> int:
        """Give the dataset a new key, sealed to every member that stands.

        Returns:
            How many keys the dataset has had after the founder's.

        Raises:
            InputError: Only the founder and coordinators can; the open dataset has a public key.
            StoreError: The disk refused; the old key stays.
        """
        with self.lock:
            self.replica.believe(self._hlc.latest, self.now_ms())
            event = self.replica.rotate_key(self.now_ms())
            self._hlc.latest = self.replica.ledger.clock
        if self._loop is not None:
            self._loop.tell(Changed())
        return int(event.payload["epoch"])

    # ── telling ─────────────────────────────────────────────────────────────────────

    def frontier(self) -> dict[str, int]:
        """Return how many data events are held of each author, by its label."""
        return self.store.frontier()

    def status(self) -> dict[str, Any]:
        """Return how this node and its peers stand, in values that JSON can carry."""
        links = self._loop.links if self._loop is not None else None
        with self.current() as replica:
            return node_status(replica, links, self.now_ms())

    def clock_status(self) -> dict[str, Any]:
        """Return how this device's clock stands. O(peers)."""
        with self.lock:
            return clock_status(self.replica, self.now_ms())

    def fix_clock(self, feed: FeedKey, shift: Shift) -> None:
        """Say by how much the stamps of a stretch of a feed are off; durable on return.

        Raises:
            InputError: No such feed or stretch here, or only coordinators may fix it.
            StoreError: The disk refused; nothing was written.
        """
        with self.lock:
            self.replica.fix_clock(feed, shift, self.now_ms())
        if self._loop is not None:
            self._loop.tell(Changed())

    def mend_clock(self) -> bool:
        """Go on in a new life where stamps are ahead of the clock, which a person says is right.

        Raises:
            StoreError: The disk refused; nothing changed.
        """
        with self.lock:
            mended = self.replica.mend_clock(self.now_ms(), is_right=True)
            self._hlc.latest = self.replica.ledger.clock
        if mended and self._loop is not None:
            self._loop.tell(Changed())
        return mended

    # ── syncing ─────────────────────────────────────────────────────────────────────

    def gossip_round(self) -> None:
        """Ask everyone in reach; over the seed's seam, run until nobody has more to say.

        Raises:
            InputError: There is no transport.
        """
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


def _release(seam: SeamExchange | None, store: Store) -> None:
    """Let go of the file of a node that was forgotten."""
    if seam is not None:
        seam.close()
    store.close()


def _teller(loop: LinkLoop | None) -> Callable[[], None] | None:
    return None if loop is None else lambda: loop.tell(Changed())


def _sorted_out(transport: object) -> tuple[Links | None, Transport | None]:
    """Return the transport as what it is: links, the seed's seam, or neither."""
    if transport is None or hasattr(transport, "ask"):
        return cast(Links | None, transport), None
    if not all(hasattr(transport, name) for name in ("set_receive", "reachable_peers", "send")):
        raise InputError("a transport has node_id, set_receive, reachable_peers and send")
    return None, cast(Transport, transport)
