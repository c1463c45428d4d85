# ruff: noqa: INP001 - run by path, imported by nobody
"""Measure what events cost in compact segments, beside deflated plain ones.

python bench/coding.py SURVEY.csv

The survey is imported as ``meshlog import`` does it; edits are made of its answers. Signatures
are counted. docs/adr/0009-compact-segments.md has the figures.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from meshlog.core.compact.names import Codebook
from meshlog.core.compact.run import RunWriter, decode_compact, encode_compact, fitting
from meshlog.core.event import NO_PREV, OPEN_DATASET, Event, encode_body
from meshlog.core.feed import FeedKey, FeedKind
from meshlog.core.form import FormBook, form_body, read_form
from meshlog.core.grant import Role
from meshlog.core.hlc import Stamp
from meshlog.core.identity import Identity
from meshlog.core.roster import Member, Roster
from meshlog.core.segment import encode_segment
from meshlog.tools.rows.csvrows import CsvSource
from meshlog.tools.rows.forms import infer_form
from meshlog.tools.rows.source import Row

SEED = 2026
T0_MS = 1_760_000_000_000
PACKET_SEGMENT_BYTES = 420
"""Room for a segment in a radio packet that carries something beside it."""

ANN, BEN = Identity(bytes(range(64))), Identity(bytes(range(1, 65)))
FEED = FeedKey(ANN.author, FeedKind.DATA, 0x1234_5678)
BEN_REF = BEN.author + bytes(4)
EDITED = (
    "functional_status", "current_problem", "households_using_waterpoint", "type_of_provider",
    "water_unavailable_seasonally", "waterpoint_committee_active", "service_provider_available",
    "water_quality_problems_available",
)  # fmt: skip

Body = tuple[str, dict[str, Any]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("survey", type=Path)
    words = parser.parse_args()
    source = CsvSource(words.survey, "water_point", None, ("NA",))
    rows = [row for row in source.rows() if isinstance(row, Row)]
    definition = infer_form("water_point", (row.values for row in rows))
    body = form_body(definition)
    book = Codebook.of(roster(), FormBook((read_form(body),)))
    bare = Codebook.of(roster(), FormBook())
    say(f"{len(rows):,} rows; form.put {len(body):,} B, deflated {deflated(body):,} B\n")
    say("| events | per segment | segments | compact, B/event | no form | deflated plain | plain |")
    say("|---|---|---|---|---|---|---|")
    for name, size, count in (
        ("edit", 1, 200), ("edit", 16, 60), ("edit", 32, 30), ("edit", 256, 6),
        ("note", 1, 100), ("note", 16, 30),
        ("record", 1, 200), ("record", 15, 60), ("record", 16, 60), ("record", 32, 30),
    ):  # fmt: skip
        runs = list(runs_of(name, size, count, rows))
        say(line(name, size, runs, book, bare))
    say("")
    speed([*runs_of("record", 15, 100, rows)], book)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def roster() -> Roster:
    """Return a team of two."""
    return Roster(
        OPEN_DATASET,
        members={
            who.author: Member(
                who.author, who.keys, name, Role.WRITER, b"", (life,), (0, b"", 0, 0, b"")
            )
            for who, name, life in ((ANN, "ann", FEED.incarnation), (BEN, "ben", 0))
        },
    )


def runs_of(
    name: str, size: int, count: int, rows: Sequence[Row]
) -> Iterator[tuple[list[Event], Stamp]]:
    """Yield signed runs, and the stamp before each."""
    rng = random.Random(SEED)  # noqa: S311 - a seed must repeat
    makers = {"edit": edits, "note": notes, "record": records}
    for at in range(count):
        start = at * (len(rows) - size) // count
        chosen = rows if name == "edit" else rows[start : start + size]
        yield chain(makers[name](rng, size, chosen), rng, name)


def edits(rng: random.Random, size: int, rows: Sequence[Row]) -> Iterator[Body]:
    """Yield four fields of one record after the other, each first written by another author."""
    for at in range(0, size, 4):
        record_id, seq = rng.randbytes(8).hex(), rng.randrange(1, 11_409)
        for name in rng.sample(EDITED, min(4, size - at)):
            values: list[Any] = []
            while not values:
                values = [row.values[name] for row in rng.sample(rows, 8) if name in row.values]
            yield (
                "field.set",
                {
                    "record_id": record_id,
                    "field": name,
                    "value": values[0],
                    "replaces": [[BEN_REF, seq]],
                },
            )


_NOTES = (
    "pump handle broken, spare part ordered", "dry since last week", "committee met, fee agreed",
    "water tastes salty after the rains", "new rods needed", "call Mr Banda 0999 123 456",
)  # fmt: skip


def notes(rng: random.Random, size: int, rows: Sequence[Row]) -> Iterator[Body]:
    """Yield what people write in their own words."""
    del rows
    for _ in range(size):
        text = f"{rng.choice(_NOTES)}; {rng.choice(_NOTES)}"
        yield "note.add", {"record_id": rng.randbytes(8).hex(), "text": text}


def records(rng: random.Random, size: int, rows: Sequence[Row]) -> Iterator[Body]:
    """Yield imported rows."""
    del rng, size
    for row in rows:
        yield (
            "record.put",
            {"record_id": row.record_id, "fields": row.values, "form": "water_point"},
        )


def chain(bodies: Iterable[Body], rng: random.Random, name: str) -> tuple[list[Event], Stamp]:
    """Return events, their stamps as people make them; an import's share a millisecond."""
    base = stamp = Stamp(T0_MS + rng.randrange(10**9), 0)
    prev, seq, events = rng.randbytes(32), rng.randrange(2, 12_000), []
    for kind, payload in bodies:
        step_ms = 0 if name == "record" else rng.randrange(5_000, 90_000)
        stamp = Stamp(stamp.wall_ms + step_ms, 0 if step_ms else stamp.counter + 1)
        events.append(Event.make(FEED, seq, stamp, prev, encode_body(kind, payload)))
        prev, seq = events[-1].id, seq + 1
    assert prev != NO_PREV
    return [*events[:-1], events[-1].signed(ANN)], base


