"""Devices for the tests of the tools: a replica over a store, a clock that only tests move."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meshlog.core.grant import Role
from meshlog.core.identity import Identity
from meshlog.core.roster import label
from meshlog.replica import Replica, found, join
from meshlog.store.sqlite import SqliteStore
from meshlog.tools.fsck.fsck import FsckReport, fsck
from meshlog.tools.rows.importing import import_file
from meshlog.tools.rows.report import ImportReport
from meshlog.views.history import Entry, history

T0_MS = 1_750_000_000_000


class Device:
    """One device in a dataset."""

    def __init__(
        self, name: str, seed: int, path: Path | str = ":memory:", at: Device | None = None
    ):
        """Found a dataset, or join that of ``at``."""
        self.luck = random.Random(seed)
        self.now_ms = T0_MS
        self.store = SqliteStore(path)
        self.batches: list[int] = []
        identity = Identity(self.luck.randbytes(64))
        if at is None:
            found(self.store, identity, name, "wells", self.now_ms, self.luck)
        else:
            join(self.store, identity, name, at.replica.invite(Role.WRITER))
        self.replica: Replica = Replica(self.store, identity, self.now_ms, self.luck)

    def append(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        self.batches.append(len(items))
        self.now_ms += 1000
        self.replica.append_many(items, self.now_ms)

    def write(self, kind: str, **payload: Any) -> None:
        self.append([(kind, payload)])

    def bring(self, path: Path, form: str | None = "well", **options: Any) -> ImportReport:
        options.setdefault("id_column", None)
        return import_file(
            path,
            form=form,
            lookup=self.replica.record,
            append=self.append,
            arrivals=self.store.scan(),
            **options,
        )

    def view(self) -> dict[str, dict[str, Any]]:
        return self.replica.view.snapshot()

    def fields(self, record_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.view()[record_id]["fields"]
        return found

    def kinds(self) -> list[str]:
        return [a.event.kind for a in self.store.scan() if a.event.feed.kind == 1]

    def history(self, record_id: str) -> list[Entry]:
        ledger = self.replica.ledger
        return history(
            self.store,
            record_id,
            lambda author: label(ledger.roster, author),
            ledger.standings(self.store),
        )

    def fsck(self) -> FsckReport:
        return fsck(self.store, self.replica.dataset)

    def give(self, other: Device) -> None:
        """Let another device have all that this one holds."""
        self.replica.root()
        other.now_ms = max(self.now_ms, other.now_ms)
        for feed, heads in sorted(self.replica.frontier().items(), key=lambda item: item[0].kind):
            for tip in heads:
                segments, _ = self.replica.segments(feed, tip, 0, 10**9)
                other.replica.ingest(segments, other.now_ms)
