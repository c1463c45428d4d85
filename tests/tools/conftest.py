"""Fixtures of the tools' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tools.camp import Device


@pytest.fixture
def base() -> Iterator[Device]:
    device = Device("base", 1)
    yield device
    device.store.close()


@pytest.fixture
def other() -> Iterator[Device]:
    device = Device("other", 2)
    yield device
    device.store.close()


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes, str], Path]:
    def write(content: str | bytes, name: str = "rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
