"""What a node keeps on disk: the store, and its identity beside it as ``<store>.identity``."""

from __future__ import annotations

import os
import random
from pathlib import Path

from meshlog.core.identity import Identity
from meshlog.errors import IdentityError, InputError, StoreBusyError
from meshlog.node.names import new_identity
from meshlog.node.seedreplica import SeedReplica
from meshlog.ports.store import Store
from meshlog.replica import join_open
from meshlog.replica.seat import load
from meshlog.store.file import MEMORY
from meshlog.store.identity_file import load_identity, save_identity
from meshlog.store.sqlite import SqliteStore


def open_replica(
    path: str | Path | None, identity: Identity | None, name: str | None, now_ms: int
) -> SeedReplica:
    """Open the replica in a file; a new file takes a seat in the open dataset.

    Args:
        path: The store's file; None, nothing and ``":memory:"`` keep everything in memory.
        identity: Whose it is; None for the one beside the file, made where both are new.
        name: What the device calls itself; None for what the store says.
        now_ms: Wall time.

    Raises:
        InputError: Not a path, or the store has another name.
        StoreError: As ``SqliteStore``.
        IdentityError: The identity is damaged, another's, or missing though the store is not new.
    """
    store = _open_store(path)
    try:
        own = identity or _identity_beside(path, store)
        seat = load(store, own) or join_open(store, own, name or own.author.hex())
        if name not in (None, seat.name):
            raise InputError(f"{path} belongs to {seat.name!r}: use that name, or another file")
        return SeedReplica(store, own, now_ms, random.SystemRandom())
    except BaseException:
        store.close()
        raise


def _open_store(path: str | Path | None) -> SqliteStore:
    if path is not None and not isinstance(path, str | os.PathLike):
        raise InputError("a persist_path is the path of a file, or None")
    try:
        return SqliteStore(path or MEMORY)
    except StoreBusyError as busy:
        if busy.holder_pid == os.getpid():
            busy.args = (f"{path} is open in this process: close() the node or store that has it",)
        raise


def _identity_beside(path: str | Path | None, store: Store) -> Identity:
    if path is None or str(path) in ("", MEMORY):
        return new_identity()
    file = Path(f"{path}.identity")
    private = load_identity(file)
    if private is not None:
        return Identity(private)
    if store.get_meta("author") is not None:
        raise IdentityError(f"{file} is missing: put the identity of this store back there")
    identity = new_identity()
    save_identity(file, identity.private)
    return identity
