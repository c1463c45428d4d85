"""Opening a store: to read beside whoever writes, or to write – alone, or through its node."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Protocol

from meshlog.cli.command import Place
from meshlog.core.event import DatasetId
from meshlog.core.identity import Identity
from meshlog.core.roster import Roster
from meshlog.daemon.client import ControlClient, connect, size_on_line
from meshlog.errors import IdentityError, StoreBusyError, StoreError
from meshlog.replica.ledger import Ledger
from meshlog.store import SqliteStore, load_identity, save_identity
from meshlog.views.live import LiveView

if TYPE_CHECKING:
    from meshlog.node import Node

BUSY_WAIT_S = 10.0
"""How long to try while another command has the store, or a node on it is just starting."""

_RETRY_S = 0.05
_REQUEST_SIZE_MAX = 4 * 1024 * 1024
"""Bytes of events in one request to a running node: a quarter of what it takes."""

Items = Sequence[tuple[str, Mapping[str, Any]]]


# ── Reading ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Reading:
    """A store as it was when it was opened."""

    store: SqliteStore
    ledger: Ledger

    @property
    def view(self) -> LiveView:
        """The records."""
        return LiveView(self.store)

    @property
    def roster(self) -> Roster:
        """Who belongs."""
        return self.ledger.roster


@contextmanager
def reading(place: Place) -> Iterator[Reading]:
    """Open a store for reading, beside its node if one runs.

    Raises:
        StoreError: There is none, it is empty, or it cannot be read.
    """
    _check_usual(place)
    store = SqliteStore(place.data, read_only=True)
    try:
        dataset = store.get_meta("dataset")
        if dataset is None:
            raise StoreError(f"{place.data} holds no dataset yet: use `meshlog init` or `meshlog join`")
        yield Reading(store, Ledger.load(store, DatasetId(dataset)))
    finally:
        store.close()


def _check_usual(place: Place) -> None:
    if not place.named and not place.data.exists():
        raise StoreError(
            "there is no dataset on this device yet: make one with `meshlog init NAME`,"
            " join one with `meshlog join INVITE`, or name a store with --data"
        )


# ── Writing ──────────────────────────────────────────────────────────────────────────


class Writer(Protocol):
    """Whoever writes to the store for us."""

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """Write events; return id (hex) and seq of each. All are durable then."""

    def invite(self, role: str, days: int) -> str:
        """Return the text of a new invite."""


@contextmanager
def writing(place: Place) -> Iterator[Writer]:
    """Open a store for writing, or talk to the node that has it.

    Raises:
        StoreBusyError: Somebody has it for longer than ``BUSY_WAIT_S`` and does not listen.
        StoreError: There is none, or it cannot be written.
        IdentityError: Its identity is missing or damaged.
    """
    _check_usual(place)
    if not place.data.exists():
        raise StoreError(f"{place.data} does not exist: make it with `meshlog init`")
    until_s = time.monotonic() + BUSY_WAIT_S
    while True:
        try:
            store = SqliteStore(place.data)
        except StoreBusyError:
            client = connect(place.data)
            if client is not None:
                with client:
                    yield _Remote(client)
                return
            if time.monotonic() > until_s:
                raise
            time.sleep(_RETRY_S)
            continue
        break
    try:
        from meshlog.node import Node

        if store.get_meta("dataset") is None:
            raise StoreError(f"{place.data} holds no dataset yet: use `meshlog init` or `meshlog join`")
        node = Node.over(store, known_identity(place))
        try:
            yield _Local(node)
        finally:
            node.close()
    finally:
        store.close()


class _Local:
    """Writes by itself: no node runs."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """See Writer.emit."""
        return [(event.id.hex(), event.seq) for event in self._node.emit_many(items)]

    def invite(self, role: str, days: int) -> str:
        """See Writer.invite."""
        from meshlog.daemon.requests import new_invite

        return new_invite(self._node, role, days)


class _Remote:
    """Asks the running node, in requests of a size that it takes."""

    def __init__(self, client: ControlClient) -> None:
        self._client = client

    def emit(self, items: Items) -> list[tuple[str, int]]:
        """See Writer.emit. Each request is one transaction."""
        written: list[tuple[str, int]] = []
        batch: list[tuple[str, Mapping[str, Any]]] = []
        size_bytes = 0
        for item in items:
            size_bytes += size_on_line(item)
            if batch and size_bytes > _REQUEST_SIZE_MAX:
                written += self._client.emit(batch)
                batch, size_bytes = [], size_on_line(item)
            batch.append(item)
        return written + (self._client.emit(batch) if batch else [])

    def invite(self, role: str, days: int) -> str:
        """See Writer.invite."""
        return self._client.invite(role, days)


# ── Stores and identities ────────────────────────────────────────────────────────────


def open_alone(path: Path, wait_s: float = BUSY_WAIT_S) -> SqliteStore:
    """Open a store to have it for ourselves; wait for commands, not for nodes.

    Raises:
        StoreBusyError: A node runs on it, or something else does not let go.
        StoreError: It cannot be opened.
    """
    until_s = time.monotonic() + wait_s
    while True:
        try:
            return SqliteStore(path)
        except StoreBusyError:
            client = connect(path)
            if client is not None:
                client.close()
                raise
            if time.monotonic() > until_s:
                raise
            time.sleep(_RETRY_S)


def known_identity(place: Place) -> Identity:
    """Return the identity of a store that exists.

    Raises:
        IdentityError: It is missing or damaged.
    """
    private = load_identity(place.identity)
    if private is None:
        raise IdentityError(
            f"the identity {place.identity} is missing: put it back, or name it with --identity"
        )
    return Identity(private)


def any_identity(path: Path) -> Identity:
    """Return the identity in a file, made now where there is none."""
    private = load_identity(path)
    if private is None:
        identity = new_identity()
        save_identity(path, identity.private)
        return identity
    return Identity(private)


def new_identity() -> Identity:
    """Return an identity that nobody has had."""
    return Identity(SystemRandom().randbytes(64))
