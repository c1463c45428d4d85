"""What both sides are given: survey rows, edits of records that both know, authors."""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.air.environments import ROOT

SURVEY = ROOT.parent / "shared" / "data" / "waterpoints_malawi_2022.csv"
"""The real survey, which is not part of the repository: doi 10.5281/zenodo.17433321, CC BY 4.0."""

CARRIED = ROOT / "src" / "meshlog" / "data" / "survey.csv"
"""What the package carries, used where the real one is missing."""

UNANSWERED = frozenset({"", "NA"})
EDITS = {
    "functional_status": ("Functional", "Partially functional", "Not functional", "Abandoned"),
    "households": tuple(range(10, 410)),
    "water_quality": ("Clear", "Turbid", "Salty", "Smells"),
    "committee_active": (True, False),
}
"""The four fields of the survey edits, and the answers that each is drawn from, alike likely."""

RECORDS_KNOWN = 1_000
"""Records that both sides know before the edits: the four edited ones are among them."""

GAP_MS_MAX = 20_000
"""Between two edits of one person pass 1 ms to this much, uniformly."""

Value = str | int | float | bool


class Edit(NamedTuple):
    """One ``field.set``."""

    after_ms: int
    record_id: str
    field: str
    value: Value


def edits(rng: random.Random, records: int = 4) -> Iterator[Edit]:
    """Yield four edits on each of some records, record by record.

    Record ids are 8 random bytes, written as 16 hex digits.
    """
    for _ in range(records):
        record_id = rng.randbytes(8).hex()
        for field, answers in EDITS.items():
            value: Value = rng.choice(answers)
            yield Edit(rng.randint(1, GAP_MS_MAX), record_id, field, value)


@cache
def survey_path() -> Path:
    """Return the survey that this run uses."""
    return SURVEY if SURVEY.exists() else CARRIED


@cache
def survey() -> tuple[Mapping[str, str], ...]:
    """Return every row of the survey, as text."""
    with survey_path().open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(lines))


def answers(row: Mapping[str, str]) -> dict[str, Value]:
    """Return what a row answers, typed as the predecessor's command line types its words."""
    return {name: _typed(text) for name, text in row.items() if text not in UNANSWERED}


def _typed(text: str) -> Value:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def authors(rng: random.Random, count: int) -> list[str]:
    """Return names as the predecessor's Reticulum transport gives them: 32 hex digits."""
    return [rng.randbytes(16).hex() for _ in range(count)]


def lacking(
    rng: random.Random, names: Iterable[str], missing: int
) -> tuple[Counter[str], Counter[str]]:
    """Return what each of two devices lacks: author to number of events.

    Each of the ``missing`` events is of an author drawn at random; which of the two lacks an
    author's is drawn once per author.
    """
    ordered = sorted(names)
    sides = {name: rng.randrange(2) for name in ordered}
    lacked: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for name in rng.choices(ordered, k=missing):
        lacked[sides[name]][name] += 1
    return lacked
