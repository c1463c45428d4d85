"""Who is let in: only what the founder's word reaches, however long somebody argues."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshlog.core.ed25519 import SIGNATURE_SIZE
from meshlog.core.event import OPEN_DATASET, DatasetId, EventId
from meshlog.core.grant import (
    ADMISSION_SIZE_MAX,
    CHAIN_DEPTH_MAX,
    Grant,
    Invite,
    Role,
    admit,
    check_admission,
    issue,
)
from meshlog.core.identity import Identity
from meshlog.errors import InputError

DATASET = DatasetId(EventId(b"d" * 32))
FOUNDER, ANN, BOB, CAT = (Identity(Random(number).randbytes(64)) for number in range(4))
SEED = b"s" * 16


def admission(
    who: Identity, role: Role, issuer: Identity = FOUNDER, above: bytes = b"", expires_s: int = 0
) -> bytes:
    return admit(issue(issuer, above, DATASET, SEED, role, expires_s), SEED, who.author, DATASET)


def role_of(proof: bytes, who: Identity, dataset: DatasetId = DATASET) -> Role | None:
    found = check_admission(proof, who.author, dataset, FOUNDER.keys)
    return found.role if found else None


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.RELAY, Role.WRITER, Role.COORDINATOR])
def test_the_founder_lets_in(role: Role):
    assert role_of(admission(ANN, role), ANN) is role


def test_an_admission_is_for_one_author_in_one_dataset():
    proof = admission(ANN, Role.WRITER)

    assert role_of(proof, BOB) is None
    assert role_of(proof, ANN, OPEN_DATASET) is None
    assert check_admission(proof, ANN.author, DATASET, CAT.keys) is None


@given(st.integers(0), st.integers(0, 7))
def test_no_bit_of_an_admission_can_be_flipped(at: int, bit: int):
    above = admission(ANN, Role.COORDINATOR)
    proof = admission(BOB, Role.WRITER, ANN, above)
    at %= len(proof)

    assert role_of(proof, BOB) is Role.WRITER
    assert role_of(proof[:at] + bytes([proof[at] ^ 1 << bit]) + proof[at + 1 :], BOB) is None


@given(st.binary(max_size=400))
def test_any_bytes_let_nobody_in(proof: bytes):
    assert role_of(proof, ANN) is None


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.RELAY, Role.WRITER])
def test_below_coordinator_nobody_lets_in(role: Role):
    above = admission(ANN, role)

    for wanted in (Role.OBSERVER, Role.WRITER, Role.COORDINATOR):
        assert role_of(admission(BOB, wanted, ANN, above), BOB) is None


def test_a_role_cannot_be_raised_along_the_chain():
    """A writer who holds a coordinator's chain is still only a writer."""
    coordinator = admission(ANN, Role.COORDINATOR)
    writer = admission(BOB, Role.WRITER, ANN, coordinator)

    assert role_of(admission(CAT, Role.WRITER, BOB, writer), CAT) is None
    assert role_of(admission(CAT, Role.WRITER, BOB, coordinator), CAT) is None
    assert role_of(admission(CAT, Role.COORDINATOR, ANN, coordinator), CAT) is Role.COORDINATOR


def test_no_grant_makes_a_founder():
    grant = issue(FOUNDER, b"", DATASET, SEED, Role.FOUNDER)

    assert role_of(admit(grant, SEED, ANN.author, DATASET), ANN) is None


def test_a_chain_has_a_limit():
    issuer, above = FOUNDER, b""
    for depth in range(1, CHAIN_DEPTH_MAX + 3):
        device = Identity(Random(depth).randbytes(64))
        above = admission(device, Role.COORDINATOR, issuer, above)
        expected = Role.COORDINATOR if depth <= CHAIN_DEPTH_MAX else None
        assert role_of(above, device) is expected
        assert len(above) <= ADMISSION_SIZE_MAX
        issuer = device


def test_expiry_decides_nothing_about_admission():
    """I2: an admission depends on no clock; expiry is the matter of standing."""
    proof = admission(ANN, Role.WRITER, expires_s=1)

    found = check_admission(proof, ANN.author, DATASET, FOUNDER.keys)

    assert found is not None
    assert (found.role, found.expires_s) == (Role.WRITER, 1)


@pytest.mark.parametrize("point", [b"\x01" + bytes(31), bytes(32), b"\x01" + bytes(30) + b"\x80"])
def test_a_holder_of_small_order_proves_nothing(point: bytes):
    """Under such a key anybody could prove to hold the seed."""
    draft = replace(issue(FOUNDER, b"", DATASET, SEED, Role.WRITER), holder=point)
    grant = replace(draft, signature=FOUNDER.sign(draft.message(DATASET)))

    for proof in (point + bytes(32), b"\x01" + bytes(63), bytes(64)):
        assert role_of(grant.encode() + proof, ANN) is None


def test_an_issuer_of_small_order_lets_nobody_in():
    small = b"x" * 32 + b"\x01" + bytes(31)
    draft = Grant(Role.WRITER, 0, issue(FOUNDER, b"", DATASET, SEED, Role.WRITER).holder, b"", b"")
    forged = replace(draft, signature=b"\x01" + bytes(63))

    proof = admit(forged, SEED, ANN.author, DATASET)

    assert check_admission(proof, ANN.author, DATASET, small) is None


# ── Invites ──


def invite(role: Role = Role.WRITER) -> Invite:
    return Invite(DATASET, b"k" * 16, SEED, issue(FOUNDER, b"", DATASET, SEED, role), "Tal Süd")


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_an_invite_survives_line_breaks_and_lower_case(rng: Random):
    text = "".join(
        (letter.lower() if rng.random() < 0.5 else letter) + rng.choice(["", "", " ", "\n"])
        for letter in invite().text()
    )

    assert Invite.parse(text) == invite()


@given(st.integers(0), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_a_mistyped_letter_is_noticed(at: int, letter: str):
    text = invite().text()
    at = 9 + at % (len(text) - 9)
    mistyped = text[:at] + letter + text[at + 1 :]
    if mistyped == text:
        return

    try:
        assert Invite.parse(mistyped) == invite()  # only the bits that base32 pads with
    except InputError as error:
        assert "mistyped" in str(error)  # noqa: PT017


@given(st.one_of(st.text(), st.text().map(lambda text: f"MESHLOG1-{text}")))
def test_any_text_is_no_invite(text: str):
    with pytest.raises(InputError):
        Invite.parse(text)


def test_an_invite_alone_admits():
    again = Invite.parse(invite().text())

    proof = admit(again.grant, again.seed, BOB.author, again.dataset)

    assert role_of(proof, BOB) is Role.WRITER
    assert len(again.grant.encode()) == 1 + 4 + 32 + SIGNATURE_SIZE
