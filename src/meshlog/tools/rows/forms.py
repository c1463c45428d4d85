"""A form from rows: what their fields hold, so that each costs a few bits on the air."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import encode_body
from meshlog.core.fieldtypes import (
    SHARE_MAX,
    Choices,
    FieldType,
    Moment,
)
from meshlog.core.form import (
    FIELDS_MAX,
    FORM_KIND,
    FORM_SIZE_MAX,
    NAME_SIZE_MAX,
    FormBook,
)
from meshlog.core.typedefinition import OPTIONS_MAX, WEIGHTS, read_type
from meshlog.core.units import SCALE_MAX, whole_units
from meshlog.tools.rows.report import RowError
from meshlog.tools.rows.source import Source

ROWS_MAX = 20_000
"""Rows that are looked at. A choice: the shares of a few thousand are those of all."""

_DISTINCT_MAX = 2_048
_TOKENS_MAX = 128
_OPTION_SIZE_MAX = 128
_MOST = 0.9
"""A type suits a field if it takes so many of its values."""

_SPELLED_BITS = 4.5
"""Bits of a letter that is spelled out, measured on the notes of bench/coding.py."""

_PATTERNS = (
    "%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d",
    "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M",
)  # fmt: skip
_SEPARATORS = (", ", " ", "; ", ";", "|")
_HEX_32 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DASHED = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


_FORMS_MAX = 16
"""Forms that one file may pin."""


def infer_form(form: str, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the definition of a form that suits these rows.

    Args:
        form: Its name.
        rows: Values by field; at least one of them has a field.
    """
    sketch = _FormSketch()
    for values in rows:
        sketch.see(values)
    return sketch.definition(form)


PutForm: TypeAlias = Callable[[Mapping[str, Any]], object]
"""Pins a form's definition."""


class Pinning:
    """Pins the forms that a file's rows call for, once."""

    def __init__(self, forms: FormBook, put: PutForm | None) -> None:
        """Take the forms that are pinned, and how to pin one; None pins nothing."""
        self._forms = forms
        self._put = put

    def pin(self, source: Source) -> list[str]:
        """Pin what rows need; return a sentence about each form. Cost: one reading.

        A form that has all fields of the rows stays, whatever they hold by now: importing the
        same file again pins nothing.
        """
        if self._put is None:
            return []
        sketches: dict[str, _FormSketch] = {}
        for row in islice(source.rows(), ROWS_MAX):
            if isinstance(row, RowError) or not row.form or not row.values:
                continue
            if row.form not in sketches and len(sketches) >= _FORMS_MAX:
                continue
            sketches.setdefault(row.form, _FormSketch()).see(row.values)
        notes = []
        for name, sketch in sketches.items():
            pinned = self._forms.named(name)
            if pinned is not None and sketch.fields.keys() <= pinned.places.keys():
                continue
            definition = sketch.definition(name)
            self._put(definition)
            size = len(encode_body(FORM_KIND, definition))
            fields = len(definition["fields"])
            notes.append(f"pinned form {name}: {fields} field{'s' * (fields != 1)}, {size:,} bytes")
        return notes


class _FormSketch:
    """What is known of the rows of one form."""

    def __init__(self) -> None:
        self.count = 0
        self.fields: dict[str, _Sketch] = {}

    def see(self, values: Mapping[str, Any]) -> None:
        """Take one row."""
        self.count += 1
        for name, value in values.items():
            sketch = self.fields.get(name)
            if sketch is None:
                if len(self.fields) >= FIELDS_MAX or len(name.encode()) > NAME_SIZE_MAX:
                    continue
                sketch = self.fields[name] = _Sketch()
            sketch.see(value)

    def definition(self, form: str) -> dict[str, Any]:
        """Return the form that suits these rows."""
        fields = [[name, *sketch.entry(self.count)] for name, sketch in self.fields.items()]
        definition = {"form": form, "fields": fields}
        while len(encode_body(FORM_KIND, definition)) > FORM_SIZE_MAX:
            longest = max(fields, key=lambda entry: len(encode_cbor(entry)))
            longest[1:] = ["text"]
        return definition


