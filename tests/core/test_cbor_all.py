"""Many bodies decoded at once are what each is by itself."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from meshlog.core.cbor import decode_all, decode_cbor, encode_cbor
from meshlog.core.event import read_bodies, read_body
from meshlog.errors import MalformedError
from tests.core.test_cbor import values

MARK = b"meshlog\xff"

encoded = values.map(encode_cbor)
pieces = st.sampled_from(
    [
        b"\x82", b"\x83", b"\xa1", b"\xa2", b"\x61a", b"\x62ab", b"\x00", b"\x20", b"\xf6", b"\xf7",
        b"\x48", b"\x58", b"\x58\x08", b"\x59\x00", b"\x51", b"\x5f", b"\xff", b"\x9f", b"\xbf",
        MARK, b"\x48" + MARK, b"\x58\x08" + MARK, b"\x1b" + b"\xff" * 8, b"\x3b" + b"\xff" * 8,
        b"\xfb" + b"\xff" * 8, b"\xf9\x7c\x00", b"\xf9\x3c\x00", b"\xc2", b"\xd8\x1c", b"\xd9\x01",
        b"\x81" * 15, b"\x81" * 16, b"\x81" * 17, b"\x81" * 18, b"\xa1\x61a" * 15,
        b"\xa1\x61a" * 16,
        b"\x61\xff", b"\x41a", b"",
    ]
)  # fmt: skip
hostile = st.lists(pieces, max_size=8).map(b"".join) | st.binary(max_size=20)
damaged = st.tuples(encoded, st.integers(0, 40), st.binary(max_size=2)).map(
    lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
)
bodies = st.lists(encoded | hostile | damaged, max_size=6)


def decoded(data: bytes) -> list[Any]:
    """Return the value, or nothing where it is refused; as text, which tells 1 from 1.0."""
    try:
        return [repr(decode_cbor(data, is_frozen=False))]
    except MalformedError:
        return []


@given(bodies)
@example([b"\x82\x61a", b"\x00\x82\x61b\x00"])
@example([b"\x82\x61a\x48", b"\x00", MARK + b"\x00"])
@example([b"\x00\x58\x08" + MARK + b"\x00"])
@example([b"\x81" * 17 + b"\x00"])
@example([b"\x81" * 16 + b"\x00"])
@example([b"\x58", b"\x00", b"\x00"])
def test_what_is_decoded_together_is_what_is_decoded_alone(data: list[bytes]):
    alone = [decoded(item) for item in data]
    together = decode_all(data)

    if together is not None:
        assert [[repr(value)] for value in together] == alone
    else:
        assert [] in alone or any(MARK in item for item in data)


@given(st.lists(encoded, max_size=6))
def test_what_is_well_made_is_decoded_together(data: list[bytes]):
    assert decode_all(data) is not None or any(MARK in item for item in data)


@given(bodies)
@example([b"\x80" * 3_000])
@example([b"\x82\x61a\xa1\x61b" + b"\x99\x20\x00" + b"\x80" * 8_192])
def test_bodies_read_together_are_read_as_each_alone(data: list[bytes]):
    alone = (read_body(body, is_frozen=False) for body in data)

    together = [content and tuple(content) for content in read_bodies(data)]
    assert repr(together) == repr([content and tuple(content) for content in alone])
