"""The rows of the table: what is measured, what it must reach, and who measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.air import minimum, onair, payload
from bench.air.inputs import survey

Theirs = Callable[[str, int], float]
"""Version and seed to a number."""

DASH = "–"
MANY = 100_000
SLICE = 2_000
SLICE_QUICK = 200
SLICE_LOSS = 400
LOSS = 0.3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    key: str
    what: str
    bar: str
    unit: str
    theirs: Theirs
    least: Callable[[], float] | None = None
    """The information minimum; None where there is none to compute."""
    seed_count: int = 5


def rows(*, quick: bool) -> list[Row]:
    """Return all rows; ``quick`` measures a shorter slice of the long ones."""
    return [*_differences(), *_coding(), *_air(slice_events(quick=quick))]


def slice_events(*, quick: bool) -> int:
    """Return how many of the many events are really sent; the rest is extrapolated."""
    return SLICE_QUICK if quick else SLICE


def _differences() -> list[Row]:
    found = [
        Row(
            f"idle-{count}",
            f"nothing differs, one pair, A = {count:,}: bytes per round",
            "≤ 20 per beacon",
            "B",
            partial(_idle, author_count=count),
            lambda: float(minimum.FINGERPRINT_BYTES),
        )
        for count in (50, 1_000)
    ]
    for base, bars in (("find", (120, 130, 215)), ("find-based", (25, 40, 175))):
        remembered = ", with a remembered base" if base == "find-based" else ""
        found += [
            Row(
                f"{base}-{missing}",
                f"find d = {missing:,} at A = 50{remembered}, both sides lacking",
                f"≤ {bar}",
                "B",
                partial(_find, missing=missing),
                partial(minimum.difference_bytes, 50, missing),
            )
            for missing, bar in zip((1, 10, 1_000), bars, strict=True)
        ]
    return found


def _coding() -> list[Row]:
    def edit_floor(count: int) -> float:
        return (minimum.edits_bytes() + minimum.SIGNATURE_BYTES) / count

    def record_floor() -> float:
        return sum(minimum.record_bytes(survey(), payload.RECORDS).values())

    return [
        Row(
            "edits-16",
            "survey edits, one segment of 16: bytes per event, signature included",
            "≤ 16",
            "B",
            lambda version, seed: payload.survey_edits(version, seed)[0],
            lambda: edit_floor(16),
        ),
        Row(
            "edits-16-packed",
            "… after Reticulum's compression",
            "≤ 16",
            "B",
            lambda version, seed: payload.survey_edits(version, seed)[1],
            lambda: edit_floor(16),
        ),
        Row(
            "edits-1",
            "a lone survey edit, signature included",
            "≤ 100",
            "B",
            lambda version, seed: min(payload.survey_edits(version, seed, 1)),
            lambda: minimum.edits_bytes(records=1) / 4 + minimum.SIGNATURE_BYTES,
        ),
        Row(
            "survey",
            "the real survey, 16 records at once: bytes per record, signed, after compression",
            "≤ 50",
            "B",
            lambda version, seed: payload.survey_records(version, seed, each_answer=False)[1],
            record_floor,
        ),
        Row(
            "survey-answers",
            "… with an event for each answer, as its own helpers make them",
            "≤ 50",
            "B",
            lambda version, seed: payload.survey_records(version, seed, each_answer=True)[1],
            record_floor,
        ),
    ]


def _air(event_count: int) -> list[Row]:
    def ten_events() -> float:
        edits = minimum.edits_bytes(known=False) / 16 * onair.NEW_EVENTS
        return minimum.HEADER_BYTES + minimum.SIGNATURE_BYTES + edits

    def hours(version: str, seed: int) -> float:
        return onair.to_new_device(version, seed, event_count) * MANY / onair.HOUR_MS

    def ratio(version: str, seed: int) -> float:
        return onair.new_events(version, seed, LOSS) / onair.new_events(version, seed)

    def pair_ratio(version: str, seed: int) -> float:
        lossy = onair.to_new_device(version, seed, SLICE_LOSS, LOSS)
        return lossy / onair.to_new_device(version, seed, SLICE_LOSS)

    return [
        Row(
            "cell-round",
            "`cell20` idle: on air, one round of gossip",
            DASH,
            "kB",
            lambda version, seed: onair.idle(version, seed).round_bytes / 1_000,
        ),
        Row(
            "cell-hour",
            "`cell20` idle: on air in one hour, announces included",
            "≤ 3",
            "kB",
            lambda version, seed: onair.idle(version, seed).hour_bytes / 1_000,
            lambda: 0.0,
        ),
        Row(
            "cell-duty",
            "… and what the busiest station was on air in its worst hour",
            "≤ 1",
            "%",
            lambda version, seed: onair.idle(version, seed).busiest_share * 100,
        ),
        Row(
            "cell-new",
            "10 new events in `cell20` until all 20 hold them: on air",
            "≤ 3",
            "kB",
            lambda version, seed: onair.new_events(version, seed) / 1_000,
            lambda: ten_events() / 1_000,
        ),
        Row(
            "cell-loss",
            "the same with 30 % loss: times the loss-free bytes",
            "≤ 2.5",
            "×",
            ratio,
            lambda: minimum.loss_factor(onair.CELL - 1, LOSS),
        ),
        Row(
            "many",
            f"{MANY:,} small events to a new device at SF8: hours of air",
            "≤ 1.2",
            "h",
            hours,
            _many_floor_hours,
            seed_count=3,
        ),
        Row(
            "many-loss",
            f"… with 30 % loss: times the loss-free air, measured on {SLICE_LOSS:,} events",
            "≤ 2.5",
            "×",
            pair_ratio,
            lambda: 1 / (1 - LOSS),
        ),
    ]


def _many_floor_hours() -> float:
    per_event = minimum.edits_bytes(known=False) / 16
    bits_per_s = onair.LORA.bit_rate_bps
    return MANY * per_event * 8 / bits_per_s / 3_600


def _idle(version: str, seed: int, author_count: int) -> float:
    return payload.idle(version, seed, author_count)


def _find(version: str, seed: int, missing: int) -> float:
    return payload.find(version, seed, missing)
