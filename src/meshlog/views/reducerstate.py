"""A reducer's state as a store keeps it: what is read back is what was written.

A reducer goes on now from the state in memory, now from one that was kept: which of them depends
on when somebody looked, so a difference that it can see would make another state on another
device. Keys stay in their order, and what would come back as something else is refused.
"""

from __future__ import annotations

from types import NoneType

from meshlog.core.cbor import DEPTH_MAX, decode_cbor, encode_in_order, plain
from meshlog.errors import InputError
from meshlog.views.reducer import State

STATE_SIZE_MAX = 16 * 1024 * 1024
"""Bytes of a state as it is kept: a choice."""

_SCALARS = (NoneType, bool, int, float, str, bytes)


def pack_state(state: State) -> bytes:
    """Return the bytes of a state.

    Raises:
        InputError: It is past the limit, or holds what is not read back as it is: a tuple, a
            number past 64 bits, a type derived from one that may stand in it, one list twice.
    """
    _check(state, 0, set())
    packed = encode_in_order(state)
    if len(packed) > STATE_SIZE_MAX:
        raise InputError(f"it is {len(packed)} B, the limit is {STATE_SIZE_MAX} B")
    return packed


def read_state(packed: bytes) -> State:
    """Return the state in what ``pack_state`` made.

    Raises:
        MalformedError: The bytes are something else.
    """
    return decode_cbor(packed, is_frozen=False)


def _check(value: object, depth: int, met: set[int]) -> None:
    kind = type(value)
    if kind in _SCALARS:
        plain(value)
    elif type(value) is list or type(value) is dict:
        if depth >= DEPTH_MAX:
            raise InputError(f"nested deeper than {DEPTH_MAX}")
        if id(value) in met:
            raise InputError(
                f"one and the same {kind.__name__} stands in it twice: put a copy there"
            )
        met.add(id(value))
        if type(value) is dict:
            for key in value:
                if type(key) is not str:
                    raise InputError(f"a key is of type {type(key).__name__}, not str")
                plain(key)
            value = value.values()
        for item in value:
            _check(item, depth + 1, met)
    else:
        raise InputError(f"it holds a {kind.__name__}: make it a list, a dict, text or a number")