class _Sketch:
    """What is known of the values of one field."""

    def __init__(self) -> None:
        self.count = 0
        self.floats = 0
        self.whole = 0
        self.scales: Counter[int] = Counter()
        self.low = math.inf
        self.high = -math.inf
        self.values: Counter[tuple[type, Any]] = Counter()
        self.moments: dict[str, int] | None = None
        self.first = 0
        self.unique = 0
        self.template: tuple[str, str, bool] | None = None

    def see(self, value: object) -> None:
        """Take one value."""
        self.count += 1
        if type(value) is float:
            self._see_float(value)
        elif type(value) is int:
            self.whole += 1
        elif type(value) is str:
            self._see_text(value)
        if type(value) in (str, int, bool):
            key = (type(value), value)
            if key in self.values or len(self.values) < _DISTINCT_MAX:
                self.values[key] += 1

    def _see_float(self, value: float) -> None:
        self.floats += 1
        for scale in range(SCALE_MAX + 1):
            if whole_units(value, scale) is not None:
                self.scales[scale] += 1
                self.low, self.high = min(self.low, value), max(self.high, value)
                return

    def _see_text(self, value: str) -> None:
        if self.moments is None:
            self.moments = {
                pattern: 0 for pattern in _PATTERNS if _moment(pattern).pack(value) is not None
            }
        for pattern in self.moments:
            packed = _moment(pattern).pack(value)
            if packed is not None:
                self.moments[pattern] += 1
                if not self.first:
                    self.first = packed
        if self.template is None and self.unique == 0:
            self.template = _template(value)
        if self.template is not None:
            prefix, suffix, dashed = self.template
            inner = value[len(prefix) : len(value) - len(suffix)]
            fits = value.startswith(prefix) and value.endswith(suffix)
            shape = _DASHED if dashed else _HEX_32
            self.unique += fits and shape.fullmatch(inner) is not None

    def entry(self, rows: int) -> list[Any]:
        """Return the field's type and parameters."""
        kind, params = self._kind()
        share = min(SHARE_MAX, round(SHARE_MAX * self.count / rows))
        if share != SHARE_MAX // 2:
            params = params | {"share": share}
        return [kind, params] if params else [kind]

    def _kind(self) -> tuple[str, dict[str, Any]]:
        enough = _MOST * self.count
        if self.template is not None and self.unique >= enough:
            prefix, suffix, dashed = self.template
            said = {"prefix": prefix, "suffix": suffix, "dashed": dashed}
            return "uuid", {key: value for key, value in said.items() if value}
        moments = self.moments or {}
        pattern = max(moments, key=lambda key: moments[key], default="")
        if pattern and moments[pattern] >= enough:
            moment = _moment(pattern)
            first = self.first // 86_400 if moment.is_exact else self.first
            return "date", {"pattern": pattern, "first": first}
        if self.floats >= enough:
            return self._decimal(enough)
        return self._listed()

    def _decimal(self, enough: float) -> tuple[str, dict[str, Any]]:
        """Return a decimal with the scales that most values have."""
        scales = [scale for scale, count in self.scales.most_common() if count * 20 >= self.floats]
        covered = sum(self.scales[scale] for scale in range(max(scales, default=0) + 1))
        if not scales or covered < enough:
            return "text", {}
        power = 10 ** max(scales)
        low, high = math.floor(self.low * power), math.ceil(self.high * power)
        if max(abs(low), abs(high)) >= 2**53:
            return "text", {}
        return "decimal", {"scales": scales, "low": low, "high": high}

    def _listed(self) -> tuple[str, dict[str, Any]]:
        """Return whichever of a choice, several choices, numbers or text costs least."""
        others = self.count - sum(self.values.values())
        told = [(option, count) for (_, option), count in self.values.most_common()]
        options: list[tuple[Any, int]] = []
        for option, count in told[:OPTIONS_MAX]:
            if count * _bits(option) > 8 * _size(option) + 16 and _size(option) <= _OPTION_SIZE_MAX:
                options.append((option, count))
        plain = sum(count * _bits(option) for option, count in told) + 60 * others
        found: tuple[float, str, dict[str, Any]] = (plain, "text", {})
        if self.whole >= _MOST * self.count:
            found = (plain, "int", {})
        if options:
            found = min(found, self._choice(options, told, others), key=lambda item: item[0])
        texts = [(value, count) for value, count in told if type(value) is str]
        for separator in _SEPARATORS:
            several = self._choices(separator, texts, others)
            if several is not None:
                found = min(found, several, key=lambda item: item[0])
        return found[1], found[2]

    def _choice(
        self, options: Sequence[tuple[Any, int]], told: Sequence[tuple[Any, int]], others: int
    ) -> tuple[float, str, dict[str, Any]]:
        taken = {(type(option), option) for option, _ in options}
        left = [(value, count) for value, count in told if (type(value), value) not in taken]
        total = sum(count for _, count in options)
        missed = self.count - total
        cost = sum(count * math.log2(total / count) for _, count in options)
        cost += sum(count * _bits(value) for value, count in left) + 60 * others
        cost += _entropy(missed, self.count) + sum(8 * _size(option) + 16 for option, _ in options)
        most = options[0][1]
        weights = [_level(count / most) for _, count in options]
        return cost, "choice", {"options": [option for option, _ in options], "weights": weights}

    def _choices(
        self, separator: str, texts: Sequence[tuple[str, int]], others: int
    ) -> tuple[float, str, dict[str, Any]] | None:
        tokens: Counter[str] = Counter()
        for value, count in texts:
            for part in value.split(separator):
                tokens[part] += count
        listed = [
            token
            for token, count in tokens.items()
            if count * _bits(token) > 8 * _size(token) + 16 and _size(token) <= _OPTION_SIZE_MAX
        ]
        if not 1 < len(listed) <= _TOKENS_MAX:
            return None
        options = _ordered(listed, texts, separator)
        kind = Choices(separator, tuple(options), (1,) * len(options))
        fit = [(value, count) for value, count in texts if kind.pack(value) is not None]
        total = sum(count for _, count in fit)
        if total < self.count // 2:
            return None
        named: Counter[str] = Counter()
        for value, count in fit:
            for part in value.split(separator):
                named[part] += count
        missed = sum(count * _bits(value) for value, count in texts if kind.pack(value) is None)
        cost = missed + 60 * others + sum(_entropy(named[option], total) for option in options)
        cost += sum(8 * _size(option) + 16 for option in options)
        shares = [round(SHARE_MAX * named[option] / total) for option in options]
        said: dict[str, Any] = {"options": options, "shares": shares}
        return cost, "choices", said | ({} if separator == ", " else {"separator": separator})


