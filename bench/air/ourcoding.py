"""Our segments of the same survey and the same edits, as the broadcast lane takes them."""

from __future__ import annotations

from functools import cache
from random import Random

from bench.air.inputs import EDITS, RECORDS_KNOWN, Edit, Value, answers, edits, survey
from bench.air.payload import RECORDS
from meshlog.core.identity import Identity
from meshlog.replica import Replica, found
from meshlog.sim.agenda import EPOCH_MS
from meshlog.store.sqlite import SqliteStore
from meshlog.tools.rows.forms import infer_form

FORM = "waterpoint"
FORM_ROWS = 200
"""Drawn answers from which the form of the edits is inferred."""


@cache
def survey_edits(seed: int, count: int = 16) -> float:
    """Return bytes per edit of a segment, signature included; ``replaces`` is in the events."""
    rng = Random(seed)  # noqa: S311 - a seed must repeat
    drawn = list(edits(rng))
    replica = _device(rng, [_drawn(rng) for _ in range(FORM_ROWS)])
    known = dict.fromkeys(edit.record_id for edit in drawn)
    known |= dict.fromkeys(rng.randbytes(8).hex() for _ in range(RECORDS_KNOWN - len(known)))
    ids = sorted(known)
    rng.shuffle(ids)
    replica.append_many([("record.put", _record(key, _drawn(rng))) for key in ids], EPOCH_MS)
    after_seq = _seq(replica)
    now_ms = EPOCH_MS + 1_000
    for edit in drawn[:count]:
        now_ms += edit.after_ms
        replica.append("field.set", _payload(edit), now_ms)
    return _size_bytes(replica, after_seq) / count


@cache
def survey_records(seed: int) -> float:
    """Return bytes per record of 16 records of the survey, signatures included."""
    rng = Random(seed)  # noqa: S311 - a seed must repeat
    rows = survey()
    replica = _device(rng, [answers(row) for row in rows])
    start = rng.randrange(len(rows) - RECORDS)
    after_seq = _seq(replica)
    for number, row in enumerate(rows[start : start + RECORDS], start):
        now_ms = EPOCH_MS + number * 60_000 + rng.randrange(60_000)
        replica.append("record.put", _record(f"W-{number}", answers(row)), now_ms)
    return _size_bytes(replica, after_seq) / RECORDS


def _device(rng: Random, rows: list[dict[str, Value]]) -> Replica:
    """Return a device of a dataset with a form that was inferred from rows, as import does."""
    store, who = SqliteStore(), Identity(rng.randbytes(64))
    found(store, who, "ann", "bench", EPOCH_MS, rng)
    replica = Replica(store, who, EPOCH_MS, rng)
    definition = infer_form(FORM, rows)
    assert definition is not None, "there are rows"
    replica.put_form(definition, EPOCH_MS)
    return replica


def _seq(replica: Replica) -> int:
    replica.root()  # signs
    heads = replica.frontier().get(replica.data_feed, ())
    return heads[0].seq if heads else 0


def _size_bytes(replica: Replica, after_seq: int) -> int:
    replica.root()  # signs
    [head] = replica.frontier()[replica.data_feed]
    segments, reached = replica.segments(replica.data_feed, head, after_seq, 1 << 20, compact=True)
    assert reached == head.seq, "everything is in them"
    return sum(map(len, segments))


def _drawn(rng: Random) -> dict[str, Value]:
    return {field: rng.choice(choices) for field, choices in EDITS.items()}


def _record(record_id: str, fields: dict[str, Value]) -> dict[str, object]:
    return {"record_id": record_id, "form": FORM, "fields": fields}


def _payload(edit: Edit) -> dict[str, object]:
    return {"record_id": edit.record_id, "field": edit.field, "value": edit.value}
