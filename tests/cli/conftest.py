"""A device with nothing on it, and one with a dataset."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.store import SqliteStore
from tests.cli.processes import Device


@pytest.fixture
def empty(tmp_path: Path) -> Device:
    return Device(tmp_path / "device")


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a device that founded a dataset and holds one record; to copy."""
    device = Device(tmp_path_factory.mktemp("founded"))
    device.ok("init", "Survey", "--name", "base")
    device.ok("put", "W-1", "--form", "well", "depth_m=30", "works=true")
    return device.home


@pytest.fixture
def base(tmp_path: Path, founded: Path) -> Device:
    """A device that founded a dataset and holds one record: the same life, in another place."""
    shutil.copytree(founded, tmp_path / "device")
    device = Device(tmp_path / "device")
    with closing(SqliteStore(device.data)) as store:
        life = store.get_meta("incarnation")
        assert life is not None, "init began a life"
        with store.transaction():  # the guard of the copy vouches for it, as if it had been moved
            store.begin_life(int.from_bytes(life, "big"))
    return device
