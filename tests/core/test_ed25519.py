"""Signatures: those of RFC 8032, as everybody else makes and checks them."""

from __future__ import annotations

from hashlib import sha512

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from meshlog.core.ed25519 import Signer, is_valid

ORDER = 2**252 + 27742317777372353535851937790883648493
SEED = bytes(range(32))
MESSAGE = b"well 7 is dry"
SIGNATURE = Signer(SEED).sign(MESSAGE)

seeds = st.binary(min_size=32, max_size=32)
flips = st.tuples(st.sampled_from(["public", "signature", "message"]), st.integers(0, 10**6))


def is_valid_elsewhere(public: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def test_the_first_vector_of_rfc_8032_is_made_and_holds():
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )

    signer = Signer(bytes.fromhex(seed))

    assert signer.sign(b"") == signature
    assert is_valid(signer.public, signature, b"")


@given(seeds, st.binary(max_size=200))
def test_a_signature_is_the_one_that_openssl_makes(seed: bytes, message: bytes):
    signer, elsewhere = Signer(seed), Ed25519PrivateKey.from_private_bytes(seed)

    assert signer.public == elsewhere.public_key().public_bytes_raw()
    assert signer.sign(message) == elsewhere.sign(message)


@given(seeds, st.binary(min_size=1, max_size=50), flips)
def test_what_was_changed_by_a_bit_holds_nowhere(seed: bytes, message: bytes, flip):
    signer = Signer(seed)
    parts = {"public": signer.public, "signature": signer.sign(message), "message": message}
    name, at = flip
    part = bytearray(parts[name])
    part[at // 8 % len(part)] ^= 1 << at % 8
    changed = parts | {name: bytes(part)}

    assert not is_valid(**changed)
    assert not is_valid_elsewhere(**changed)


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_a_signature_of_another_size_holds_not(size: int):
    assert not is_valid(Signer(SEED).public, (SIGNATURE * 2)[:size], MESSAGE)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_another_size_holds_nothing(size: int):
    assert not is_valid((Signer(SEED).public * 2)[:size], SIGNATURE, MESSAGE)


def test_a_second_form_of_a_signature_holds_not():
    again = int.from_bytes(SIGNATURE[32:], "little") + ORDER

    assert not is_valid(Signer(SEED).public, SIGNATURE[:32] + again.to_bytes(32, "little"), MESSAGE)


def test_a_signature_whose_point_is_of_small_order_holds_not_though_openssl_takes_it():
    public, point = Signer(SEED).public, b"\x01" + bytes(31)  # the neutral point
    hashed = bytearray(sha512(SEED).digest()[:32])
    hashed[0] &= 248
    hashed[31] = hashed[31] & 127 | 64
    secret = int.from_bytes(hashed, "little")
    challenge = int.from_bytes(sha512(point + public + MESSAGE).digest(), "little")
    scalar = challenge * secret % ORDER
    signature = point + scalar.to_bytes(32, "little")

    assert is_valid_elsewhere(public, signature, MESSAGE)
    assert not is_valid(public, signature, MESSAGE)


def test_a_signer_does_not_print_its_key():
    assert SEED.hex() not in repr(Signer(SEED))
