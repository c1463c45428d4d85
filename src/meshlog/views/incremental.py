"""A new event on top of a record's row, where that is provably what the fold would make.

``grown`` answers for the common case and leaves everything else to the fold: docs/views.md says why
each of its conditions is there.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Container
from typing import Any

from meshlog.core.identity import AUTHOR_ID_SIZE
from meshlog.views.changes import Ref
from meshlog.views.fold import Told
from meshlog.views.rowstate import RowState, Spot


def grown(record: RowState, told: Told, forked: Container[bytes]) -> bool:
    """Take a counted event into ``record``; False where only a fold of all events can tell.

    Args:
        record: What all other counted events make; worthless after False.
        told: An event that touches the record and is not in it yet, with the stamp by which it
            is ordered.
        forked: Feeds with several branches, as a ``Ref`` names them.

    Cost: O(what the event writes), and a look at each head for a delete.
    """
    change = told.change
    spot: Spot = told[:3]
    _, own, seq = spot
    heads, named = record.heads, record.named
    is_last = spot > record.last
    if own in forked or (own in heads and heads[own][-1] >= seq):
        return False
    if not is_last and named.get(own, 0) >= seq:
        return False  # somebody higher in the order may have seen it
    refs: list[Ref] = [*change.deletes] if change.deletes else []
    for some in change.replaces.values():
        refs += some
    if refs and any(ref.feed in forked for ref in refs):
        return False
    if change.deletes is None:
        if not _written(record, told, spot, is_last=is_last):
            return False
        record.visible = True
    else:
        if not is_last or not _saw_all(record, own, change.deletes):
            return False
        record.visible = False
    heads[own] = [seq]
    if is_last:
        record.last = spot
    if named.get(own, seq + 1) <= seq:
        del named[own]
    for feed, seen in refs:
        if seen > named.get(feed, 0) and (feed not in heads or seen > heads[feed][-1]):
            named[feed] = seen
    return True


def _written(record: RowState, told: Told, spot: Spot, *, is_last: bool) -> bool:
    """Take what an event writes into the record; False where it cannot be told."""
    change, own = told.change, spot[1]
    for name, value in change.fields.items():
        writes = record.fields.get(name)
        if writes is None:
            record.fields[name] = [(value, spot)]
            continue
        seen = change.replaces.get(name, ())
        kept: list[tuple[Any, Spot]] = [
            write
            for write in writes
            if write[1] > spot or (write[1][1] != own and write[1][1:] not in seen)
        ]
        kept.append((value, spot))
        if len(kept) > 1:
            kept.sort(key=_spot_of, reverse=True)
        record.fields[name] = kept
    if change.form is not None:
        if not is_last or (record.heads and not record.created_by):
            return False
        record.form = change.form
        if not record.created_by:
            record.created_by = own[:AUTHOR_ID_SIZE].hex() if change.by is None else change.by
    if change.note is not None:
        insort(record.notes, (change.note, spot), key=_spot_of)
    if change.attachment is not None:
        name, blob_hash, *_ = change.attachment
        if not is_last and any((a[0], a[1]) == (name, blob_hash) for a in record.attachments):
            return False
        record.attachments.append(change.attachment)
        record.attachments.sort(key=lambda attachment: (attachment[0], attachment[1]))
    return True


def _saw_all(record: RowState, own: bytes, seen: tuple[Ref, ...]) -> bool:
    """Say whether a delete of feed ``own`` that names ``seen`` saw everything in the record."""
    return all(
        feed == own or all((feed, seq) in seen for seq in seqs)
        for feed, seqs in record.heads.items()
    )


def _spot_of(item: tuple[Any, Spot]) -> Spot:
    return item[1]
