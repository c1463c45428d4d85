"""What a running node does when a program of its owner asks: the words of the control socket."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from meshlog.core.clockfix import Shift
from meshlog.core.codec import Reader
from meshlog.core.decrees import DECREE_KINDS
from meshlog.core.event import Content, read_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.grant import Role
from meshlog.core.identity import AUTHOR_ID_SIZE, AuthorId
from meshlog.daemon.lines import VERSION
from meshlog.errors import InputError, MalformedError
from meshlog.node import Node

ITEMS_MAX = 100_000
"""Events that one request may write, in one transaction."""

SEGMENTS_MAX = 4_096
"""Segments that one request may bring: as many as one exchange with a peer."""


def answer(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what ``request`` says and return what to say back.

    Args:
        node: Running; the calls are serialised by its lock.
        request: ``{"v": 1, "do": …}`` and the words of that deed, none of them checked yet.

    Raises:
        InputError: The request is not one that we know; nothing was done.
        StoreError: The disk refused; nothing was written.
    """
    if request.get("v") != VERSION:
        raise InputError(f"this node speaks version {VERSION} of the control socket: update both")
    do = request.get("do")
    deed = _DEEDS.get(do) if isinstance(do, str) else None
    if deed is None:
        raise InputError("the node does not know this request: update both")
    return deed(node, request)


def _emit(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``items``; answered when all of them are durable.

    Each is [kind, payload], or, as JSON cannot say bytes, an event's body in hex.
    """
    items = request.get("items")
    if not isinstance(items, list) or len(items) > ITEMS_MAX:
        raise InputError(f"items is a list of at most {ITEMS_MAX} events")
    checked: list[tuple[str, Mapping[str, Any]]] = []
    for item in items:
        match item:
            case [str() as kind, dict() as payload]:
                checked.append((kind, payload))
            case str() as body:
                checked.append(_content(body))
            case _:
                raise InputError("an item is [kind, payload], or the hex of a body")
    events = node.emit_many(checked)
    return {"events": [[event.id, event.seq, *event.hlc] for event in events]}


def _status(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"status": node.status()}


def _clock(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"clock": node.clock_status()}


def _settle(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    """Bring the view's rows up to date, for who reads them beside this node."""
    with node.current() as replica:
        replica.settle()
    return {}


def _poke(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    node.poke()
    return {}


def _view(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"view": node.view()}


def _put_form(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Pin ``definition``, a form's name and fields."""
    definition = request.get("definition")
    if not isinstance(definition, dict):
        raise InputError("a definition is an object: form and fields")
    return {"pinned": node.put_form(definition)}


def _ingest(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Take in ``segments``, a list of base64, in one transaction; answered when durable."""
    segments = request.get("segments")
    if not isinstance(segments, list) or len(segments) > SEGMENTS_MAX:
        raise InputError(f"segments is a list of at most {SEGMENTS_MAX}")
    try:
        taken = node.take_in([base64.b64decode(text, validate=True) for text in segments])
    except (ValueError, TypeError) as error:
        raise InputError("a segment is text in base64") from error
    return {"events": taken.events, "verdicts": [str(verdict) for verdict in taken.verdicts]}


def _fix_clock(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Fix ``shift`` ([first, last, offset_ms]) of ``feed`` (42 hex digits)."""
    match request:
        case {"feed": str(feed), "shift": [int(), int(), int()] as shift}:
            node.fix_clock(_feed(feed), Shift(*shift))
        case _:
            raise InputError("a fix is a feed, and first, last and offset_ms as whole numbers")
    return {}


def _feed(text: str) -> FeedKey:
    try:
        reader = Reader(bytes.fromhex(text))
        feed = FeedKey(
            AuthorId(reader.take(AUTHOR_ID_SIZE)), FeedKind(reader.uint(1)), reader.uint(4)
        )
        reader.end()
    except (ValueError, MalformedError) as error:
        raise InputError("a feed is 42 hex digits") from error
    return feed


def _mend_clock(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"mended": node.mend_clock()}


def _rotate_key(node: Node, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"epoch": node.rotate_key()}


def _invite(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Make an invite: ``role`` by its name, ``expires_s`` and ``uses`` (0 without a limit)."""
    role, expires_s = request.get("role"), request.get("expires_s", 0)
    return {"invite": new_invite(node, role, expires_s, request.get("uses", 0))}


def _decree(node: Node, request: Mapping[str, Any]) -> dict[str, Any]:
    """Say who belongs no more, or again: ``payload`` is the event's body in hex, as made there.

    ``keeps``, in hex, are the authors that it keeps, if any.
    """
    content = _content(request.get("payload"))
    if content.kind not in DECREE_KINDS:
        raise InputError("the node does not know this decree: update both")
    payload = content.payload
    if keeps := request.get("keeps"):
        payload = {**payload, "keeps": _authors(keeps)}
    event = node.decree(content.kind, payload)
    return {"event": event.id.hex()}


def _authors(text: object) -> list[bytes]:
    """Return the authors whose ids stand in a row of hex digits.

    Raises:
        InputError: They are none.
    """
    try:
        ids = bytes.fromhex(text) if isinstance(text, str) else b"?"
    except ValueError:
        ids = b"?"
    if len(ids) % AUTHOR_ID_SIZE:
        raise InputError("authors are 32 hex digits each, in a row")
    return [ids[at : at + AUTHOR_ID_SIZE] for at in range(0, len(ids), AUTHOR_ID_SIZE)]


def _content(body: object) -> Content:
    """Return what a body in hex says.

    Raises:
        InputError: It is none.
    """
    try:
        content = read_body(bytes.fromhex(body)) if isinstance(body, str) else None
    except ValueError:
        content = None
    if content is None:
        raise InputError("a body is the hex of its bytes")
    return content


def new_invite(node: Node, role: object, expires_s: object, uses: object) -> str:
    """Return the text of a new invite.

    Raises:
        InputError: No such role, not a date or a number, or the node may not invite.
    """
    if not isinstance(role, str) or role.upper() not in Role.__members__:
        raise InputError("a role is observer, relay, writer or coordinator")
    if type(expires_s) is not int or type(uses) is not int:
        raise InputError("expires_s and uses are whole numbers; 0 is without a limit")
    with node.lock:
        return node.replica.invite(Role[role.upper()], expires_s, uses).text()


_DEEDS: Mapping[str, Callable[[Node, Mapping[str, Any]], dict[str, Any]]] = {
    "emit": _emit,
    "status": _status,
    "clock": _clock,
    "settle": _settle,
    "poke": _poke,
    "view": _view,
    "invite": _invite,
    "put_form": _put_form,
    "decree": _decree,
    "ingest": _ingest,
    "fix_clock": _fix_clock,
    "mend_clock": _mend_clock,
    "rotate_key": _rotate_key,
}
