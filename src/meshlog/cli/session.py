"""Writing to a store: by ourselves, or through the node that runs on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from meshlog.cli.command import Place
from meshlog.cli.stores import check_usual, dataset_of, known_identity, store_or_node
from meshlog.core.clockfix import Shift
from meshlog.core.credible import incredible
from meshlog.core.event import encode_body
from meshlog.core.feed import FeedKey
from meshlog.core.form import FormBook
from meshlog.core.hlc import Stamp
from meshlog.daemon.client import ControlClient, size_on_line
from meshlog.errors import InputError, StoreError
from meshlog.ports.log import Arrival
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore
from meshlog.sync.holdings import Verdict
from meshlog.tools.taking import Taken
from meshlog.views.live import LiveView
from meshlog.views.records import Record

if TYPE_CHECKING:
    from meshlog.node import Node

REQUEST_SIZE_MAX = 4 * 1024 * 1024
"""Bytes of events in one request to a running node: a quarter of what it takes."""

Items: TypeAlias = Sequence[tuple[str, Mapping[str, Any]]]
"""Kind and payload of each event to be."""


class Writer(Protocol):
    """Whoever writes to the store for us."""

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """Write events; return id (hex) and seq of each. All are durable then."""

    def invite(self, role: str, expires_s: int, uses: int) -> str:
        """Return the text of a new invite."""

    def decree(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Say who belongs no more, or again; durable and shown then."""

    def put_form(self, definition: Mapping[str, Any]) -> bool:
        """Pin a form; return False where it is pinned already."""

    def rotate_key(self) -> int:
        """Give the dataset a new key; return its epoch."""

    def forms(self) -> FormBook:
        """Return the forms that are pinned."""

    def ingest(self, segments: Sequence[bytes]) -> Taken:
        """Verify and store segments from a file, as if a peer had sent them."""

    def fix_clock(self, feed: FeedKey, shift: Shift) -> None:
        """Say by how much the stamps of a stretch of a feed are off."""

    def mend_clock(self) -> bool:
        """Go on in a new life where stamps are ahead of the clock; return whether they were."""

    def record(self, record_id: str) -> Record | None:
        """Return a record, hidden ones included; sees every ``emit`` that returned."""

    def arrivals(self) -> Iterator[Arrival]:
        """Yield the whole log, as it is now."""


@contextmanager
def writing(place: Place) -> Iterator[Writer]:
    """Open a store for writing, or talk to the node that has it.

    Raises:
        InputError: This device's clock cannot be right, and the person did not say ``--anyway``.
        StoreBusyError: Somebody has it for longer than ``BUSY_WAIT_S`` and does not listen.
        StoreError: There is none, or it cannot be written.
        IdentityError: Its identity is missing or damaged.
    """
    check_usual(place)
    if not place.data.exists():
        raise StoreError(f"{place.data} does not exist: make it with `meshlog init`")
    with ExitStack() as stack:
        found = store_or_node(place.data)
        if isinstance(found, ControlClient):
            remote = _Remote(found, place.data)
            stack.callback(remote.close)
            if not place.anyway:
                check_clock(found.clock()["doubt"])
            yield remote
            return
        from meshlog.node import Node
        from meshlog.node.clock import wall_ms

        stack.callback(found.close)
        dataset_of(found, place.data)
        if not place.anyway:  # before anything bears a stamp: opening may begin a new life
            latest = Stamp.unpacked(int.from_bytes(found.get_meta("clock") or b"", "big"))
            check_clock(incredible(wall_ms(), latest.wall_ms))
        node = Node.over(found, known_identity(place, found))
        stack.callback(node.close)
        yield _Local(node)


def check_clock(doubt: str) -> None:
    """Let a person who is about to write know that the clock is wrong.

    Raises:
        InputError: There is a doubt.
    """
    if doubt:
        raise InputError(
            f"{doubt}: set the clock (see `timedatectl`, `meshlog clock`), or write with --anyway"
        )


