"""Which record a body is about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.cbor import encode_cbor
from meshlog.core.event import encode_body
from meshlog.core.touch import touch_marks, touched, touched_each

KEY = b"irecord_id"

names = st.text(max_size=300) | st.sampled_from(["W-7", "record_id", "irecord_id", "x" * 24])
bodies = st.builds(
    lambda kind, name, more: encode_body(kind, more | {"record_id": name}),
    st.sampled_from(["note.add", "record_id", "field.set"]),
    names,
    st.dictionaries(names, names, max_size=2),
)
pieces = st.sampled_from(
    [KEY, b"record_id", b"record", b"_id", b"i", b"\x60", b"c", b"\x77", b"\x78", b"\x79", b"abc"]
)
hostile = st.lists(pieces | st.binary(max_size=3), max_size=6).map(b"".join)
cut = st.builds(lambda body, size: body[:size], bodies, st.integers(0, 60))


@given(st.lists(bodies | hostile | cut, max_size=6))
def test_many_bodies_are_about_what_each_is_about(some: list[bytes]) -> None:
    assert touched_each(some) == list(map(touched, some))


@given(st.lists(st.builds(bytes.__add__, hostile, hostile), min_size=2, max_size=4))
def test_a_key_that_begins_in_one_body_and_ends_in_the_next_is_none(some: list[bytes]) -> None:
    joined = b"".join(some)
    halves = [joined[: joined.find(KEY) + 4], joined[joined.find(KEY) + 4 :]]

    assert touched_each(halves) == list(map(touched, halves))


def test_short_and_long_names_are_told_beside_each_other() -> None:
    said = ["W-7", "x" * 23, "y" * 24, "z" * 255, "w" * 256, "Brunnen Süd"]
    some = [encode_cbor(["note.add", {"record_id": name, "text": ""}]) for name in said]

    assert touched_each(some) == [name.encode() for name in said]


def test_names_made_to_share_a_crc_share_no_mark() -> None:
    """A CRC is linear: whoever knows it makes as many names that share one as they like."""
    some = [b"codding", b"gnu", b"plumless", b"buckeroo"]

    marks = touch_marks(some)

    assert len({marks[at : at + 4] for at in range(0, len(marks), 32)}) == len(some)
