"""The predecessor's log, one JSON object per line: each of its events becomes one of ours.

They are written in the predecessor's total order (stamp, author, seq), so that the same
values win, and each says where it comes from: ``origin: [author, seq, wall_ms, counter]``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from meshlog.core.event import encode_body
from meshlog.errors import InputError
from meshlog.ports.log import Arrival
from meshlog.tools.rows.batches import Append, Batches, Item, Outcome
from meshlog.tools.rows.jsonrows import read_object
from meshlog.tools.rows.lines import LINE_LENGTH_MAX
from meshlog.tools.rows.report import ImportReport, Tally
from meshlog.tools.rows.source import why_unreadable
from meshlog.views.changes import Change, read_change
from meshlog.views.oldorigin import ORIGIN, Origin, origin_of

WIRE_KEYS = frozenset("ashkpvi")
"""Keys of a line: author, seq, hybrid stamp, kind, payload, prev, id. A signature, ``g``, may
follow."""

KEPT_PREFIX = "old."
"""Put before the kind of an old event that no view is to show: kept and relayed, it changes
nothing. So come in events that no view can read, and those over which something newer was
written here before they came."""

WILD = "its place or its stamp is not a whole number that a clock could show"

_NUMBER_MAX = 2**63 - 1
_ID_HEX_DIGITS = 32
_OWN_KEYS = (ORIGIN, "replaces")
"""Keys that mean something else in our payloads; an old payload's go on under ``old_…``."""


class Slot(NamedTuple):
    """What a write decides: a field of a record, or, with an empty field, its form."""

    record_id: str
    field: str


class _Place(NamedTuple):
    origin: Origin
    offset: int
    line: int


def read_line(text: str) -> tuple[Origin, Item]:
    """Return an old event as one of ours.

    Raises:
        InputError: The line is broken, the id does not fit, or an event cannot carry it.
    """
    wire = read_object(text)
    match wire:
        case {"a": str(author), "s": int(seq), "h": [int(wall_ms), int(counter)], "k": str(kind)}:
            origin = Origin(wall_ms, counter, author, seq)
        case {"a": str(), "s": _, "h": [_, _], "k": str()}:
            raise InputError(WILD)
        case _:
            raise InputError("not an event of a meshlogd log")
    if any(type(n) is bool or not 0 <= n <= _NUMBER_MAX for n in (seq, wall_ms, counter)):
        raise InputError(WILD)
    payload = wire.get("p")
    if not isinstance(payload, dict) or not isinstance(wire.get("v"), str):
        raise InputError("not an event of a meshlogd log")
    if wire.get("i") != _old_id(wire):
        raise InputError("its id is not that of its content: the line was damaged or changed")
    item = kind, _as_ours(kind, payload, origin)
    encode_body(*item)
    return origin, item


