"""What others get of a branch: runs that end at a cut, as large as their segment may be.

In our own feeds any event can be made a cut: there a run ends where the segment is full.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.core.compact.run import RunWriter, write_segment
from meshlog.core.event import Event
from meshlog.core.feed import FeedKey, Head
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.segment import CUT_EVENTS_MAX, CUT_SIZE_MAX, SEGMENT_EVENTS_MAX
from meshlog.ports.store import Store
from meshlog.replica.ledger import Ledger

CODED_BODY_MAX = 8_192
"""Longer bodies go plain: coding costs 20 µs a byte, and nothing so long goes in one packet."""

BODIES_MAX = 131_072
"""Bytes of bodies that a compact segment joins: half of what one may hold."""


def id_on_branch(store: Store, feed: FeedKey, tip: Head, seq: int) -> bytes:
    """See Holdings.id_on_branch."""
    if seq == tip.seq:
        return tip.id
    held = store.at(feed, seq)
    return held[0].id if len(held) == 1 else store.branch(tip, feed, seq - 1, 1)[0].id


def segments(
    store: Store,
    ledger: Ledger,
    feed: FeedKey,
    tip: Head,
    after_seq: int,
    budget_bytes: int,
    *,
    compact: bool,
    size_max: int | None,
    signer: Identity | None = None,
) -> tuple[list[bytes], int]:
    """See Holdings.segments; ``signer`` is the feed's author, where that is us."""
    out: list[bytes] = []
    reached, left = after_seq, budget_bytes
    while reached < tip.seq:
        most = min(left, CUT_SIZE_MAX if size_max is None else size_max) if compact else None
        strict, anywhere = size_max is not None, signer is not None
        run, base = _next_run(
            store, ledger, feed, tip, reached, most, strict=strict, anywhere=anywhere
        )
        if not run:
            break
        if signer is not None and not run[-1].signature:
            run[-1] = run[-1].signed(signer)
        coded = compact and all(len(event.body) <= CODED_BODY_MAX for event in run)
        data = write_segment(run, ledger.codebook, base, compact=coded)
        if (out and len(data) > left) or (size_max is not None and len(data) > size_max):
            break
        out.append(data)
        left -= len(data)
        reached = run[-1].seq
    return out, reached


def _next_run(
    store: Store,
    ledger: Ledger,
    feed: FeedKey,
    tip: Head,
    after_seq: int,
    most: int | None,
    *,
    strict: bool,
    anywhere: bool,
) -> tuple[list[Event], Stamp | None]:
    """Return the next run, and the stamp of its base; reads no more than it has to."""
    with_base = min(after_seq, 1)
    for size in (CUT_EVENTS_MAX, SEGMENT_EVENTS_MAX):
        found = store.branch(tip, feed, after_seq - with_base, size + with_base)
        base = found[0].stamp if with_base else None
        events = found[with_base:]
        run = next_run(events, anywhere=anywhere)
        if run and most is not None:
            run = next_compact_run(
                events, ledger, base, most, strict=strict, anywhere=anywhere
            ) or ([] if strict else run)
        if run:
            return run, base
    return [], None


def next_run(events: Sequence[Event], *, anywhere: bool) -> list[Event]:
    """Return the longest start of ``events`` that ends at a cut within one segment's measure.

    A run to the first cut is returned whatever its size; further cuts join while the run
    stays within 64 events and 16 KiB. Empty where no cut is in sight.

    Args:
        events: Of one branch.
        anywhere: Whether a run may end after any event: it will be signed.
    """
    end = size_bytes = 0
    for index, event in enumerate(events):
        size_bytes += len(event.body)
        if end and (index >= CUT_EVENTS_MAX or size_bytes > CUT_SIZE_MAX):
            break
        if anywhere or event.signature:
            end = index + 1
    return list(events[:end])


def next_compact_run(
    events: Sequence[Event],
    ledger: Ledger,
    base: Stamp | None,
    size_bytes: int,
    *,
    strict: bool,
    anywhere: bool,
) -> list[Event]:
    """Return the longest start of ``events`` that ends at a cut and fits, coded compactly.

    A run to the first cut is returned whatever its size, unless ``strict``; none where an event
    before that is too long to be coded. Cost: one coding of each event, up to the size.
    """
    writer = RunWriter(events[0], ledger.codebook, base)
    end = bodies_bytes = 0
    for index, event in enumerate(events):
        if len(event.body) > CODED_BODY_MAX:
            break
        writer.add(event)
        bodies_bytes += len(event.body)
        is_full = writer.size_bytes > size_bytes or bodies_bytes > BODIES_MAX
        if is_full and (end or strict):
            break
        if anywhere or event.signature:
            end = index + 1
    return list(events[:end])
