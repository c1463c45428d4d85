"""The control socket: words of the owner's programs, and what it does with nonsense."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshlog.core.identity import Identity
from meshlog.daemon import address, control, lines, requests
from meshlog.daemon.address import control_paths
from meshlog.daemon.client import ControlClient, connect
from meshlog.daemon.control import ControlServer
from meshlog.errors import InputError, StoreError
from meshlog.node import Node
from meshlog.replica import join_open
from meshlog.store import SqliteStore

NOTE = ("note.add", {"record_id": "r", "text": "hi"})


@pytest.fixture(autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("run")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def node() -> Iterator[Node]:
    store = SqliteStore()
    identity = Identity(random.Random(7).randbytes(64))
    join_open(store, identity, "base")
    yield Node.over(store, identity)
    store.close()


@pytest.fixture
def server(node: Node, tmp_path: Path) -> Iterator[ControlServer]:
    log = logging.getLogger("meshlog.test")
    paths = control_paths(tmp_path / "a.db")
    server = ControlServer(paths, lambda request: requests.answer(node, request), log)
    server.start()
    yield server
    server.close()


@pytest.fixture
def client(server: ControlServer, tmp_path: Path) -> Iterator[ControlClient]:
    client = connect(tmp_path / "a.db")
    assert client is not None
    with client:
        yield client


def raw(server: ControlServer) -> socket.socket:
    assert server.path is not None
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(server.path))
    return connection


def said(connection: socket.socket) -> dict[str, Any]:
    line = lines.LineReader(connection).line(10)
    assert line is not None
    return lines.decode_line(line)


def test_writes_are_in_the_node_when_they_are_acknowledged(
    client: ControlClient, node: Node
) -> None:
    written = client.emit([NOTE, NOTE])

    assert [seq for _, seq in written] == [1, 2]
    assert node.store.has(written[0][0])
    assert node.view()["r"]["notes"] == ["hi", "hi"]


def test_status_view_and_poke_answer(client: ControlClient) -> None:
    client.emit([NOTE])

    assert client.status()["records"] == 1
    assert client.ask("view")["view"]["r"]["notes"] == ["hi"]
    assert client.ask("poke") == {"ok": True}


def test_all_of_a_request_is_written_or_nothing(client: ControlClient, node: Node) -> None:
    with pytest.raises(InputError, match="65536"):
        client.emit([NOTE, ("note.add", {"record_id": "r", "text": "x" * 70_000})])

    assert node.view() == {}


@pytest.mark.parametrize(
    ("payload", "says"),
    [({"a": float("nan")}, "finite"), ({"a": {1}}, "set")],
)
def test_what_an_event_cannot_carry_is_refused_before_it_is_sent(
    client: ControlClient, payload: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        client.emit([("note.add", payload)])


def test_the_open_dataset_invites_nobody(client: ControlClient) -> None:
    with pytest.raises(InputError, match="no invite"):
        client.invite("writer", 0, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"[]",
        b"\xff\xfe",
        b'"' + b"[" * 100,
        b"[" * 100_000,
        b"{}",
        b'{"v": 2, "do": "status"}',
        b'{"v": 1}',
        b'{"v": 1, "do": ["status"]}',
        b'{"v": 1, "do": "rm"}',
        b'{"v": 1, "do": "emit"}',
        b'{"v": 1, "do": "emit", "items": {}}',
        b'{"v": 1, "do": "emit", "items": [1]}',
        b'{"v": 1, "do": "emit", "items": [["note.add"]]}',
        b'{"v": 1, "do": "emit", "items": [["", {}]]}',
        b'{"v": 1, "do": "emit", "items": ["no hex"]}',
        b'{"v": 1, "do": "emit", "items": ["82"]}',
        b'{"v": 1, "do": "emit", "items": [["note.add", {"a": 1e999}]]}',
        b'{"v": 1, "do": "emit", "items": [["note.add", {"a": NaN}]]}',
        b'{"v": 1, "do": "emit", "items": [["note.add", {"a": "\\ud800"}]]}',
        b'{"v": 1, "do": "emit", "items": [["note.add", {"a": 99999999999999999999}]]}',
        b'{"v": 1, "do": "invite", "role": "founder"}',
        b'{"v": 1, "do": "invite", "role": 3}',
        b'{"v": 1, "do": "invite", "role": "writer", "expires_s": -1}',
        b'{"v": 1, "do": "invite", "role": "writer", "uses": 1.5}',
    ],
)
def test_nonsense_gets_an_error_line_and_the_next_request_its_answer(
    server: ControlServer, node: Node, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with raw(server) as connection:
        connection.sendall(line + b"\n")
        refused = said(connection)
        connection.sendall(b'{"v": 1, "do": "status"}\n')
        after = said(connection)

    assert refused["ok"] is False
    assert refused["error"]
    assert after["ok"] is True
    assert node.view() == {}
    assert caplog.records == []


def test_our_own_mistake_is_logged_and_answered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(_: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("ours")

    server = ControlServer(control_paths(tmp_path / "b.db"), stumble, logging.getLogger("meshlog"))
    server.start()
    with raw(server) as connection:
        connection.sendall(b'{"v": 1, "do": "status"}\n')
        refused = said(connection)
    server.close()

    assert "log says why" in refused["error"]
    assert "Traceback" in caplog.text


def test_a_line_without_end_is_cut_off(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LINE_SIZE_MAX", 1_000)
    with raw(server) as connection:
        connection.sendall(b"x" * 2_000)

        assert "longer than" in said(connection)["error"]
        assert connection.recv(1) == b""


def test_a_slow_talker_is_hung_up_on(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.2)
    with raw(server) as connection:
        connection.sendall(b'{"v": 1')

        assert connection.recv(1) == b""


def test_too_many_connections_are_told_so(
    server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CONNECTIONS_MAX", 2)
    held = [raw(server) for _ in range(2)]
    for connection in held:
        connection.sendall(b'{"v": 1, "do": "poke"}\n')
        assert said(connection)["ok"] is True

    with raw(server) as third:
        assert "too many" in said(third)["error"]

    for connection in held:
        connection.close()


def test_a_cut_off_request_is_not_done(server: ControlServer, node: Node) -> None:
    line = json.dumps({"v": 1, "do": "emit", "items": [NOTE]}).encode()
    with raw(server) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)

        assert said(connection)["ok"] is False

    assert node.view() == {}


def test_a_client_is_told_that_nobody_knows_when_the_node_dies(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ControlClient(ours) as client:
        theirs.close()

        with pytest.raises(StoreError, match="not known whether"):
            client.emit([NOTE])


def test_socket_and_folder_are_the_owners_alone(server: ControlServer, runtime: Path) -> None:
    assert server.path is not None
    assert server.path.parent == runtime / "meshlog"
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


def test_a_dead_nodes_socket_is_no_node_and_no_obstacle(
    server: ControlServer, node: Node, tmp_path: Path
) -> None:
    other = tmp_path / "c.db"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(control_paths(other)[0]))
    dead.close()

    assert connect(other) is None
    again = ControlServer(
        control_paths(other), lambda request: requests.answer(node, request), logging.getLogger()
    )
    again.start()
    found = connect(other)
    assert found is not None
    found.close()
    again.close()
    assert connect(other) is None


def test_a_folder_open_to_others_is_not_used(
    tmp_path: Path, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runtime / "meshlog").mkdir(mode=0o755)
    path = control_paths(tmp_path / "a.db")[0]
    planted = socket.socket(socket.AF_UNIX)
    planted.bind(str(path))
    planted.listen()

    assert connect(tmp_path / "a.db") is None
    with pytest.raises(StoreError, match="open to others"):
        ControlServer([path], lambda request: request, logging.getLogger()).start()

    planted.close()


def test_a_linked_folder_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert address.is_private(tmp_path / "real")
    assert not address.is_private(tmp_path / "link")


def test_one_store_has_one_address_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)

    paths = {control_paths(name)[0] for name in ("a.db", tmp_path / "a.db", "link/a.db")}

    assert len(paths) == 1
    assert len(paths.pop().name) == 16


def test_a_deep_folder_is_passed_by(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    paths = control_paths("a.db", {"XDG_RUNTIME_DIR": str(deep)})

    assert paths
    assert all(len(os.fsencode(path)) <= address.SOCKET_PATH_SIZE_MAX for path in paths)


def test_lets_the_node_count_what_is_due(node: Node, client: ControlClient) -> None:
    before_ms = node.replica.ledger.horizon_ms

    client.settle()

    assert node.replica.ledger.horizon_ms > before_ms
