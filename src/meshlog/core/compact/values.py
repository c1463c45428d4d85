"""Values: by their field's type where one fits, else by the shape that CBOR gives them."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from meshlog.core.cbor import DEPTH_MAX
from meshlog.core.coder import UINT_MAX, Coder, Context, prior
from meshlog.core.compact.memory import Memory
from meshlog.core.compact.texts import text
from meshlog.core.event import BODY_SIZE_MAX
from meshlog.core.form import Form
from meshlog.core.units import SCALE_MAX, WHOLE_MAX, from_units, whole_units
from meshlog.errors import MalformedError

_NULL, _FALSE, _TRUE, _INT, _DECIMAL, _DOUBLE, _TEXT, _BYTES, _LIST, _MAP = range(10)
_SHAPES = (1, 1, 1, 6, 4, 1, 12, 2, 1, 1)
_FITS = prior(1, 30)
"""A value of a form's field is one of its type, 30 times of 31 before anything was seen."""


def typed(coder: Coder, memory: Memory, form: Form, place: int, value: Any = None) -> Any:  # noqa: ANN401 - what a body holds
    """Code the value of a form's field."""
    kind = form.fields[place].type
    context: Hashable = (form.id, place)
    if kind is None:
        return generic(coder, memory, context, value)
    packed = kind.pack(value) if coder.is_writing else None
    if not coder.bit((context, "fits"), packed is not None, _FITS, 8):
        return generic(coder, memory, context, value)
    key = (form.id, place)
    packed = kind.code(coder, context, packed or 0, memory.last.get(key))
    memory.last[key] = packed
    found = kind.unpack(packed)
    memory.charge(len(found) + 1 if isinstance(found, str) else 1)
    return found


def generic(
    coder: Coder,
    memory: Memory,
    context: Context,
    value: Any = None,  # noqa: ANN401 - what a body holds
    depth: int = 0,
) -> Any:  # noqa: ANN401 - as above
    """Code any value that a body can carry."""
    shape = _shape_of(value) if coder.is_writing else 0
    shape = coder.symbol((context, "shape"), 10, shape, _SHAPES)
    memory.charge(1)
    memory.count(4 if shape == _MAP else shape in (_TEXT, _BYTES, _LIST))
    match shape:
        case 0 | 1 | 2:
            return (None, False, True)[shape]
        case 3:
            return _integer(coder, context, value or 0)
        case 4:
            return _decimal(coder, context, 0.0 if value is None else value)
        case 5:
            [bits] = struct.unpack(">Q", struct.pack(">d", 0.0 if value is None else value))
            [found] = struct.unpack(">d", struct.pack(">Q", coder.direct(64, bits)))
            return found
        case 6:
            return text(coder, memory, context, value or "")
        case 7:
            size = coder.uint((context, "bytes"), len(value or b""), BODY_SIZE_MAX, 4)
            memory.charge(size)
            return coder.plain(size, value or b"")
    if depth >= DEPTH_MAX:
        raise MalformedError("nested too deeply")
    return (_list if shape == _LIST else _map)(coder, memory, context, value, depth + 1)


def _shape_of(value: object) -> int:
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, float):
        return _DOUBLE if _scale_of(value) is None else _DECIMAL
    for kind, shape in ((int, _INT), (str, _TEXT), (bytes, _BYTES), (Mapping, _MAP)):
        if isinstance(value, kind):
            return shape
    return _NULL if value is None else _LIST


def _integer(coder: Coder, context: Context, value: int) -> int:
    below = coder.bit((context, "below"), value < 0, prior(8, 1))
    size = coder.uint((context, "int"), -1 - value if value < 0 else value, UINT_MAX, 3)
    return -1 - size if below else size


def _scale_of(value: float) -> int | None:
    return next(
        (scale for scale in range(SCALE_MAX + 1) if whole_units(value, scale) is not None), None
    )


def _decimal(coder: Coder, context: Context, value: float) -> float:
    scale = coder.symbol((context, "scale"), SCALE_MAX + 1, _scale_of(value) or 0)
    units = whole_units(value, scale) or 0
    return from_units(coder.sint((context, scale), units, WHOLE_MAX, 4), scale)


def _list(
    coder: Coder, memory: Memory, context: Context, value: Sequence[Any] | None, depth: int
) -> list[Any]:
    size = coder.uint((context, "items"), len(value or ()), BODY_SIZE_MAX)
    memory.charge(size)
    return [
        generic(coder, memory, (context, min(place, 3)), value[place] if value else None, depth)
        for place in range(size)
    ]


def _map(
    coder: Coder, memory: Memory, context: Context, value: Mapping[str, Any] | None, depth: int
) -> dict[str, Any]:
    size = coder.uint((context, "pairs"), len(value or ()), BODY_SIZE_MAX)
    memory.charge(size)
    found: dict[str, Any] = {}
    names = list(value or ())
    for place in range(size):
        name = text(coder, memory, (context, "key"), names[place] if names else "")
        if name in found:
            raise MalformedError("a key twice")
        memory.keep(name)
        said = value[name] if value else None
        found[name] = generic(coder, memory, (depth, name), said, depth)
    return found
