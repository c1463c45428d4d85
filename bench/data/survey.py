"""A real survey: its rows written by one device, and all of it taken in by a second one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset
from bench.data.timing import measured
from bench.data.workload import T0_MS
from meshlog.store import SqliteStore
from meshlog.tools.rows.importing import import_file


def survey(folder: Path, *, rows: str) -> dict[str, Any]:
    """Time what ``meshlog import`` does with a CSV file, and bootstrapping a second device.

    The second is handed what the protocol sends, as the importer cut it, 16 in a transaction.
    """
    dataset = Dataset()
    importer = dataset.joined(SqliteStore(folder / "importer"), "importer")

    def append(items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        importer.append_many(items, T0_MS + importer.event_count())

    with measured() as brought:
        report = import_file(
            rows,
            form="survey",
            id_column=None,
            lookup=importer.record,
            append=append,
            forms=importer.ledger.forms,
            put_form=lambda definition: importer.put_form(definition, T0_MS),
        )
    assert report.added, report
    assert not report.failed_count, report
    feed = importer.data_feed
    [head] = importer.frontier()[feed]
    sent, _ = importer.segments(feed, head, 0, 1_000_000_000)
    second = dataset.joined(SqliteStore(folder / "second"), "second")
    dataset.authors.append(importer)
    dataset.introduce(second)
    with measured() as taken:
        for at in range(0, len(sent), 16):
            second.ingest(sent[at : at + 16], T0_MS * 2)
    assert importer.view.snapshot() == second.view.snapshot()
    second.store.close()
    return {
        "rows": report.added,
        "events": head.seq,
        "import": vars(brought),
        "bootstrap": vars(taken),
        "disk_bytes": (folder / "second").stat().st_size,
    }
