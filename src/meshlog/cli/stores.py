"""Opening a store and its identity: to read beside whoever writes, or to have it alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

from meshlog.cli.command import Place
from meshlog.cli.output import hint
from meshlog.core.event import DatasetId, EventId
from meshlog.core.identity import KEYS_SIZE, Identity
from meshlog.core.roster import Roster
from meshlog.daemon.client import ControlClient, connect
from meshlog.errors import CHECK_IT, IdentityError, InputError, StoreBusyError, StoreError
from meshlog.replica.horizon import advanced, due
from meshlog.replica.ledger import Ledger, horizon_for
from meshlog.store import SqliteStore, load_identity, rotation, save_identity
from meshlog.views.live import LiveView
from meshlog.views.standing import Standings

BUSY_WAIT_S = 10.0
"""How long to try while another command has the store, or a node on it is just starting."""

RETRY_S = 0.05

NOTHING_HERE = (
    "there is no dataset on this device yet: make one with `meshlog init NAME`, join one with"
    " `meshlog join INVITE`, or name a store with --data"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A store as it was when it was opened."""

    store: SqliteStore
    ledger: Ledger
    due: frozenset[str]
    """Records of which more counts than when the store was written last."""

    @property
    def view(self) -> LiveView:
        """The records."""
        return LiveView(self.store, lambda: self.standings, self.due)

    @property
    def standings(self) -> Standings:
        """What counts, and why."""
        return self.ledger.standings(self.store)

    @property
    def roster(self) -> Roster:
        """Who belongs."""
        return self.ledger.roster


@contextmanager
def reading(place: Place) -> Iterator[Reading]:
    """Open a store for reading, beside its node if one runs; what the clock has reached counts.

    Raises:
        StoreError: There is none, it is empty, or it cannot be read.
    """
    check_usual(place)
    now_ms = time.time_ns() // 1_000_000
    with closing(SqliteStore(place.data, read_only=True)) as store:
        ledger = Ledger.load(store, dataset_of(store, place.data))
        read = Reading(store, ledger, frozenset(due(store, ledger, now_ms)))
        ledger.reach(max(ledger.horizon_ms, horizon_for(now_ms)))
        if not read.view.is_current():
            raise StoreError(
                f"{place.data} was last written by an older meshlog: start its node anew, or run"
                " `meshlog fsck --rebuild`"
            )
        yield read


@contextmanager
def reading_changes(place: Place) -> Iterator[Reading]:
    """Open a store for reading what changed in it: see ``reading``.

    Changes are numbered when rows are settled, so whoever can write does it first.
    """
    with reading(place) as read:
        if not read.due and read.view.is_settled():
            yield read
            return
    try:
        _let_settle(place.data)
    except (StoreError, InputError) as error:
        hint(f"what changed last is not told yet: {error}")
    with reading(place) as read:
        yield read


def _let_settle(path: Path) -> None:
    """Let the node settle the rows, or do it by ourselves."""
    now_ms = time.time_ns() // 1_000_000
    with closing(store_or_node(path)) as found:
        if isinstance(found, ControlClient):
            found.settle()
            return
        ledger = Ledger.load(found, dataset_of(found, path))
        view = LiveView(found, lambda: ledger.standings(found))
        ledger = advanced(found, view, ledger, now_ms)
        while not view.is_settled():
            with found.transaction():
                view.settle()


def check_usual(place: Place) -> None:
    """Say how to begin where the usual store is meant and is not there.

    Raises:
        StoreError: It is not there.
    """
    if not place.named and not place.data.exists():
        raise StoreError(NOTHING_HERE)


def dataset_of(store: SqliteStore, path: Path) -> DatasetId:
    """Return the dataset that a store holds.

    Raises:
        StoreError: None yet, or it is lost.
    """
    dataset = store.get_meta("dataset")
    if dataset is None:
        if store.event_count():
            raise StoreError(f"{path}: its dataset is lost{CHECK_IT}")
        raise StoreError(f"{path} holds no dataset yet: use `meshlog init` or `meshlog join`")
    return DatasetId(EventId(dataset))


def open_alone(path: Path, *, encrypt: bool = False) -> SqliteStore:
    """Open a store to have it for ourselves; wait for commands, not for nodes.

    Raises:
        StoreBusyError: A node runs on it, or something else does not let go.
        StoreError: It cannot be opened.
    """
    until_s = time.monotonic() + BUSY_WAIT_S
    while True:
        try:
            return SqliteStore(path, encrypt=encrypt)
        except StoreBusyError:
            client = connect(path)
            if client is not None:
                client.close()
                raise
            if time.monotonic() > until_s:
                raise
        time.sleep(RETRY_S)


def store_or_node(path: Path) -> SqliteStore | ControlClient:
    """Return the store, ours alone, or the node that has it; wait while it is neither."""
    until_s = time.monotonic() + BUSY_WAIT_S
    while True:
        try:
            return SqliteStore(path)
        except StoreBusyError:
            client = connect(path)
            if client is not None:
                return client
            if time.monotonic() > until_s:
                raise
        time.sleep(RETRY_S)


def known_identity(place: Place, store: SqliteStore | None = None) -> Identity:
    """Return the identity of a store that exists.

    Args:
        place: Where it is.
        store: Given by who opens it for itself: then a rotation that was cut short ends here.

    Raises:
        IdentityError: It is missing or damaged.
    """
    if store is not None:
        rotation.finish(place.identity, store.get_meta("author"))
    private = load_identity(place.identity)
    if private is None:
        raise IdentityError(
            f"the identity {place.identity} is missing: put it back, or name it with --identity"
        )
    return Identity(private)


def any_identity(path: Path, passphrase: str | None = None) -> Identity:
    """Return the identity in a file, made now (under a passphrase) where there is none."""
    private = load_identity(path)
    if private is None:
        identity = new_identity()
        save_identity(path, identity.private, passphrase)
        return identity
    return Identity(private)


def new_identity() -> Identity:
    """Return an identity that nobody has had."""
    return Identity(SystemRandom().randbytes(KEYS_SIZE))
