"""A node with its home: the store, the identity, the radio, the control socket."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshlog.cli.command import Place
from meshlog.cli.output import hint, shown
from meshlog.cli.stores import (
    NOTHING_HERE,
    any_identity,
    known_identity,
    new_identity,
    open_alone,
)
from meshlog.cli.values import Item
from meshlog.core.identity import Identity
from meshlog.daemon.address import control_paths
from meshlog.daemon.control import ControlServer
from meshlog.daemon.requests import answer
from meshlog.errors import StoreError
from meshlog.node import Node
from meshlog.ports.links import Links
from meshlog.replica import join_open
from meshlog.store import SqliteStore
from meshlog.sync.policy import Policy


@dataclass(frozen=True, slots=True)
class Home:
    """A store that is ours alone, with a seat in it."""

    store: SqliteStore
    identity: Identity
    path: Path | None
    """None in memory."""


@dataclass(frozen=True, slots=True)
class Radio:
    """How to reach peers over Reticulum."""

    configdir: str | None
    announce_interval_s: float | None

    def links(self, identity: Identity) -> Links:
        """Return links that are not started yet; TransportError where RNS is missing."""
        from meshlog.transport.reticulum import ReticulumLinks

        return ReticulumLinks(identity.private, self.configdir, self.announce_interval_s)


@contextmanager
def opened_home(place: Place, name: str | None, *, seeded: bool) -> Iterator[Home]:
    """Open the store; make one in the open dataset where the person means that.

    Args:
        place: A file that is named and missing becomes a store, as the predecessor's did.
        name: What the device is called in a new store; its author id by default.
        seeded: Whether a flag of the predecessor was given: without a store, the node then
            lives in memory.

    Raises:
        StoreError: There is no store and no flag, or it cannot be opened.
        IdentityError: The identity is damaged, missing or another's.
    """
    in_memory = not place.named and not place.data.exists()
    if in_memory and not seeded:
        raise StoreError(NOTHING_HERE)
    store = SqliteStore() if in_memory else open_alone(place.data)
    path = None if in_memory else place.data
    try:
        is_new = store.get_meta("dataset") is None
        if in_memory and not place.identity_named:
            identity = new_identity()
        else:
            identity = any_identity(place.identity) if is_new else known_identity(place, store)
        if is_new:
            join_open(store, identity, name or identity.author.hex())
        _say_what_is_new(store, path, name, is_new=is_new)
        yield Home(store, identity, path)
    finally:
        store.close()


def _say_what_is_new(
    store: SqliteStore, path: Path | None, name: str | None, *, is_new: bool
) -> None:
    if is_new and path is not None:
        hint(f"{path} is new, in the open dataset: everybody in reach may read and write it")
    called = (store.get_meta("name") or b"").decode()
    if name not in (None, called):
        hint(f"this device is called {shown(called)!r} in this store: --name is left aside")


@contextmanager
def running(
    home: Home, radio: Radio | None, policy: Policy, first: Sequence[Item]
) -> Iterator[Node]:
    """Start node and control socket, in the main thread; close both after the block.

    Args:
        home: Stays the caller's to close.
        radio: None for a device that has none.
        policy: How eager to sync.
        first: Written before the node starts, unless the records say so already.
    """
    links = None if radio is None else radio.links(home.identity)
    node = Node.over(home.store, home.identity, links, policy)
    control = None
    try:
        new = _unwritten(node, first)
        if new:
            node.emit_many(new)
        if home.path is not None:
            log = logging.getLogger("meshlog.control")
            control = ControlServer(
                control_paths(home.path), lambda request: answer(node, request), log
            )
            control.start()
        node.start()
        yield node
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second one may end it: all is durable
            signal.signal(number, signal.SIG_DFL)
        if control is not None:
            control.close()
        node.close()


def _unwritten(node: Node, items: Sequence[Item]) -> list[Item]:
    """Return the items that the records do not say yet: starting again adds nothing."""
    new: list[Item] = []
    for kind, payload in items:
        if kind == "record.create":
            payload = {**payload, "by": node.author}  # noqa: PLW2901 - the same item, complete
        if not _is_said(node, kind, payload):
            new.append((kind, payload))
    return new


def _is_said(node: Node, kind: str, payload: Mapping[str, Any]) -> bool:
    record = node.record(payload["record_id"])
    if record is None or not record.visible:
        return False
    if kind == "record.create":
        return bool(record.form == payload["form"])
    if kind == "note.add":
        return payload["text"] in [note.text for note in record.notes]
    value = payload["value"]
    values = [write.value for write in record.fields.get(payload["field"], ())]
    return [(type(one), one) for one in values] == [(type(value), value)]
