"""Sealed boxes: each member opens its own, nobody else opens any."""

from random import Random

import pytest

from meshlog.core.event import DatasetId, EventId, read_body
from meshlog.core.identity import Identity
from meshlog.core.keylog import key_id, key_payload
from meshlog.core.sealedbox import BOX_SIZE, EPHEMERAL_SIZE, are_boxes, open_box, seal_boxes
from tests.core.vectors import load

DATASET = DatasetId(EventId(bytes(range(32))))
OTHER = DatasetId(EventId(bytes(32)))
SECRET = b"sixteen bytes ok"
MEMBERS = [Identity(Random(number).randbytes(64)) for number in range(5)]
STRANGER = Identity(Random("stranger").randbytes(64))
BOXES = seal_boxes(SECRET, [member.keys for member in MEMBERS], b"e" * 32, DATASET)


def test_every_member_opens_its_box_and_it_costs_36_bytes_each():
    assert [open_box(BOXES, member, DATASET) for member in MEMBERS] == [SECRET] * 5
    assert len(BOXES) == 32 + 36 * 5
    assert SECRET not in BOXES


def test_a_stranger_and_another_dataset_open_nothing():
    assert open_box(BOXES, STRANGER, DATASET) is None
    assert open_box(BOXES, MEMBERS[0], OTHER) is None


def test_who_shares_a_prefix_tries_both():
    mine = seal_boxes(SECRET, [MEMBERS[0].keys], b"e" * 32, DATASET)
    foreign = MEMBERS[0].author[:4] + bytes(32)
    both = mine[:EPHEMERAL_SIZE] + foreign + mine[EPHEMERAL_SIZE:]

    assert open_box(both, MEMBERS[0], DATASET) == SECRET


def test_a_key_of_small_order_gets_no_box_and_harms_nobody():
    small = bytes(32) + MEMBERS[1].keys[32:]

    boxes = seal_boxes(SECRET, [small, MEMBERS[0].keys], b"e" * 32, DATASET)

    assert len(boxes) == EPHEMERAL_SIZE + BOX_SIZE
    assert open_box(boxes, MEMBERS[0], DATASET) == SECRET


@pytest.mark.parametrize("ephemeral", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_a_hostile_ephemeral_key_opens_nothing(ephemeral: bytes):
    assert open_box(ephemeral + BOXES[EPHEMERAL_SIZE:], MEMBERS[0], DATASET) is None


def test_any_damage_to_a_box_is_noticed():
    mine = seal_boxes(SECRET, [MEMBERS[0].keys], b"e" * 32, DATASET)
    for place in range(len(mine)):
        damaged = mine[:place] + bytes((mine[place] ^ 1,)) + mine[place + 1 :]
        assert open_box(damaged, MEMBERS[0], DATASET) is None


def test_what_is_cut_short_has_not_the_shape_of_boxes():
    sizes = [size for size in range(len(BOXES) + 1) if are_boxes(BOXES[:size])]

    assert sizes == [32 + 36 * count for count in range(6)]


def test_the_vectors_hold():
    file = load("box")
    dataset, key = DatasetId(EventId(bytes.fromhex(file["dataset"]))), bytes.fromhex(file["key"])
    members = [Identity(bytes.fromhex(member["private"])) for member in file["members"]]
    boxes = bytes.fromhex(file["boxes"])
    content = read_body(bytes.fromhex(file["body"]))

    sealed = seal_boxes(
        key, [m.keys for m in members], bytes.fromhex(file["ephemeral_private"]), dataset
    )
    assert sealed == boxes
    assert [open_box(boxes, member, dataset) for member in members] == [key, key]
    stranger = Identity(bytes.fromhex(file["stranger_private"]))
    assert open_box(boxes, stranger, dataset) is None
    assert open_box(bytes.fromhex(file["first_of_small_order"]), members[0], dataset) is None
    assert key_id(key).hex() == file["key_id"]
    assert content is not None
    assert dict(content.payload) == key_payload(1, key, boxes)
