"""Commands on an encrypted store: the passphrase from a file, or one clear sentence."""

from __future__ import annotations

import pytest

from tests.cli.processes import Device

WORD = ("--passphrase-file", "word")


@pytest.fixture
def secret(empty: Device) -> Device:
    (empty.home / "word").write_text("correct horse\n")
    (empty.home / "wrong").write_text("another horse\n")
    empty.ok("init", "Survey", "--name", "base", "--data", "s.db", "--encrypt", *WORD)
    empty.ok("put", "W-1", "--form", "well", "depth_m=30", "--data", "s.db", *WORD)
    return empty


def test_all_works_with_the_passphrase(secret: Device) -> None:
    assert "30" in secret.ok("view", "--data", "s.db", *WORD)
    assert "Everything holds" in secret.ok("fsck", "--data", "s.db", *WORD)
    secret.ok("backup", "b.db", "--with-identity", "--data", "s.db", *WORD)
    assert "30" in secret.ok("view", "--data", "b.db", *WORD)
    for file in secret.home.glob("*.db*"):
        assert b"depth_m" not in file.read_bytes()


@pytest.mark.parametrize("words", ["view", "put W-2 --form well a=1", "fsck", "invite"])
def test_a_wrong_passphrase_is_one_sentence_and_exit_code_2(secret: Device, words: str) -> None:
    before = (secret.home / "s.db").read_bytes()

    result = secret(*words.split(), "--data", "s.db", "--passphrase-file", "wrong")

    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "the passphrase is wrong" in result.err
    assert (secret.home / "s.db").read_bytes() == before


def test_a_short_passphrase_makes_nothing(empty: Device) -> None:
    (empty.home / "word").write_text("horse\n")

    result = empty("init", "Survey", "--data", "s.db", "--encrypt", *WORD)

    assert result.code == 2
    assert "at least 8 letters" in result.err
    assert not list(empty.home.glob("s.db*"))
