"""A device with nothing on it, and one with a dataset."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from meshlog.core.identity import Identity
from meshlog.replica import Replica
from meshlog.store import SqliteStore, load_identity
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
    """A device that founded a dataset and holds one record, in the second life of a copy."""
    shutil.copytree(founded, tmp_path / "device")
    device = Device(tmp_path / "device")
    private = load_identity(f"{device.data}.identity")
    assert private is not None, "init made an identity"
    store = SqliteStore(device.data)  # the first opening tells that the store is a copy: not here
    Replica(store, Identity(private), time.time_ns() // 1_000_000, random.SystemRandom())
    store.close()
    return device
