"""Encryption at rest: nothing readable in any file, one passphrase, and clear words without it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshlog.errors import IdentityError, StoreError
from meshlog.store import SqliteStore, load_identity, passphrase, save_identity
from meshlog.store.backup import copy_store
from meshlog.store.passphrase import is_encrypted
from meshlog.store.sealed_identity import SEALED_SIZE
from tests.store.logs import ANN, T0_MS, add, chain

PRIVATE = bytes(range(64))
SECRET = b"the well at the mission is poisoned"


@pytest.fixture(autouse=True)
def said() -> Iterator[dict[str, str]]:
    said = {"now": "correct horse"}
    passphrase.provide(lambda _: said["now"])
    yield said
    passphrase._asked.clear()


def fill(store: SqliteStore) -> None:
    with store.transaction():
        store.set_meta("secret", SECRET * 300)
    add(store, chain(ANN, 50), arrived_ms=T0_MS)


def readable(folder: Path) -> list[str]:
    words = (SECRET, b"CREATE TABLE", b"SQLite format", b"record_id", ANN.author)
    return [
        f"{path.name}: {word!r}"
        for path in sorted(folder.iterdir())
        for word in words
        if word in path.read_bytes()
    ]


def test_no_file_beside_an_open_or_a_closed_store_says_anything(tmp_path: Path):
    store = SqliteStore(tmp_path / "ann.db", encrypt=True)
    fill(store)

    assert (tmp_path / "ann.db-wal").stat().st_size > 10_000
    assert readable(tmp_path) == []
    store.close()
    assert readable(tmp_path) == []
    assert is_encrypted(tmp_path / "ann.db")


def test_the_same_search_finds_a_plain_store(tmp_path: Path):
    """So the test above can fail."""
    store = SqliteStore(tmp_path / "ann.db")
    fill(store)

    assert len(readable(tmp_path)) >= 3
    store.close()


def test_a_wrong_passphrase_changes_nothing(tmp_path: Path, said: dict[str, str]):
    path = tmp_path / "ann.db"
    store = SqliteStore(path, encrypt=True)
    fill(store)
    store.close()
    before = path.read_bytes()
    said["now"] = "wrong horse"

    for read_only in (True, False):
        with pytest.raises(StoreError, match=r"passphrase is wrong.* nothing was changed"):
            SqliteStore(path, read_only=read_only)

    assert path.read_bytes() == before
    said["now"] = "correct horse"
    again = SqliteStore(path)
    assert again.event_count() == 50
    again.close()


def test_a_quote_and_an_umlaut_in_any_form_are_the_same_passphrase(
    tmp_path: Path, said: dict[str, str]
):
    said["now"] = "it's a bru\u0308cke"
    SqliteStore(tmp_path / "ann.db", encrypt=True).close()
    said["now"] = "it's a br\u00fccke"

    SqliteStore(tmp_path / "ann.db").close()


@pytest.mark.parametrize("bad", ["", "x" * 1_025, "two\nlines", "nul\0"])
def test_what_cannot_be_a_passphrase_makes_no_store(tmp_path: Path, said: dict[str, str], bad: str):
    said["now"] = bad

    with pytest.raises(StoreError, match="a passphrase is one line"):
        SqliteStore(tmp_path / "ann.db", encrypt=True)


def test_a_plain_store_is_not_encrypted_by_opening_it(tmp_path: Path):
    SqliteStore(tmp_path / "ann.db").close()

    with pytest.raises(StoreError, match="not encrypted: name another file"):
        SqliteStore(tmp_path / "ann.db", encrypt=True)


def test_any_flipped_bit_of_a_page_is_noticed(tmp_path: Path):
    path = tmp_path / "ann.db"
    store = SqliteStore(path, encrypt=True)
    fill(store)
    store.close()
    data = bytearray(path.read_bytes())
    data[2 * 4_096 + 100] ^= 1
    path.write_bytes(data)

    with pytest.raises(StoreError):
        read_all(path)


def read_all(path: Path) -> None:
    with contextlib.closing(SqliteStore(path)) as store:
        assert len(list(store.scan())) == 50
        assert store.get_meta("secret") == SECRET * 300
        store.integrity()


def test_a_backup_is_encrypted_with_a_salt_of_its_own(tmp_path: Path):
    source, target = tmp_path / "ann.db", tmp_path / "copy.db"
    store = SqliteStore(source, encrypt=True)
    fill(store)
    target.touch()

    copy_store(source, target)

    assert readable(tmp_path) == []
    assert target.read_bytes()[:16] != source.read_bytes()[:16]
    copy = SqliteStore(target, read_only=True)
    assert copy.event_count() == 50
    copy.close()
    store.close()


def test_without_the_extra_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    SqliteStore(tmp_path / "ann.db", encrypt=True).close()
    monkeypatch.setitem(sys.modules, "sqlcipher3.dbapi2", None)

    with pytest.raises(StoreError, match=r"pip install 'meshlog\[encrypted\]'"):
        SqliteStore(tmp_path / "ann.db")


def test_without_a_word_the_passphrase_comes_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    SqliteStore(tmp_path / "ann.db", encrypt=True).close()
    (tmp_path / "word").write_text("correct horse\r\n")
    passphrase._asked.clear()
    with pytest.raises(StoreError, match="MESHLOG_PASSPHRASE_FILE"):
        SqliteStore(tmp_path / "ann.db")
    monkeypatch.setenv("MESHLOG_PASSPHRASE_FILE", str(tmp_path / "word"))

    SqliteStore(tmp_path / "ann.db").close()


# ── The identity ──


def test_a_sealed_identity_comes_back_and_shows_nothing(tmp_path: Path):
    path = tmp_path / "ann.identity"
    save_identity(path, PRIVATE, "correct horse")

    assert load_identity(path) == PRIVATE
    assert path.stat().st_size == SEALED_SIZE
    assert not any(PRIVATE[:8] in file.read_bytes() for file in tmp_path.iterdir())
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_wrong_passphrase_of_an_identity_is_no_new_identity(tmp_path: Path, said: dict[str, str]):
    path = tmp_path / "ann.identity"
    save_identity(path, PRIVATE, "correct horse")
    said["now"] = "wrong horse"

    with pytest.raises(IdentityError, match="the passphrase of the identity is wrong"):
        load_identity(path)


@pytest.mark.parametrize("place", [0, 16, 17, 40, 70, SEALED_SIZE - 1])
def test_a_flipped_bit_of_a_sealed_identity_is_damage_with_a_copy_beside(
    tmp_path: Path, place: int
):
    path = tmp_path / "ann.identity"
    save_identity(path, PRIVATE, "correct horse")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)

    with pytest.raises(IdentityError, match=r"restore it with `cp .*\.bak"):
        load_identity(path)
