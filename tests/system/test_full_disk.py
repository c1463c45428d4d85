"""The disk of a running node is full: it says so, keeps serving, and goes on when there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from meshlog.errors import StoreError
from tests.system.node import Field, Home, Running, items, try_status, wait_alike, wait_until

pytest.importorskip("RNS")

pytestmark = [pytest.mark.rns, pytest.mark.prove, pytest.mark.timeout(180)]

SIZE_BYTES = 3_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a small file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def write_until_full(node: Running, acknowledged: set[str]) -> str:
    """Write until the node refuses; return what it says."""
    for number in range(0, 5_000, 20):
        try:
            acknowledged.update(node.emit(items(20, "small", number, text_size=2_000)))
        except StoreError as error:
            return str(error)
    raise AssertionError("the disk never filled up")


def test_a_running_node_on_a_full_disk_refuses_serves_and_goes_on(
    small_disk: Path, field: Field
) -> None:
    relay = field.relay()
    ann = Home(small_disk / "ann", "ann")
    bob = Home(field.directory / "bob", "bob", ann.invite())
    live, other = field.pair(relay, ann, bob)
    wait_until(lambda: bool(try_status(live)), 20, live.log)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(SIZE_BYTES // 3))
    acknowledged: set[str] = set()

    said = write_until_full(live, acknowledged)

    assert "the disk is full: nothing was written, free some space" in said
    with suppress(StoreError):
        acknowledged.update(live.emit(items(1, "late")))
    assert live.process.poll() is None, "it keeps running"
    assert live.status()["events"] >= len(acknowledged), "it keeps serving"

    ballast.unlink()
    acknowledged.update(live.emit(items(5, "after")))

    wait_alike(live, other, timeout_s=90)
    assert acknowledged <= ann.events()
    assert ann.events() == bob.events()
