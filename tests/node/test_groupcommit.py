"""What several threads write at once is durable with one sync; each is all or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meshlog import Event, Node
from meshlog.errors import InputError, StoreError
from meshlog.node import groupcommit
from meshlog.store.file import StoreFile

Write = Callable[[], Any]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with Node("ann", None, str(tmp_path / "ann.db")) as node:
        yield node


@pytest.fixture
def commits(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each commit made durable that made any."""
    counts: list[int] = []
    commit, last = StoreFile.commit, [node.replica.event_count()]

    def counted(self: StoreFile) -> None:
        commit(self)
        held = self.run("SELECT max(position + length(ids) / 32 - 1) FROM run")[0][0]
        if held > last[0]:
            counts.append(held - last[0])
        last[0] = held

    monkeypatch.setattr(StoreFile, "commit", counted)
    return counts


def at_once(node: Node, *writes: Write) -> list[Future[Any]]:
    """Let all wait for the node before the first is written; return what became of them."""
    with ThreadPoolExecutor(len(writes)) as pool, node.lock:
        done = []
        for number, write in enumerate(writes, 1):
            done.append(pool.submit(write))
            while len(node._commit._waiting) < number:
                time.sleep(0.001)
    return done


def note(node: Node, text: object) -> Write:
    return lambda: node.emit("note.add", {"record_id": "r", "text": text})


def test_those_who_wait_share_one_commit(node: Node, commits: list[int]):
    done = at_once(node, *(note(node, f"{number}") for number in range(8)))

    assert commits == [8]
    events = [one.result() for one in done]
    assert [event.payload["text"] for event in events] == [f"{number}" for number in range(8)]
    assert [event.seq for event in events] == list(range(events[0].seq, events[0].seq + 8))


def test_who_writes_what_cannot_be_written_is_told_alone(node: Node, commits: list[int]):
    pair = [("note.add", {"record_id": "r", "text": "c"}), ("note.add", {"record_id": "r"})]

    done = at_once(
        node, note(node, "a"), note(node, 7), lambda: node.emit_many(pair), note(node, "b")
    )

    assert [type(one.exception()) for one in done] == [
        type(None),
        InputError,
        InputError,
        type(None),
    ]
    assert "text is not text" in str(done[1].exception())
    assert node.view()["r"]["notes"] == ["a", "b"]
    assert commits == [1, 1]


def test_a_disk_that_refuses_is_told_to_all(node: Node, monkeypatch: pytest.MonkeyPatch):
    def refused(_: StoreFile) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(StoreFile, "commit", refused)
        done = at_once(node, note(node, "a"), note(node, "b"))

    assert [str(one.exception()) for one in done] == ["the disk is full"] * 2
    assert node.view() == {}
    node.emit("note.add", {"record_id": "r", "text": "c"})
    assert node.view()["r"]["notes"] == ["c"]


def test_one_transaction_has_a_limit_and_one_caller_none(
    node: Node, commits: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(groupcommit, "GROUP_EVENTS_MAX", 3)
    many = [("note.add", {"record_id": "r", "text": "x"})] * 5

    at_once(node, *[note(node, "a")] * 4, lambda: node.emit_many(many), lambda: node.emit_many([]))

    assert commits == [3, 1, 5]


def test_a_thread_that_is_stopped_in_mid_write_leaves_nobody_waiting(
    node: Node, monkeypatch: pytest.MonkeyPatch
):
    class Stopped(BaseException):
        pass

    def stop(_: StoreFile) -> None:
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(StoreFile, "commit", stop)
        done = at_once(node, note(node, "a"), note(node, "b"))

    told = sorted(type(one.exception()).__name__ for one in done)
    assert told == ["Stopped", "StoreError"]
    assert threading.active_count() < 50
    assert isinstance(note(node, "c")(), Event)