class _Local:
    """Writes by itself: no node runs."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """See Writer.emit."""
        return [(event.id, event.seq) for event in self._node.emit_many(items)]

    def invite(self, role: str, expires_s: int, uses: int) -> str:
        """See Writer.invite."""
        from meshlog.daemon.requests import new_invite

        return new_invite(self._node, role, expires_s, uses)

    def decree(self, kind: str, payload: Mapping[str, Any]) -> None:
        """See Writer.decree."""
        self._node.decree(kind, payload)

    def put_form(self, definition: Mapping[str, Any]) -> bool:
        """See Writer.put_form."""
        return self._node.put_form(definition)

    def ingest(self, segments: Sequence[bytes]) -> Taken:
        """See Writer.ingest."""
        taken = self._node.take_in(segments)
        return Taken(taken.events, taken.verdicts)

    def fix_clock(self, feed: FeedKey, shift: Shift) -> None:
        """See Writer.fix_clock."""
        self._node.fix_clock(feed, shift)

    def mend_clock(self) -> bool:
        """See Writer.mend_clock."""
        return self._node.mend_clock()

    def rotate_key(self) -> int:
        """See Writer.rotate_key."""
        return self._node.rotate_key()

    def forms(self) -> FormBook:
        """See Writer.forms."""
        return self._node.replica.ledger.forms

    def record(self, record_id: str) -> Record | None:
        """See Writer.record."""
        return self._node.record(record_id)

    def arrivals(self) -> Iterator[Arrival]:
        """See Writer.arrivals."""
        return self._node.replica.store.scan()


class _Remote:
    """Asks the running node to write, in requests of a size that it takes, and reads beside it."""

    def __init__(self, client: ControlClient, path: Path) -> None:
        self._client = client
        self._path = path
        self._store: SqliteStore | None = None
        self._ledger: Ledger | None = None
        """Of the store as it was opened, which shows one moment: loading it costs milliseconds."""

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """See Writer.emit. Each request is one transaction."""
        written: list[tuple[str, int]] = []
        for batch in batches(items, REQUEST_SIZE_MAX):
            written += self._client.emit(batch)
            self._look_again()
        return written

    def invite(self, role: str, expires_s: int, uses: int) -> str:
        """See Writer.invite."""
        return self._client.invite(role, expires_s, uses)

    def decree(self, kind: str, payload: Mapping[str, Any]) -> None:
        """See Writer.decree."""
        keeps = b"".join(payload.get("keeps", ()))  # there may be more than fit a body
        body = encode_body(kind, {**payload, "keeps": []} if keeps else payload)
        self._client.ask("decree", payload=body.hex(), keeps=keeps.hex())
        self._look_again()

    def put_form(self, definition: Mapping[str, Any]) -> bool:
        """See Writer.put_form."""
        pinned = self._client.put_form(definition)
        self._look_again()
        return pinned

    def ingest(self, segments: Sequence[bytes]) -> Taken:
        """See Writer.ingest."""
        events, verdicts = self._client.ingest(segments)
        self._look_again()
        return Taken(events, [Verdict(verdict) for verdict in verdicts])

    def fix_clock(self, feed: FeedKey, shift: Shift) -> None:
        """See Writer.fix_clock."""
        self._client.fix_clock(feed, shift)
        self._look_again()

    def mend_clock(self) -> bool:
        """See Writer.mend_clock."""
        mended = self._client.mend_clock()
        self._look_again()
        return mended

    def rotate_key(self) -> int:
        """See Writer.rotate_key."""
        epoch = self._client.rotate_key()
        self._look_again()
        return epoch

    def forms(self) -> FormBook:
        """See Writer.forms."""
        return self._now()[1].forms

    def record(self, record_id: str) -> Record | None:
        """See Writer.record."""
        store, ledger = self._now()
        return LiveView(store, lambda: ledger.standings(store)).get(record_id)

    def arrivals(self) -> Iterator[Arrival]:
        """See Writer.arrivals."""
        store, _ = self._now()
        return store.scan()

    def close(self) -> None:
        """Hang up and stop reading."""
        self._client.close()
        self._look_again()

    def _now(self) -> tuple[SqliteStore, Ledger]:
        if self._store is None:
            self._store = SqliteStore(self._path, read_only=True)
        if self._ledger is None:
            self._ledger = Ledger.load(self._store, dataset_of(self._store, self._path))
        return self._store, self._ledger

    def _look_again(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = self._ledger = None


def batches(items: Items, size_max: int) -> Iterator[list[tuple[str, Mapping[str, Any]]]]:
    """Yield the items in lists of at most ``size_max`` bytes each, or of one item."""
    batch: list[tuple[str, Mapping[str, Any]]] = []
    size_bytes = 0
    for item in items:
        size_bytes += size_on_line(item)
        if batch and size_bytes > size_max:
            yield batch
            batch, size_bytes = [], size_on_line(item)
        batch.append(item)
    if batch:
        yield batch