def _ordered(tokens: Sequence[str], texts: Sequence[tuple[str, int]], separator: str) -> list[str]:
    """Return options in the order in which they stand in most texts: by their average place."""
    known = set(tokens)
    ahead: Counter[str] = Counter()
    for value, count in texts:
        parts = [part for part in value.split(separator) if part in known]
        for place, part in enumerate(parts):
            ahead[part] += (len(parts) - 1 - 2 * place) * count
    by_name = sorted(tokens)
    ups = downs = 0
    for value, count in texts:
        parts = [part for part in value.split(separator) if part in known]
        rising = parts == sorted(parts)
        ups, downs = ups + rising * count, downs + (not rising) * count
    if ups >= 9 * downs:
        return by_name
    return sorted(tokens, key=lambda token: (-ahead[token], token))


def _level(share: float) -> int:
    """Return the level of frequency nearest to a share of the most frequent."""
    return max(0, len(WEIGHTS) - 1 + round(2 * math.log2(share)))


def _entropy(some: int, total: int) -> float:
    """Return the bits of so many yes-or-no decisions with a known share of yes."""
    if not 0 < some < total:
        return 0
    share = some / total
    return -total * (share * math.log2(share) + (1 - share) * math.log2(1 - share))


def _size(value: object) -> int:
    return len(value.encode()) + 1 if isinstance(value, str) else 3


def _bits(value: object) -> float:
    """Return about how many bits a value costs that no type takes."""
    if isinstance(value, str):
        return 8 + _SPELLED_BITS * len(value.encode())
    return 3 + 1.5 * abs(int(value)).bit_length() if isinstance(value, int) else 60


def _template(value: str) -> tuple[str, str, bool] | None:
    for shape, dashed in ((_DASHED, True), (_HEX_32, False)):
        found = shape.search(value)
        if found is not None:
            return value[: found.start()], value[found.end() :], dashed
    return None


_MOMENTS: dict[str, Moment] = {}


def _moment(pattern: str) -> Moment:
    if pattern not in _MOMENTS:
        found: FieldType | None = read_type("date", {"pattern": pattern, "first": 1})
        assert isinstance(found, Moment), "a pattern of ours"
        _MOMENTS[pattern] = found
    return _MOMENTS[pattern]
