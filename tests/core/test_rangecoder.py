"""The range coder: what is written is read, and hostile bytes cost little and raise one error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.coder import UINT_MAX, Coder, prior
from meshlog.core.rangecoder import ReaderCoder, Writer
from meshlog.errors import MalformedError

contexts = st.one_of(st.integers(0, 3), st.sampled_from(["a", "b"]), st.tuples(st.integers(0, 2)))


def _sized(draw: Any, maximum: int) -> tuple[int, int]:
    size = draw(st.integers(1, maximum))
    return size, draw(st.integers(0, size - 1))


@st.composite
def steps(draw: Any) -> tuple[str, tuple[Any, ...], Any]:
    """Return a method of Coder, its arguments without the value, and the value."""
    context = draw(contexts)
    match draw(st.sampled_from(["bit", "direct", "symbol", "uint", "sint", "plain"])):
        case "bit":
            return "bit", (context,), draw(st.integers(0, 1))
        case "direct":
            bits = draw(st.integers(0, 64))
            return "direct", (bits,), draw(st.integers(0, 2**bits - 1))
        case "symbol":
            size, value = _sized(draw, 300)
            return "symbol", ((context, size), size), value
        case "uint":
            limit = draw(st.sampled_from([0, 1, 7, 300, 2**32 - 1, UINT_MAX]))
            return "uint", (context,), (draw(st.integers(0, limit)), limit)
        case "sint":
            limit = draw(st.sampled_from([0, 1, 2**32, UINT_MAX]))
            return "sint", (context,), (draw(st.integers(-limit, limit)), limit)
        case _:
            data = draw(st.binary(max_size=20))
            return "plain", (len(data),), data


def run(coder: Coder, script: list[tuple[str, tuple[Any, ...], Any]]) -> list[Any]:
    found = []
    for name, arguments, value in script:
        method = getattr(coder, name)
        if name in ("uint", "sint"):
            number, limit = value
            told = number if coder.is_writing else 0
            found.append((method(*arguments, told, limit), limit))
        else:
            blank = type(value)()
            found.append(method(*arguments, value if coder.is_writing else blank))
    return found


@given(st.lists(steps(), max_size=60))
def test_what_is_written_is_read(script: list[tuple[str, tuple[Any, ...], Any]]):
    writer = Writer()

    assert run(writer, script) == [value for _, _, value in script]
    data = writer.finish()
    reader = ReaderCoder(data)

    assert run(reader, script) == [value for _, _, value in script]
    reader.end()
    assert len(data) <= writer.size_bytes


@given(st.lists(st.sampled_from([b"\0", b"\xff"]), max_size=400), st.integers(0, 400))
def test_runs_of_the_extremes_carry(parts: list[bytes], near: int):
    """Carries ripple through bytes of ff, and zeros at the end are real content."""
    writer = Writer()
    for part in parts:
        writer.plain(1, part)
    for _ in range(near):
        writer.bit("x", 1)
    reader = ReaderCoder(writer.finish())

    assert [reader.plain(1) for _ in parts] == parts
    assert all(reader.bit("x") for _ in range(near))
    reader.end()


def test_nothing_costs_nothing():
    assert Writer().finish() == b""


def test_settled_decisions_are_nearly_free():
    writer = Writer()
    for _ in range(2000):
        writer.bit("always", 1)

    assert len(writer.finish()) <= 2


def test_a_prior_is_worth_its_bits():
    told, untold = Writer(), Writer()
    for name in range(8):
        told.symbol(name, 8, 6, weights=(1, 1, 1, 1, 1, 1, 60, 1))
        untold.symbol(name, 8, 6)

    assert len(told.finish()) <= 1
    assert len(untold.finish()) == 3
    assert prior(0, 1) > 0


@given(st.binary(max_size=40), st.lists(steps(), min_size=1, max_size=40))
def test_any_bytes_read_as_something_or_are_malformed(
    data: bytes, script: list[tuple[str, tuple[Any, ...], Any]]
):
    reader = ReaderCoder(data)
    try:
        found = run(reader, script)
    except MalformedError:
        return

    assert all(
        abs(value[0]) <= value[1]
        for (name, _, _), value in zip(script, found, strict=True)
        if name in ("uint", "sint")
    )


def test_a_reader_stops_soon_after_the_end():
    reader = ReaderCoder(b"")

    def drain() -> None:
        for _ in range(8):
            reader.direct(16)

    with pytest.raises(MalformedError, match="truncated"):
        drain()


def test_bytes_left_over_are_malformed():
    writer = Writer()
    writer.direct(16, 5)
    reader = ReaderCoder(writer.finish() + bytes(8))
    assert reader.direct(16) == 5

    with pytest.raises(MalformedError, match="trailing"):
        reader.end()


def test_a_number_past_its_limit_is_malformed():
    writer = Writer()
    writer.uint("n", 14, 14)
    reader = ReaderCoder(writer.finish())

    with pytest.raises(MalformedError, match="limit"):
        reader.uint("n", limit=13)
