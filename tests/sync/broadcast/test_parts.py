"""Segments in parts: whole again in any order, bounded whatever comes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.air import LoRa
from meshlog.errors import MalformedError
from meshlog.sim.radio import Weather
from meshlog.sim.radioworld import RadioWorld
from meshlog.sync.broadcast.packet import CARGO_SIZE_MAX
from meshlog.sync.broadcast.parts import (
    KEPT_BYTES_MAX,
    KEPT_MAX,
    PART_SIZE_MAX,
    PARTED_SIZE_MAX,
    Parts,
    split,
)
from meshlog.sync.messages import Part, decode_messages, encode_message

HOUR_MS = 3_600_000


@given(st.integers(1, PARTED_SIZE_MAX), st.randoms(use_true_random=False))
def test_parts_in_any_order_are_the_segment(size: int, luck: random.Random):
    segment = luck.randbytes(size)
    pieces = split(segment)
    luck.shuffle(pieces)
    parts = Parts()

    found = [parts.add(part) for part in [*pieces[:-1], *pieces[:-1], pieces[-1]]]

    assert found == [None] * (2 * len(pieces) - 2) + [segment]
    assert all(len(encode_message(part)) <= CARGO_SIZE_MAX for part in pieces)
    assert [decode_messages(encode_message(part)) for part in pieces] == [[p] for p in pieces]


def test_parts_of_different_segments_do_not_mix():
    one, other = split(b"a" * 1_000), split(b"b" * 1_000)
    parts = Parts()

    assert parts.add(one[0]) is None
    assert parts.add(other[1]) is None
    assert parts.add(one[1]) is None
    assert parts.add(other[0]) is None
    assert parts.add(one[2]) == b"a" * 1_000


def test_a_forged_part_gives_way_to_the_next_that_says_otherwise():
    pieces = split(b"a" * 1_000)
    parts = Parts()
    parts.add(Part(pieces[0].name, 0, len(pieces), b"forged"))
    assert [parts.add(part) for part in pieces] == [None, None, b"a" * 1_000]

    parts.add(pieces[0])
    parts.add(Part(pieces[1].name, 1, len(pieces), b"forged"))
    assert parts.add(pieces[2]) is None
    assert parts.add(pieces[1]) == b"a" * 1_000


def test_what_waits_for_its_other_parts_is_bounded():
    parts = Parts()
    for number in range(5_000):
        parts.add(Part(number.to_bytes(4, "big"), 0, 2, bytes(PART_SIZE_MAX)))

    assert parts._size_bytes <= KEPT_BYTES_MAX
    assert len(parts._kept) <= KEPT_MAX


def test_an_empty_part_is_malformed():
    with pytest.raises(MalformedError, match="truncated"):
        decode_messages(encode_message(Part(b"name", 0, 2, b"")))


@pytest.mark.parametrize(("place", "count"), [(0, 0), (3, 3), (0, 161), (255, 255)])
def test_numbers_past_their_limits_are_malformed(place: int, count: int):
    with pytest.raises(MalformedError, match="number past its limit"):
        decode_messages(encode_message(Part(b"name", place, count, b"x")))


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_long_note_reaches_a_cell_without_a_link(loss: float):
    """3,000 letters are seven packets; every neighbour hears each of them once, or again."""
    world = RadioWorld(seed=3, lora=LoRa(sf=8))
    for name in ("base", "north", "south"):
        world.add(name)
    world.start()
    world.run(HOUR_MS)
    world.air.weather = Weather(loss=loss)
    luck = random.Random(1)
    text = "".join(luck.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(3_000))

    world.write("base", "note.add", {"record_id": "R-1", "text": text})
    world.run(HOUR_MS)

    assert world.view("north")["R-1"]["notes"] == world.view("south")["R-1"]["notes"] == [text]
    assert not any(label.startswith("link") for label in world.air.bytes_on_air)
    world.close()
