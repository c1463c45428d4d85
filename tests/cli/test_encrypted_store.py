"""Commands on an encrypted store: the passphrase from a file, or one clear sentence."""

from __future__ import annotations

import json
from contextlib import closing, suppress

import pytest

from meshlog.errors import StoreError
from meshlog.store import SqliteStore, passphrase
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


def test_what_a_store_lacks_comes_from_an_encrypted_backup(secret: Device) -> None:
    """Also into one that is not encrypted; nothing of it stands readable in between."""
    secret.ok("backup", "b.db", "--data", "s.db", *WORD)
    invite = json.loads(secret.ok("invite", "--json", "--data", "s.db", *WORD))["invite"]
    secret.ok("join", invite, "--name", "other", "--data", "o.db")

    filled = secret("fsck", "--repair-from", "b.db", "--data", "o.db", *WORD)

    assert filled.code == 0
    assert "Everything holds" in filled.out
    assert "30" in secret.ok("view", "--data", "o.db")


def test_of_a_damaged_encrypted_store_what_can_be_read_is_taken(secret: Device) -> None:
    invite = json.loads(secret.ok("invite", "--json", "--data", "s.db", *WORD))["invite"]
    secret.ok("join", invite, "--name", "other", "--data", "o.db")
    rows = "".join(f"X-{number},{number}\n" for number in range(2_000))
    (secret.home / "rows.csv").write_text("record_id,depth_m\n" + rows)
    secret.ok("import", "rows.csv", "--form", "well", "--data", "s.db", *WORD)
    flip_in_a_run(secret)

    filled = secret("fsck", "--repair-from", "s.db", "--data", "o.db", *WORD)

    assert filled.code == 2
    assert "s.db is encrypted and damaged: of 1 of 3 feeds not all could be read" in filled.err
    assert "30" in secret.ok("view", "W-1", "--data", "o.db")
    assert "Everything holds" in secret.ok("fsck", "--data", "o.db")


def flip_in_a_run(secret: Device) -> None:
    """Flip a bit of a page on which there are runs of the import."""
    passphrase.provide(lambda _: "correct horse")
    path = secret.home / "s.db"
    whole = path.read_bytes()
    for page in range(len(whole) // 4_096 // 2, 0, -1):
        data = bytearray(whole)
        data[page * 4_096 - 2_000] ^= 1
        path.write_bytes(data)
        with suppress(StoreError), closing(SqliteStore(path, read_only=True)) as store:
            store.arrivals([1, store.event_count()])
            if not is_read_to_its_end(store):
                break
    passphrase._asked.clear()


def is_read_to_its_end(store: SqliteStore) -> bool:
    try:
        return len(list(store.scan())) > 0
    except StoreError:
        return False


@pytest.mark.parametrize("before", [["--encrypt", *WORD], []])
def test_only_a_plain_identity_that_was_there_before_is_called_one(
    empty: Device, before: list[str]
) -> None:
    """As after a kill between identity and store."""
    (empty.home / "word").write_text("correct horse\n")
    empty.ok("init", "Survey", "--data", "s.db", *before)
    (empty.home / "s.db").unlink()

    result = empty("init", "Survey", "--data", "s.db", "--encrypt", *WORD)

    assert result.code == 0
    assert ("it is not encrypted" in result.err) == (not before)
