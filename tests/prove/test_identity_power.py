"""The power fails while an identity is written: afterwards it is the old one or the new one."""

from __future__ import annotations

import errno
import random
from contextlib import suppress
from pathlib import Path

import pytest

from meshlog.errors import IdentityError
from meshlog.sim.disk import Disk
from meshlog.store import load_identity, save_identity
from tests.prove.osfiles import listening

pytestmark = pytest.mark.prove

OLD, NEW = bytes(range(64)), bytes(range(64, 128))
IMAGES_EACH = 15


def test_a_power_cut_leaves_the_old_identity_or_the_new(tmp_path: Path):
    """What was acknowledged stays: once ``save_identity`` returned, it is the new one."""
    (place := tmp_path / "found").mkdir()
    found = set()
    for before in (None, OLD):
        (folder := tmp_path / f"disk-{before is None}").mkdir()
        path, luck = folder / "identity", random.Random(1)
        disk = Disk(folder, luck)
        images: list[dict[str, bytes]] = []

        def draw(disk: Disk = disk, images: list[dict[str, bytes]] = images) -> None:
            images.extend(disk.image(disk.rng) for _ in range(IMAGES_EACH))

        with listening(disk):
            if before:
                save_identity(path, before)
            disk.watch = draw
            save_identity(path, NEW)
            disk.watch = lambda: None
            acknowledged = [disk.image(luck) for _ in range(IMAGES_EACH)]

        for image in images:
            found.add(loaded(place, image))
            assert loaded(place, image) in (before, NEW)
        assert {loaded(place, image) for image in acknowledged} == {NEW}
    assert found == {None, OLD, NEW}


def loaded(place: Path, image: dict[str, bytes]) -> bytes | None:
    for file in place.iterdir():
        file.unlink()
    for name, data in image.items():
        (place / name).write_bytes(data)
    return load_identity(place / "identity")


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_a_disk_that_refuses_at_any_operation_leaves_the_old_identity_or_the_new(
    tmp_path: Path, error: int
):
    path = tmp_path / "identity"
    for after in range(30):
        for file in tmp_path.iterdir():
            file.unlink()
        disk = Disk(tmp_path, random.Random(after))
        with listening(disk):
            save_identity(path, OLD)
            disk.fail(after, error)
            with suppress(IdentityError):
                save_identity(path, NEW)

        assert load_identity(path) in (OLD, NEW)
