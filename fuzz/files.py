"""Targets that a person or a program of theirs hands in: files, and lines of the control socket."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.target import MIB, Target
from fuzz.vectors import hexes, load
from meshlog.core.event import Event, encode_body
from meshlog.core.forkproof import ForkProof
from meshlog.core.identity import Identity
from meshlog.daemon.lines import decode_line, encode_line
from meshlog.daemon.requests import answer
from meshlog.errors import IdentityError, MeshlogError
from meshlog.node import Node
from meshlog.replica import join_open
from meshlog.store import SqliteStore
from meshlog.store.identity_file import checksum, load_identity
from meshlog.store.instance import Mark, decode, decode_note, encode, encode_note
from meshlog.tools.rows.importing import Format, import_file
from meshlog.tools.rows.oldlog import _old_id

_PRIVATE = bytes.fromhex(load("identity")["good"][0]["private"])


@cache
def _scratch() -> Path:
    """Return a folder in memory where there is one: identity files are synced."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    where = str(memory) if memory.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="meshlog-fuzz-", dir=where))


def _fork(data: bytes) -> None:
    """A fork proof that somebody hands in."""
    proof = ForkProof.decode(data)
    assert ForkProof.decode(proof.encode()) == proof
    proof.check()


def _guard(data: bytes) -> None:
    """The two files beside a store: damage is no guard, never an error."""
    mark = decode(data)
    assert mark is None or encode(mark) == data
    noted = decode_note(data)
    assert noted is None or encode_note(*noted) == data


def _guard_seeds() -> Iterator[bytes]:
    yield encode(Mark(7, "a1:b2"))
    yield encode_note(7, 1_234)


def _identity(data: bytes) -> None:
    """The file, its checksum and its copy; 0xFF parts them, an empty part is a missing file."""
    path = _scratch() / "identity"
    parts = [*data.split(b"\xff\x00\xff", 2), b"", b""][:3]
    files = [path, path.with_name("identity.sum"), path.with_name("identity.bak")]
    for file, part in zip(files, parts, strict=True):
        file.unlink(missing_ok=True)
        if part:
            file.write_bytes(part)
    before = [part or None for part in parts]
    try:
        found = load_identity(path)
    except IdentityError:
        after = [file.read_bytes() if file.exists() else None for file in files]
        assert after == before, "what is damaged is not touched"
        raise
    if found is not None:
        assert found == parts[0]
        Identity(found)


def _identity_seeds() -> Iterator[bytes]:
    mark = b"\xff\x00\xff"
    yield _PRIVATE
    yield mark.join((_PRIVATE, checksum(_PRIVATE), _PRIVATE))
    yield mark.join((_PRIVATE[:40], checksum(_PRIVATE), _PRIVATE))
    yield mark.join((b"", checksum(_PRIVATE), _PRIVATE))
    yield mark.join((_PRIVATE, checksum(bytes(64)), bytes(64)))


def _import(format_: Format, data: bytes) -> None:
    """A file to import. Rows are refused one by one; what is taken, an event can carry."""
    path = _scratch() / "rows"
    path.write_bytes(data)

    def append(items: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[Event]:
        for kind, payload in items:
            encode_body(kind, payload)
        return []

    import_file(
        path, form="w", id_column=None, lookup=lambda _: None, append=append, format=format_
    )


def _oldlog_seeds() -> Iterator[bytes]:
    for kind, payload in (
        ("record.create", {"record_id": "r"}),
        ("field.set", {"record_id": "r", "field": "depth", "value": 3}),
        ("note.add", {"record_id": "r", "text": "x"}),
    ):
        wire = {"a": "ann", "s": 1, "h": [1, 0], "k": kind, "p": payload, "v": "", "i": ""}
        yield json.dumps({**wire, "i": _old_id(wire)}).encode() + b"\n" + json.dumps(wire).encode()


@cache
def _node() -> Node:
    store = SqliteStore()
    identity = Identity(random.Random(7).randbytes(64))  # noqa: S311 - the same on every run
    join_open(store, identity, "base")
    return Node.over(store, identity)


def _control(data: bytes) -> None:
    """A line of the control socket, answered by a real node; the answer can always be said."""
    said = _fresh(_node().replica.event_count())
    with suppress(MeshlogError):
        encode_line({"ok": True, **answer(said, decode_line(data))})


def _fresh(events: int) -> Node:
    if events > 2_000:  # noqa: PLR2004 - what it wrote makes every later line slower
        _node().close()
        _node.cache_clear()
    return _node()


def _control_seeds() -> Iterator[bytes]:
    for said in (
        {"v": 1, "do": "emit", "items": [["note.add", {"record_id": "r", "text": "x"}]]},
        {"v": 1, "do": "emit", "items": [["field.set", {"record_id": "r", "field": "a",
                                                        "value": 1.5}]]},
        {"v": 1, "do": "emit", "items": [["record.put", {"record_id": "r", "fields": {"a": 1},
                                                         "replaces": {}}]]},
        {"v": 1, "do": "emit", "items": [["record.delete", {"record_id": "r"}]]},
        {"v": 1, "do": "status"}, {"v": 1, "do": "view"}, {"v": 1, "do": "poke"},
        {"v": 1, "do": "invite", "role": "writer", "days": 3},
        {"v": 1, "do": "put_form", "definition": {"form": "w", "fields": [["a", "int"]]}},
        {"v": 2, "do": "emit"}, {"v": 1, "do": ["emit"]},
    ):  # fmt: skip
        yield json.dumps(said).encode()


TARGETS = (
    Target("identity", _identity, _identity_seeds, MIB, 512),
    Target(
        "csv",
        lambda data: _import("csv", data),
        lambda: [b"id,depth\nW-1,3.5\nW-2,\n", b'\xef\xbb\xbfa;b\n"x\ny";2\n'],
        16 * MIB,
    ),
    Target(
        "json",
        lambda data: _import("jsonl", data),
        lambda: [b'{"record_id": "r", "form": "w", "fields": {"a": [1, {"b": null}]}}\n{"a": 1}'],
        16 * MIB,
    ),
    Target("fork", _fork, lambda: hexes("fork", "good", "shows_nothing", "bad"), 4 * MIB, 2_048),
    Target("guard", _guard, _guard_seeds, MIB, 512),
    Target("oldlog", lambda data: _import("log", data), _oldlog_seeds, 16 * MIB),
    Target("control", _control, _control_seeds, 16 * MIB),
)
