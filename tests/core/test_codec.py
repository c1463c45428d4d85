"""Varints and blocks: read back as they were written, or MalformedError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.codec import VARINT_MAX, Reader, block, varint
from meshlog.errors import InputError, MalformedError


@given(st.integers(0, VARINT_MAX))
def test_a_varint_comes_back(value: int):
    reader = Reader(varint(value) + b"rest")

    assert reader.varint() == value
    assert reader.left == 4


@given(st.binary(max_size=12))
def test_a_varint_has_one_form(data: bytes):
    reader = Reader(data)
    try:
        value = reader.varint()
    except MalformedError:
        return

    assert varint(value) == data[: len(data) - reader.left]


@pytest.mark.parametrize("value", [-1, 2**63])
def test_a_number_out_of_range_is_not_encoded(value: int):
    with pytest.raises(InputError):
        varint(value)


def test_a_limit_is_kept_before_anything_is_read():
    reader = Reader(varint(10**12) + b"abc")

    with pytest.raises(MalformedError, match="past its limit"):
        reader.block(100)


@given(st.binary(max_size=300))
def test_a_block_comes_back(data: bytes):
    reader = Reader(block(data))

    assert reader.block(300) == data
    reader.end()
