"""A record as rows: typed values, notes, words and places."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from meshlog.core.cbor import plain
from meshlog.views.records import Record

PLACES_MAX = 16
"""Places of one record that are found: a choice."""

LATITUDES = ("latitude", "lat", "_latitude", "gps_latitude", "gps_lat")
LONGITUDES = ("longitude", "lon", "_longitude", "gps_longitude", "gps_lon")
"""Pairs of fields that are a place, by their names in lower case: of CSV files in use."""

APART = "\U000ffffd"
"""A word between two texts of a record, so that no phrase reaches from one into the other: the
last private character of plane 15, a word to FTS5 and a letter of nobody's."""

_POINT_NUMBERS = (2, 3, 4)
"""``lat lon``, with altitude, with accuracy: how XForms write a geopoint."""


class Value(NamedTuple):
    """One live value, as a row."""

    field: str
    rank: int
    """0 for the value that is shown, then the conflict, highest first."""
    kind: str
    value: Any
    author: bytes
    written_ms: int


class Place(NamedTuple):
    """Somewhere on earth, in degrees."""

    field: str
    lat: float
    lon: float


def kind_and_value(value: object) -> tuple[str, object]:
    """Return how SQL holds a value: numbers are one kind, truth values another.

    Example:
        >>> kind_and_value(True), kind_and_value(1.0), kind_and_value(("x",))
        (('truth', 1), ('number', 1.0), ('list', '["x"]'))
    """
    match value:
        case None:
            return "none", None
        case bool():
            return "truth", int(value)
        case int() | float():
            return "number", value
        case str():
            return "text", value
        case bytes():
            return "bytes", value
    return "list", json.dumps(plain(value), ensure_ascii=False, default=bytes.hex)


def values_of(record: Record) -> Iterator[Value]:
    """Yield the shown value of every field, and those in conflict with it."""
    conflicts = record.conflicts()
    for field, writes in record.fields.items():
        for rank, write in enumerate((writes[0], *conflicts.get(field, ()))):
            kind, value = kind_and_value(write.value)
            origin = write.origin
            yield Value(field, rank, kind, value, origin.author, origin.stamp.wall_ms)


def words_of(record: Record) -> str:
    """Return what full-text search looks through: notes and text values, ``APART``."""
    shown = (writes[0].value for writes in record.fields.values())
    texts = [value for value in shown if isinstance(value, str)]
    texts += [note.text for note in record.notes]
    return f"\n{APART}\n".join(text.replace(APART, " ") for text in texts)


def places_of(record: Record) -> list[Place]:
    """Return the places that a record's fields name, at most ``PLACES_MAX``.

    A place is a text ``lat lon`` (more numbers may follow), a list of two numbers, or a pair of
    fields such as ``latitude`` and ``longitude``.
    """
    shown = {name: writes[0].value for name, writes in record.fields.items()}
    return [*_pairs(shown), *_points(shown.items())][:PLACES_MAX]


def _pairs(shown: Mapping[str, object]) -> Iterator[Place]:
    by_name = {name.lower(): (name, value) for name, value in shown.items()}
    for lat_name, lon_name in zip(LATITUDES, LONGITUDES, strict=True):
        if lat_name in by_name and lon_name in by_name:
            name, lat = by_name[lat_name]
            yield from _place(name, lat, by_name[lon_name][1])


def _points(fields: Iterable[tuple[str, object]]) -> Iterator[Place]:
    for name, value in fields:
        match value:
            case str() if len(value) <= 80:  # noqa: PLR2004 - four numbers are shorter
                numbers = value.replace(",", " ").split()
                if len(numbers) in _POINT_NUMBERS and all("." in part for part in numbers[:2]):
                    yield from _place(name, *numbers[:2])
            case (float() as lat, float() as lon):
                yield from _place(name, lat, lon)


def _place(name: str, lat: object, lon: object) -> Iterator[Place]:
    if isinstance(lat, int | float | str) and isinstance(lon, int | float | str):
        if isinstance(lat, bool) or isinstance(lon, bool):
            return
        try:
            found = Place(name, float(lat), float(lon))
        except (ValueError, OverflowError):
            return
        if math.fabs(found.lat) <= 90 and math.fabs(found.lon) <= 180:  # noqa: PLR2004 - degrees
            yield found
