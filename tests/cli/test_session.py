"""A command that writes beside a running node."""

from __future__ import annotations

import logging
import random
from contextlib import closing
from pathlib import Path

import pytest

from meshlog.cli.command import place_of
from meshlog.cli.session import writing
from meshlog.core.identity import Identity
from meshlog.daemon import requests
from meshlog.daemon.address import control_paths
from meshlog.daemon.control import ControlServer
from meshlog.node import Node
from meshlog.replica import join_open
from meshlog.store import SqliteStore
from tests.support.cost import lines_run


def test_looks_up_many_records_for_little_more_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import asks for each of its rows: who belongs is not read anew for every one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    data, identity = tmp_path / "a.db", Identity(random.Random(7).randbytes(64))
    with closing(SqliteStore(data)) as store:
        join_open(store, identity, "base")
        node = Node.over(store, identity)
        for number in range(100):
            node.put_record(f"W-{number}", {"depth_m": number}, "well")
        server = ControlServer(
            control_paths(data), lambda said: requests.answer(node, said), logging.getLogger()
        )
        server.start()
        try:
            with writing(place_of(str(data), None)) as writer:
                one = lines_run(lambda: writer.record("W-0"))
                many = lines_run(lambda: [writer.record(f"W-{n}") for n in range(100)])
                writer.emit([("record.delete", {"record_id": "W-0"})])
                gone = writer.record("W-0")
        finally:
            server.close()

    assert many < 10 * one, (one, many)
    assert gone is not None
    assert not gone.visible
