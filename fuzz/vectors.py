"""The golden vectors as seeds: every corpus begins with what docs/protocol.md shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshlog.core.compact.names import Codebook
from meshlog.core.event import OPEN_DATASET
from meshlog.core.form import FormBook, read_form
from meshlog.core.grant import Role
from meshlog.core.identity import author_id
from meshlog.core.roster import Member, Roster

FOLDER = Path(__file__).parents[1] / "tests" / "vectors"


def load(name: str) -> Any:  # noqa: ANN401 - JSON has no better type
    """Return one file of vectors."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def hexes(name: str, *groups: str, key: str = "hex") -> Iterator[bytes]:
    """Yield the bytes of every case in some groups of a file."""
    for group in groups:
        for case in load(name)[group]:
            yield bytes.fromhex(case[key])


def codebook() -> Codebook:
    """Return the feeds, names and forms that the compact vectors take for known."""
    vectors = load("compact")
    members = {}
    for one in vectors["members"]:
        keys = bytes.fromhex(one["keys"])
        author = author_id(keys)
        members[author] = Member(
            author, keys, one["name"], Role.WRITER, b"", (one["data"],), (0, b"", 0, 0, b"")
        )
    forms = FormBook((read_form(bytes.fromhex(vectors["form"])),))
    return Codebook.of(Roster(OPEN_DATASET, members=members), forms)
