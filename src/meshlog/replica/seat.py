"""A device's seat in a dataset: what it needs to know to write there, kept in the store's meta."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from meshlog.core.codec import Reader
from meshlog.core.event import (
    NO_DATASET,
    NO_PREV,
    OPEN_DATASET,
    DatasetId,
    Event,
    EventId,
    encode_body,
)
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import (
    DATASET_KEY_SIZE,
    NAME_SIZE_MAX,
    Grant,
    Invite,
    Role,
    admit,
    open_dataset_key,
)
from meshlog.core.hlc import ZERO, tick
from meshlog.core.identity import AuthorId, Identity
from meshlog.errors import IdentityError, InputError, StoreError
from meshlog.ports.store import Store
from meshlog.views.live import ROWS_FORM, ROWS_KEY

SALT_SIZE = 16

FIELDS = ("dataset", "key", "author", "name", "admission", "genesis", "genesis_ms")
"""Names in the store's meta under which a seat is kept."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Which dataset, its key, and how this device was let in."""

    dataset: DatasetId
    key: bytes
    """16 bytes, secret: opens links and the broadcast lane."""
    author: AuthorId
    name: str
    """What this device calls itself."""
    admission: bytes
    """Empty for the founder and in the open dataset."""
    genesis: bytes = b""
    """Body of the genesis event, until the founder has written it; empty otherwise."""
    genesis_ms: int = 0

    @property
    def role(self) -> Role:
        """What this device was let in as."""
        if self.admission:
            return _granted(self.admission)
        return Role.FOUNDER if self.genesis else Role.WRITER

    def genesis_event(self) -> Event:
        """Return the founder's first event, whose id names the dataset."""
        key = FeedKey(self.author, FeedKind.CONTROL, 0)
        return Event.make(key, 1, tick(ZERO, self.genesis_ms), NO_PREV, self.genesis, NO_DATASET)


@lru_cache(maxsize=16)
def _granted(admission: bytes) -> Role:
    return Grant.read(Reader(admission)).role


def found(
    store: Store, identity: Identity, name: str, dataset_name: str, now_ms: int, rng: random.Random
) -> Seat:
    """Found a new dataset in an empty store and return the founder's seat.

    Args:
        store: Empty.
        identity: The founder's.
        name: What this device calls itself, at most 64 bytes.
        dataset_name: What people call the dataset, at most 64 bytes.
        now_ms: Wall time.
        rng: Secure randomness (``random.SystemRandom``) outside simulations.

    Raises:
        InputError: A name is too long.
        StoreError: The store holds a dataset already.
    """
    body = encode_body(
        "dataset.genesis",
        {"keys": identity.keys, "name": _name(dataset_name), "salt": rng.randbytes(SALT_SIZE)},
    )
    draft = Seat(
        NO_DATASET, rng.randbytes(DATASET_KEY_SIZE), identity.author, _name(name), b"", body, now_ms
    )
    dataset = DatasetId(draft.genesis_event().id)
    return _take(store, Seat(dataset, draft.key, identity.author, draft.name, b"", body, now_ms))


def join(store: Store, identity: Identity, name: str, invite: Invite) -> Seat:
    """Take a seat in an empty store with an invite alone; nobody needs to be met. See ``found``."""
    admission = admit(invite.grant, invite.seed, identity.author, invite.dataset)
    return _take(store, Seat(invite.dataset, invite.key, identity.author, _name(name), admission))


def join_open(store: Store, identity: Identity, name: str) -> Seat:
    """Take a seat in the open dataset, where every author is a member. See ``found``."""
    return _take(store, Seat(OPEN_DATASET, open_dataset_key(), identity.author, _name(name), b""))


def load(store: Store, identity: Identity) -> Seat | None:
    """Return the seat that the store keeps, or None in an empty store.

    Raises:
        IdentityError: The store was written by another identity.
        StoreError: The seat is damaged.
    """
    dataset = store.get_meta("dataset")
    if dataset is None:
        return None
    key, author, name, admission, genesis, genesis_ms = (
        store.get_meta(field)
        for field in ("key", "author", "name", "admission", "genesis", "genesis_ms")
    )
    if (
        key is None
        or author is None
        or name is None
        or admission is None
        or genesis is None
        or genesis_ms is None
    ):
        raise StoreError(
            "the store has lost its dataset's key: restore a backup, or join again in a new store"
        )
    if author != identity.author:
        raise IdentityError(
            f"this store belongs to <{author.hex()}>, the identity given is"
            f" <{identity.author.hex()}>: give the store's own identity file"
        )
    return Seat(
        DatasetId(EventId(dataset)),
        key,
        AuthorId(author),
        name.decode(),
        admission,
        genesis,
        int.from_bytes(genesis_ms, "big"),
    )


KEEPS = "keeps"
"""Name in the store's meta of whom new keys still have to keep, 16 bytes each."""


def hand_over(store: Store, heir: Identity, admission: bytes, keeps: Iterable[AuthorId]) -> None:
    """Make the seat that of new keys, inside the caller's transaction; they begin a new life.

    Args:
        store: Ours.
        heir: The new keys.
        admission: Theirs.
        keeps: Whom the old ones let in and had no room to name.
    """
    values = {"author": heir.author, "admission": admission, "genesis": b"", "incarnation": b""}
    values[KEEPS] = b"".join(keeps)
    for field, value in values.items():
        store.set_meta(field, value)


def _take(store: Store, seat: Seat) -> Seat:
    if store.get_meta("dataset") is not None:
        raise StoreError("this store holds a dataset already: choose another file")
    values = {
        "dataset": seat.dataset,
        "key": seat.key,
        "author": seat.author,
        "name": seat.name.encode(),
        "admission": seat.admission,
        "genesis": seat.genesis,
        "genesis_ms": seat.genesis_ms.to_bytes(8, "big"),
    }
    with store.transaction():
        for field, value in values.items():
            store.set_meta(field, value)
        store.set_meta(ROWS_KEY, ROWS_FORM)
    return seat


def _name(name: str) -> str:
    if not is_name(name):
        raise InputError(f"a name is 1 to {NAME_SIZE_MAX} bytes of text")
    return name


def is_name(name: str) -> bool:
    """Say whether a device or a dataset can be called that."""
    try:
        return 0 < len(name.encode()) <= NAME_SIZE_MAX
    except UnicodeEncodeError:
        return False
