"""What a local write says that its author saw: references to the values that it replaces."""

from __future__ import annotations

from collections.abc import Mapping

from meshlog.views.changes import REFS_MAX, Payload, Ref
from meshlog.views.rowstate import RowState

PUT_REFS_MAX = 1_024
"""References that a write of many fields makes in all, but one per field: some 24 kB, so that a
crowd of values in conflict leaves room for what is written. A choice."""


def replaces_for(
    record: RowState, field: str, own_feed: bytes, most: int = REFS_MAX
) -> tuple[Ref, ...]:
    """Return the live values of ``field`` that a write in ``own_feed`` has to name.

    Those of ``own_feed`` itself are left out: the chain says that they were seen.
    At most ``most``, itself at most 64, the highest first.
    """
    live = record.fields.get(field, ())
    refs = [Ref(feed, seq) for _, (_, feed, seq) in live if feed != own_feed]
    return tuple(dict.fromkeys(refs))[:most] if refs else ()


def deletes_for(record: RowState, own_feed: bytes) -> tuple[Ref, ...]:
    """Return what a delete in ``own_feed`` has to name: the record's heads in other feeds."""
    heads = record.heads
    refs = (Ref(feed, seq) for feed in sorted(heads) if feed != own_feed for seq in heads[feed])
    return tuple(refs)[:REFS_MAX]


def with_replaces(kind: str, payload: Payload, record: RowState, own_feed: bytes) -> Payload:
    """Return ``payload`` with ``replaces`` filled in, if its kind has one and it says nothing.

    Args:
        kind: Kind of the event about to be appended to ``own_feed``.
        payload: As the caller gave it; one that a view cannot read is returned as it is.
        record: The record as the author sees it now.
        own_feed: The data feed that the event goes to, as a ``Ref`` names it.
    """
    if "replaces" in payload:
        return payload
    replaces: object = None
    if kind == "field.set":
        name = payload.get("field")
        replaces = replaces_for(record, name, own_feed) if isinstance(name, str) else ()
    elif kind == "record.put":
        fields = payload.get("fields")
        named = fields if isinstance(fields, Mapping) else ()
        most = min(REFS_MAX, max(1, PUT_REFS_MAX // max(1, len(named))))
        seen = {name: replaces_for(record, name, own_feed, most) for name in named}
        replaces = {name: refs for name, refs in seen.items() if refs}
    elif kind == "record.delete":
        replaces = deletes_for(record, own_feed)
    return {**payload, "replaces": replaces} if replaces else payload