def import_old_log(
    path: Path,
    arrivals: Iterable[Arrival],
    append: Append,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Bring a meshlogd log in. See ``importing.import_file``.

    An event that something newer was written over already (the log of another device, or one
    that has grown, imported late) is kept under a kind that no view shows.

    Cost: O(n log n); about 500 bytes of memory for each event of the file.
    """
    tally = Tally()
    size_bytes = path.stat().st_size
    places, slots = _index(path, tally)
    held, newest = _survey(arrivals, slots)
    batches = Batches(append, tally, lambda: None)
    unreadable = late = 0
    with path.open("rb") as file:
        for done, place in enumerate(places):
            if place.origin in held:
                tally.unchanged += 1
                continue
            held.add(place.origin)
            file.seek(place.offset)
            (kind, payload) = read_line(_text(file.readline(LINE_LENGTH_MAX)))[1]
            if why_unreadable(kind, payload) is not None:
                unreadable += 1
                kind = KEPT_PREFIX + kind
            elif _is_late(place.origin, _slots(kind, payload), newest):
                late += 1
                kind = KEPT_PREFIX + kind
            batches.add(place.line, Outcome.ADDS, (kind, payload))
            if progress and done % 512 == 0:
                progress(size_bytes * done // len(places), size_bytes)
    batches.flush()
    if progress:
        progress(size_bytes, size_bytes)
    notes = []
    if unreadable:
        notes.append(f"{unreadable} of the events cannot be read by a view: kept, not shown")
    if late:
        notes.append(f"{late} of the events are older than what is written here: kept, not shown")
    return tally.report(*notes)


def _index(path: Path, tally: Tally) -> tuple[list[_Place], frozenset[Slot]]:
    """Read the whole file once; return where its sound events are, sorted, and what they decide."""
    places: list[_Place] = []
    slots: set[Slot] = set()
    authors: dict[str, str] = {}
    for line, offset, data in _raw_lines(path):
        try:
            origin, (kind, payload) = read_line(_text(data))
        except InputError as error:
            torn = not data.endswith(b"\n")
            reason = "the last line was not written to its end" if torn else str(error)
            tally.fail(line, reason)
            continue
        origin = origin._replace(author=authors.setdefault(origin.author, origin.author))
        places.append(_Place(origin, offset, line))
        slots.update(_slots(kind, payload))
    return sorted(places), frozenset(slots)


def _raw_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    with path.open("rb") as file:
        offset, line = 0, 0
        while data := file.readline(LINE_LENGTH_MAX):
            line += 1
            if data.strip():
                yield line, offset, data
            while len(data) == LINE_LENGTH_MAX and not data.endswith(b"\n"):
                data = file.readline(LINE_LENGTH_MAX)
            offset = file.tell()


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _old_id(wire: Mapping[str, Any]) -> str:
    """Return the id that the predecessor gave to an event with these parts."""
    parts = {
        "author": wire["a"],
        "seq": wire["s"],
        "hlc": wire["h"],
        "kind": wire["k"],
        "payload": wire["p"],
        "prev": wire["v"],
    }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:_ID_HEX_DIGITS]


def _as_ours(kind: str, payload: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Return an old payload with its origin, and with what the predecessor took for granted."""
    ours = {f"old_{key}" if key in _OWN_KEYS else key: value for key, value in payload.items()}
    if kind == "record.create":
        ours = {"form": "", "by": "", **ours}
    ours[ORIGIN] = [origin.author, origin.seq, origin.wall_ms, origin.counter]
    return ours


def _slots(kind: str, payload: Mapping[str, Any]) -> list[Slot]:
    """Return what an old event decides; nothing for notes and other additions."""
    match kind, payload:
        case "field.set", {"record_id": str(record_id), "field": str(field)}:
            return [Slot(record_id, field)]
        case "record.create", {"record_id": str(record_id)}:
            return [Slot(record_id, "")]
    return []


def _is_late(origin: Origin, slots: Iterable[Slot], newest: Mapping[Slot, Origin]) -> bool:
    return any(slot in newest and newest[slot] > origin for slot in slots)


def _survey(
    arrivals: Iterable[Arrival], wanted: frozenset[Slot]
) -> tuple[set[Origin], dict[Slot, Origin]]:
    """Return the old events that are held, and the newest write to each wanted slot."""
    held: set[Origin] = set()
    newest: dict[Slot, Origin] = {}
    for arrival in arrivals:
        event = arrival.event
        content = event.content
        if content is None:
            continue
        origin = origin_of(content.payload)
        if origin is not None:
            held.add(origin)
        if wanted:
            wrote = Origin(*event.stamp, event.author.hex(), event.seq)
            for slot in _written(read_change(event, content)):
                if slot in wanted:
                    when = origin or wrote
                    newest[slot] = max(newest.get(slot, when), when)
    return held, newest


def _written(change: object) -> Iterator[Slot]:
    if isinstance(change, Change):
        yield from (Slot(change.record_id, field) for field in change.fields)
        if change.form is not None:
            yield Slot(change.record_id, "")
