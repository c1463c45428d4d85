"""What a local write says that its author saw: references to the values that it replaces.

Those of the own feed need no naming, the chain says that they were seen; so all that matters of a
record is what stands in it of other feeds. Of most records that is nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meshlog.views.changes import REFS_MAX, Payload, Ref
from meshlog.views.rowstate import RowState, Spot

PUT_REFS_MAX = 1_024
"""References that a write of many fields makes in all, but one per field: some 24 kB, so that a
crowd of values in conflict leaves room for what is written. A choice."""


Replaces = Mapping[str, Sequence[tuple[bytes, int]]]
"""What a write names, a ``Ref`` for each value, by field."""


class Others(NamedTuple):
    """What a record has of feeds other than the one that is written to."""

    fields: dict[str, list[Spot]]
    """Live values, the highest first; no field without one."""
    heads: tuple[Ref, ...]
    """The record's last events of each feed, by feed and seq; at most as many as a write names."""


def others_of(record: RowState, own_feed: bytes) -> Others | None:
    """Return what a write in ``own_feed`` may have to name of a record; None for nothing."""
    heads = record.heads
    refs = [Ref(feed, seq) for feed in sorted(heads) if feed != own_feed for seq in heads[feed]]
    fields = {}
    for name, live in record.fields.items():
        if spots := [spot for _, spot in live if spot[1] != own_feed]:
            fields[name] = spots
    return Others(fields, tuple(refs[:REFS_MAX])) if refs or fields else None


def take_away(others: Others, replaces: Replaces, spot: Spot) -> None:
    """Let what a counted write in the own feed names not be live any more.

    Nothing else that the own feed says changes what stands of others.

    Args:
        others: Of its record.
        replaces: What it names of each field: in feeds that did not fork.
        spot: Its own: what is later than it stays.
    """
    fields = others.fields
    for name, seen in replaces.items():
        live = fields.pop(name, None)
        if live and (left := [at for at in live if at > spot or at[1:] not in seen]):
            fields[name] = left


def replaces_for(others: Others, field: str, most: int = REFS_MAX) -> tuple[tuple[bytes, int], ...]:
    """Return the live values of ``field`` that a write has to name.

    At most ``most``, itself at most 64, the highest first.
    """
    refs = [spot[1:] for spot in others.fields.get(field, ())]
    return tuple(dict.fromkeys(refs))[:most]


def filled_in(kind: str, said: Payload) -> Replaces:
    """Return what ``with_replaces`` let a payload name of fields."""
    if kind == "field.set":
        return {said["field"]: said["replaces"]}
    named: Replaces = said["replaces"] if kind == "record.put" else {}
    return named


def with_replaces(kind: str, payload: Payload, others: Others | None) -> Payload:
    """Return ``payload`` with ``replaces`` filled in, if its kind has one and it says nothing.

    Args:
        kind: Kind of the event about to be appended.
        payload: As the caller gave it; one that a view cannot read is returned as it is.
        others: What its author sees of others in the record now.
    """
    if others is None or "replaces" in payload:
        return payload
    replaces: object = None
    if kind == "field.set":
        name = payload.get("field")
        replaces = replaces_for(others, name) if isinstance(name, str) else ()
    elif kind == "record.put":
        fields = payload.get("fields")
        named = fields if isinstance(fields, Mapping) else ()
        most = min(REFS_MAX, max(1, PUT_REFS_MAX // max(1, len(named))))
        seen = {name: replaces_for(others, name, most) for name in named}
        replaces = {name: refs for name, refs in seen.items() if refs}
    elif kind == "record.delete":
        replaces = others.heads
    return {**payload, "replaces": replaces} if replaces else payload
