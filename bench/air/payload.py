"""The predecessor at its Transport seam: payload bytes, before any radio."""

from __future__ import annotations

import bz2
from collections.abc import Iterable
from functools import cache

from bench.air.inputs import answers, authors, edits, lacking, survey
from bench.air.predecessor import EPOCH_MS, Predecessor, Send

EVENTS_PER_AUTHOR = 1_000
REAL_AUTHORS_MAX = 50
"""With more, a feed is one event many times: a million events would need a gigabyte, and only the
lengths of feeds enter a frontier."""

RECORDS = 16


def compressed(message: bytes) -> bytes:
    """Return what a Resource of Reticulum carries: bz2 where that is shorter."""
    return min(message, bz2.compress(message), key=len)


@cache
def idle(version: str, seed: int, author_count: int) -> float:
    """Return the bytes of one round between two nodes that hold the same."""
    with Predecessor(version, seed) as nodes:
        ann, bob = nodes.cell(2)
        counts = dict.fromkeys(authors(nodes.rng, author_count), EVENTS_PER_AUTHOR)
        for name in (ann, bob):
            nodes.fill(name, counts, real=author_count <= REAL_AUTHORS_MAX)
        offers = [*nodes.gossip(ann), *nodes.gossip(bob)]
        assert not [send for offer in offers for send in nodes.hear(offer)], "nothing differs"
        return size_bytes(offers)


@cache
def find(version: str, seed: int, missing: int, author_count: int = 50) -> float:
    """Return the bytes both ways that two nodes need to know what each of them lacks."""
    with Predecessor(version, seed) as nodes:
        ann, bob = nodes.cell(2)
        counts = dict.fromkeys(authors(nodes.rng, author_count), EVENTS_PER_AUTHOR)
        for name, lacked in zip((ann, bob), lacking(nodes.rng, counts, missing), strict=True):
            nodes.fill(name, {author: n - lacked[author] for author, n in counts.items()})
        offers = [*nodes.gossip(ann), *nodes.gossip(bob)]
        events = [send for offer in offers for send in nodes.hear(offer)]
        assert not [send for message in events for send in nodes.hear(message)], "events end it"
        assert len(set(nodes.held().values())) == 1, "they agree afterwards"
        return size_bytes(offers)


@cache
def survey_edits(version: str, seed: int, count: int = 16) -> tuple[float, float]:
    """Return bytes per event of edits to known records, as sent and as Reticulum compresses them.

    Args:
        version: Of the predecessor.
        seed: Decides keys and edits.
        count: Edits in one message: 16, or a lone one.
    """
    with Predecessor(version, seed) as nodes:
        ann, bob = nodes.cell(2)
        drawn = list(edits(nodes.rng))
        for record_id in dict.fromkeys(edit.record_id for edit in drawn):
            nodes.emit(ann, "record.create", {"record_id": record_id, "form": "wp", "by": ann})
        _meet(nodes, bob)
        now_ms = EPOCH_MS + 1_000
        for edit in drawn[:count]:
            now_ms += edit.after_ms
            nodes.clock(now_ms)
            payload = {"record_id": edit.record_id, "field": edit.field, "value": edit.value}
            nodes.emit(ann, "field.set", payload)
        return _per(_meet(nodes, bob), count)


@cache
def survey_records(version: str, seed: int, *, each_answer: bool) -> tuple[float, float]:
    """Return bytes per record of 16 records of the survey, as sent and compressed.

    Args:
        version: Of the predecessor.
        seed: Decides keys, and which records.
        each_answer: One event per answer, as its own ``create_record`` and ``set_field`` make
            them; else one event per record, which its open ``emit`` allows and which is cheaper.
    """
    rows = survey()
    with Predecessor(version, seed) as nodes:
        ann, bob = nodes.cell(2)
        start = nodes.rng.randrange(len(rows) - RECORDS)
        for number, row in enumerate(rows[start : start + RECORDS], start):
            nodes.clock(EPOCH_MS + number * 60_000 + nodes.rng.randrange(60_000))
            known = {"record_id": f"W-{number}", "form": "waterpoint", "by": ann}
            if each_answer:
                nodes.emit(ann, "record.create", known)
                for field, value in answers(row).items():
                    payload = {"record_id": f"W-{number}", "field": field, "value": value}
                    nodes.emit(ann, "field.set", payload)
            else:
                nodes.emit(ann, "record.create", {**known, **answers(row)})
        return _per(_meet(nodes, bob), RECORDS)


def size_bytes(sends: Iterable[Send]) -> int:
    """Return the payload bytes of messages."""
    return sum(len(send.message) for send in sends)


def _meet(nodes: Predecessor, asking: str) -> list[Send]:
    """Let one node offer its frontier, and take what comes; return that."""
    events = [send for offer in nodes.gossip(asking) for send in nodes.hear(offer)]
    for message in events:
        nodes.hear(message)
    held = set(nodes.held().values())
    assert len(held) == 1, "they agree afterwards"
    return events


def _per(events: list[Send], count: int) -> tuple[float, float]:
    sent = size_bytes(events)
    packed = sum(len(compressed(send.message)) for send in events)
    return sent / count, packed / count