def deflated(data: bytes) -> int:
    """Return the size of data as raw DEFLATE."""
    packer = zlib.compressobj(9, wbits=-15)
    return len(packer.compress(data) + packer.flush())


def line(
    name: str, size: int, runs: list[tuple[list[Event], Stamp]], book: Codebook, bare: Codebook
) -> str:
    """Return a row of the table."""
    events = sum(len(run) for run, _ in runs)
    coded = [encode_compact(run, book, base) for run, base in runs]
    loose = [encode_compact(run, bare, base) for run, base in runs]
    plain = [encode_segment(run) for run, _ in runs]
    told = [
        sum(len(data or plain[at]) for at, data in enumerate(coded)) / events,
        sum(len(data or plain[at]) for at, data in enumerate(loose)) / events,
        sum(map(deflated, plain)) / events,
        sum(map(len, plain)) / events,
    ]
    figures = " | ".join(f"{value:.1f}" for value in told)
    return f"| {name} | {size} | {len(runs)} | {figures} |"


def speed(runs: list[tuple[list[Event], Stamp]], book: Codebook) -> None:
    """Say how long coding takes."""
    events = sum(len(run) for run, _ in runs)
    began_s = time.perf_counter()
    for run, base in runs:
        writer = RunWriter(run[0], book, base)
        for event in run:
            writer.add(event)
        writer.finish()
    wrote_s = time.perf_counter()
    coded = [encode_compact(run, book, base) for run, base in runs]
    read_s = time.perf_counter()
    for data in coded:
        assert data is not None
        decode_compact(data, book)
    done_s = time.perf_counter()
    fit = fitting([event for run, _ in runs for event in run], book, None, PACKET_SEGMENT_BYTES)
    say(
        f"records: write {1e3 * (wrote_s - began_s) / events:.2f} ms,"
        f" read {1e3 * (done_s - read_s) / events:.2f} ms each; {fit} fit a packet of"
        f" {PACKET_SEGMENT_BYTES} B"
    )


if __name__ == "__main__":
    main()
