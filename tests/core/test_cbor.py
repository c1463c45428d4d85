"""CBOR of anything at all: it reads back what it wrote, or says MalformedError."""

from __future__ import annotations

import time
from itertools import islice, product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshlog.core.cbor import decode_cbor, encode_cbor, plain
from meshlog.core.event import BODY_SIZE_MAX, encode_body, read_body, write_bodies
from meshlog.errors import InputError, MalformedError
from tests.support.cost import bytes_taken

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.binary(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def decoded(data: bytes) -> Any:
    """Return the value, or None where it is refused; any other exception is a failure."""
    try:
        return decode_cbor(data)
    except MalformedError:
        return None


@given(values)
def test_a_value_comes_back(value: Any):
    data = encode_cbor(value)

    assert plain(decode_cbor(data)) == value
    assert encode_cbor(decode_cbor(data)) == data


@given(values, st.data())
def test_a_damaged_value_is_refused_or_read(value: Any, data: st.DataObject):
    good = encode_cbor(value)
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255))

    decoded(good[:at] + bytes([byte]) + good[at + 1 :])
    decoded(good[:at])
    decoded(good + bytes([byte]))


@given(st.binary(max_size=200))
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
@example(b"\xc4\x82\x3b" + b"\x7f" * 8 + b"\x01")
@example(b"\xd9\x01\x00\x81\x61a")
def test_any_bytes_are_refused_or_read(data: bytes):
    decoded(data)
    read_body(data)


@pytest.mark.parametrize("head", [0x5B, 0x7B, 0x9B, 0xBB])
@pytest.mark.parametrize("size", [2**16, 2**31, 2**32, 2**62, 2**64 - 1])
def test_a_claimed_size_allocates_nothing(head: int, size: int):
    data = bytes([head]) + size.to_bytes(8, "big") + b"a" * 100

    assert decoded(data) is None
    assert bytes_taken(lambda: decoded(data)) < 100_000


@pytest.mark.parametrize("head", [b"\x81", b"\xa1\x61a", b"\xa1\x81", b"\xc1", b"\xd8\x1c"])
def test_depth_is_bounded(head: bytes):
    assert decoded(head * (BODY_SIZE_MAX // len(head)) + b"\x00") is None


def test_keys_made_to_collide_cost_no_time():
    """hash(-1) == hash(-2) in CPython: tuples of them as keys made a map quadratic."""
    keys = list(islice(product((0x20, 0x21), repeat=13), 4300))
    pairs = b"".join(b"\x8d" + bytes(key) + b"\x00" for key in keys)
    body = b"\x82\x61x\xb9" + len(keys).to_bytes(2, "big") + pairs
    started_s = time.process_time()

    assert read_body(body) is None
    assert time.process_time() - started_s < 0.5  # read in 1 ms, or compared in seconds


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**63, -(2**63) - 1, {1: 1}, {b"a": 1}, "\ud800", {"\ud800": 1},
     object(), {1, 2}, 1j, bytearray(b"a")],
)  # fmt: skip
def test_what_a_body_cannot_carry_is_named(value: object):
    with pytest.raises(InputError):
        encode_cbor(value)


def test_nesting_ends_at_sixteen():
    value: object = 0
    for _ in range(16):
        value = [value]

    assert plain(decode_cbor(encode_cbor(value))) == value
    with pytest.raises(InputError, match="nested"):
        encode_cbor([value])


@pytest.mark.parametrize("kind", ["", "k" * 65, "ü" * 33, None, 7, b"x", "\ud800"])
def test_a_kind_is_short_text(kind: Any):
    with pytest.raises(InputError):
        encode_body(kind, {})
    with pytest.raises(InputError):
        [*write_bodies([(kind, {}), (kind, {})])]


def test_a_body_has_a_limit():
    payload = {"text": "x" * (BODY_SIZE_MAX - 12)}

    assert len(encode_body("n", payload)) == BODY_SIZE_MAX
    with pytest.raises(InputError, match="the limit is 65536 B"):
        encode_body("n", {"text": payload["text"] + "x"})


def test_a_decoded_payload_cannot_be_changed():
    content = read_body(encode_body("x", {"a": [1, {"b": 2}]}))

    assert content is not None
    with pytest.raises(TypeError):
        content.payload["a"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        content.payload["a"][1]["b"] = 3
