"""Whatever a program says on a running node's control socket: an answer, and nothing done by half.

The socket is its owner's alone, so this is no enemy but a program gone wrong: every deed, every
word of it at its extremes, in lines of JSON and in lines that are none.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from meshlog.daemon import requests
from meshlog.daemon.address import control_paths
from meshlog.daemon.control import ControlServer
from meshlog.daemon.lines import LineReader, decode_line
from meshlog.node import Node
from tests.hostile.mallory import COUNTS, KEYS, NAMES, SCALARS, Mallory
from tests.hostile.test_malformed import camp
from tests.replica.devices import holds_alike

DEEDS = (*requests._DEEDS, "rm", "", "Emit")
QUIET = ("view", "status", "clock")
NUMBERS: tuple[Any, ...] = (*COUNTS, -1, -(2**63), 2**64, 10**400, 1.5, 1e308, True, None, "1", [])


class Owner:
    """A program of the node's owner that says anything."""

    def __init__(self, node: Node, mallory: Mallory) -> None:
        self.mallory = mallory
        self.rng = mallory.rng
        self.node = node

    def json(self, value: Any) -> Any:
        """What JSON carries of a value; bytes as text, as a program might."""
        match value:
            case bytes():
                return value.hex()
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {str(key): self.json(item) for key, item in value.items()}
        return value

    def item(self) -> Any:
        rng = self.rng
        kind = rng.choice((*KEYS, "", "x" * 300, "\ud800"))
        said = {
            key: self.mallory.likely(key) if rng.random() < 0.6 else self.mallory.value()
            for key in KEYS.get(kind, ("a",))
            if rng.random() < 0.9
        }
        return rng.choice(([kind, said],) * 8 + ([kind], [said, kind], kind, None))

    def words(self, do: str) -> dict[str, Any]:
        """The words of a deed: mostly of the right type, and wrong in what they say."""
        rng, feed = self.rng, self.mallory.feed()
        segment = base64.b64encode(self.mallory.segment()).decode()
        match do:
            case "emit":
                return {"items": [self.item() for _ in range(rng.choice((0, 1, 1, 3, 40)))]}
            case "put_form":
                form = {key: self.mallory.likely(key) for key in KEYS["form.put"]}
                return {"definition": rng.choice((form, form, [], None))}
            case "ingest":
                return {"segments": rng.choice(([segment], [segment] * 5, ["="], [7], segment))}
            case "fix_clock":
                return {
                    "feed": rng.choice((feed.packed().hex(), feed.packed().hex(), "zz", 4)),
                    "shift": [rng.choice(NUMBERS) for _ in range(rng.choice((3, 3, 3, 2, 0)))],
                }
            case "invite":
                role = rng.choice(("writer", "observer", "founder", "", "WRITER", "\u202e", 4))
                return {"role": role, "expires_s": rng.choice(NUMBERS), "uses": rng.choice(NUMBERS)}
            case "decree":
                return {"payload": rng.choice((self.mallory.body().hex(), "0", "zz", 1, None))}
        return {rng.choice(NAMES): rng.choice(SCALARS)}

    def line(self) -> tuple[str, bytes]:
        """The deed, and a line that asks for it; one in ten is bent."""
        rng, do = self.rng, self.rng.choice(DEEDS)
        request = {"v": rng.choice((1,) * 12 + (0, 2, True, "1")), "do": do, **self.words(do)}
        for word in [word for word in request if rng.random() < 0.03]:
            del request[word]
        data = bytearray(json.dumps(self.json(request)).encode())
        if rng.random() < 0.1:
            data[rng.randrange(len(data))] = rng.randrange(256)
        return do, bytes(data).replace(b"\n", b" ") + b"\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def everything(node: Node) -> tuple[object, ...]:
    """What no refused request may change; the horizon is time's own."""
    ledger, store = node.replica.ledger, node.replica.store
    return (
        ledger.root, ledger.clock, ledger.roster, store.event_count(), store.get_meta("clock"),
        store.get_meta("incarnation"), node.replica.ring.keys, node.view(),
    )  # fmt: skip


def talk(seed: int, count: int, folder: Path) -> Counter[str]:
    """Say ``count`` lines to a running node; return how many of each deed it did, and refused."""
    base, mallory = camp(seed)
    node = Node.over(base.store, base.identity)
    mallory.replica = node.replica
    owner = Owner(node, mallory)
    log = logging.getLogger("meshlog.hostile")
    paths = control_paths(folder / f"{seed}.db")
    server = ControlServer(paths, lambda request: requests.answer(node, request), log)
    server.start()
    assert server.path is not None
    told: Counter[str] = Counter()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(server.path))
        lines = LineReader(connection)
        for number in range(1, count + 1):
            do, line = owner.line()
            before = everything(node)
            connection.sendall(line)
            answered = lines.line(30)
            assert answered is not None, f"seed {seed}, line {number}: hung up on {line!r}"
            answer = decode_line(answered)
            told[f"{do} {'done' if answer['ok'] else 'refused'}"] += 1
            if answer["ok"]:
                continue
            assert answer["error"].isprintable(), f"{answer['error']!r} is no line for a person"
            assert "log says why" not in answer["error"], f"seed {seed}: {line!r}"
            assert everything(node) == before, f"seed {seed}, line {number}: refused, yet it moved"
    server.close()
    assert holds_alike(node.replica)
    base.store.close()
    return told


def test_five_hundred_lines_are_answered_and_nothing_is_done_by_half(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = talk(1, 500, folder)

    assert caplog.records == []
    for do in ("emit", "ingest", "decree", "fix_clock", "invite", "put_form"):
        assert told[f"{do} refused"] > 0
    assert told["emit done"] > 0
    assert told["ingest done"] > 0
    assert all(told[f"{do} done"] for do in QUIET)


@pytest.mark.prove
@pytest.mark.timeout(1_800)
def test_five_thousand_lines(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in range(20, 30):
        talk(seed, 500, folder)

    assert caplog.records == []


def test_a_line_of_random_bytes_is_answered(folder: Path) -> None:
    """What is no JSON at all: the connection goes on."""
    rng = random.Random(4)
    base, _ = camp(4)
    node = Node.over(base.store, base.identity)
    server = ControlServer(
        control_paths(folder / "x.db"),
        lambda request: requests.answer(node, request),
        logging.getLogger("meshlog.hostile"),
    )
    server.start()
    assert server.path is not None
    before = everything(node)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(server.path))
        lines = LineReader(connection)
        for _ in range(100):
            noise = rng.randbytes(rng.randrange(300)).replace(b"\n", b"\0")
            connection.sendall(noise + b"\n")
            answered = lines.line(30)
            assert answered is not None
            assert decode_line(answered)["ok"] is False
    assert everything(node) == before
    server.close()
    base.store.close()
