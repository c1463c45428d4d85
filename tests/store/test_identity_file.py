"""The identity file: whole, private, and never replaced by a new one because it is damaged."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from meshlog.errors import IdentityError
from meshlog.store import load_identity, save_identity

PRIVATE = bytes(range(64))
OTHER = bytes(range(64, 128))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "identity"


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"identity.{suffix}")


def test_gives_back_what_was_saved(path: Path):
    save_identity(path, PRIVATE)

    assert load_identity(path) == PRIVATE
    assert path.read_bytes() == PRIVATE
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {
        "identity": 0o600,
        "identity.sum": 0o600,
        "identity.bak": 0o600,
    }


def test_nothing_there_is_none(path: Path):
    assert load_identity(path) is None


def test_an_identity_of_rnid_is_taken_and_gets_a_checksum(path: Path):
    path.write_bytes(PRIVATE)

    assert load_identity(path) == PRIVATE

    path.write_bytes(OTHER)
    with pytest.raises(IdentityError, match="restore it with `cp"):
        load_identity(path)


def test_a_new_identity_replaces_the_old_with_all_that_stands_beside_it(path: Path):
    save_identity(path, PRIVATE)
    save_identity(path, OTHER)

    assert load_identity(path) == OTHER
    assert beside(path, "bak").read_bytes() == OTHER


@pytest.mark.parametrize("size_bytes", [0, 32, 63, 65, 128])
def test_only_64_bytes_are_an_identity(path: Path, size_bytes: int):
    with pytest.raises(IdentityError, match="64 bytes"):
        save_identity(path, bytes(size_bytes))

    assert not list(path.parent.iterdir())


# ── Damage ──


def assert_refused_and_restorable(path: Path) -> None:
    with pytest.raises(IdentityError, match=rf"restore it with `cp {path}.bak {path}`"):
        load_identity(path)
    path.write_bytes(beside(path, "bak").read_bytes())
    assert load_identity(path) == PRIVATE


@pytest.mark.parametrize("size_bytes", range(64))
def test_torn_at_any_byte_is_an_error_that_says_how_to_restore(path: Path, size_bytes: int):
    save_identity(path, PRIVATE)
    path.write_bytes(PRIVATE[:size_bytes])

    assert_refused_and_restorable(path)


def test_any_flipped_bit_is_an_error(path: Path):
    save_identity(path, PRIVATE)
    for bit in range(64 * 8):
        flipped = bytearray(PRIVATE)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)

        assert_refused_and_restorable(path)


def test_too_long_is_an_error(path: Path):
    save_identity(path, PRIVATE)
    path.write_bytes(PRIVATE + b"\n")

    assert_refused_and_restorable(path)


def test_lost_while_its_copy_is_there_is_an_error(path: Path):
    save_identity(path, PRIVATE)
    path.unlink()

    assert_refused_and_restorable(path)


def test_a_damaged_checksum_beside_two_equal_copies_is_named(path: Path):
    save_identity(path, PRIVATE)
    beside(path, "sum").write_bytes(b"")

    with pytest.raises(IdentityError, match=r"delete .*\.sum"):
        load_identity(path)
    beside(path, "sum").unlink()
    assert load_identity(path) == PRIVATE


def test_damage_everywhere_asks_for_a_copy_elsewhere(path: Path):
    save_identity(path, PRIVATE)
    path.write_bytes(PRIVATE[:10])
    beside(path, "bak").write_bytes(OTHER)

    with pytest.raises(IdentityError, match="restore it from a copy of yours"):
        load_identity(path)
    assert path.read_bytes() == PRIVATE[:10]


def test_an_unreadable_file_is_an_error(path: Path):
    path.mkdir()

    with pytest.raises(IdentityError, match="cannot be read"):
        load_identity(path)


# ── Crashes ──


class PowerCutError(BaseException):
    """Ends the program at a call to the disk; a BaseException, so nothing tidies up."""


@pytest.mark.parametrize("old", [None, PRIVATE])
def test_a_crash_at_any_call_to_the_disk_leaves_the_old_identity_or_the_new(
    path: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None
):
    for calls in range(100):
        for file in path.parent.iterdir():
            file.unlink()
        if old:
            save_identity(path, old)
        with monkeypatch.context() as patch:
            cut_after(calls, patch)
            try:
                save_identity(path, OTHER)
            except PowerCutError:
                pass
            else:
                break

        found = load_identity(path)

        assert found in (old, OTHER)
        save_identity(path, OTHER)
        assert load_identity(path) == OTHER
        assert not beside(path, "tmp").exists()
    assert calls > 10


def cut_after(calls: int, patch: pytest.MonkeyPatch) -> None:
    left = [calls]

    for owner, name in (
        (os, "open"),
        (os, "fsync"),
        (os, "unlink"),
        (os, "replace"),
        (os, "fdopen"),
    ):
        genuine = getattr(owner, name)

        def cut(*args: object, _genuine: object = genuine, **kwargs: object) -> object:
            if left[0] == 0:
                raise PowerCutError
            left[0] -= 1
            assert callable(_genuine)
            return _genuine(*args, **kwargs)

        patch.setattr(owner, name, cut)


def test_a_disk_that_refuses_leaves_the_old_identity(path: Path, monkeypatch: pytest.MonkeyPatch):
    save_identity(path, PRIVATE)

    def refuse(fd: int) -> None:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(IdentityError, match="No space left on device"):
        save_identity(path, OTHER)

    monkeypatch.undo()
    assert load_identity(path) == PRIVATE
