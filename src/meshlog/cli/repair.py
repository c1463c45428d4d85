"""The part of fsck that mends: a store written anew, and what it lacks from another file."""

from __future__ import annotations

import time
from pathlib import Path

from meshlog.cli.bundle import keys_of, names_of, show_faults
from meshlog.cli.command import Place, stampless
from meshlog.cli.output import count, hint, shown
from meshlog.cli.progress import progress
from meshlog.cli.session import writing
from meshlog.cli.stores import known_identity, reading
from meshlog.core.bundlefile import MAGIC
from meshlog.errors import InputError
from meshlog.tools.bundle.importing import import_bundle
from meshlog.tools.repair.repair import RepairReport, repair, take_from

LOST_SHOWN = 20


def check_source(source: Path) -> None:
    """Refuse a file from which nothing can come, before anything is done.

    Raises:
        InputError: It is not there, or is a folder.
    """
    if source.is_dir():
        raise InputError(f"{source} is a folder: name a bundle, a backup or a store in it")
    if not source.exists():
        raise InputError(f"{source} does not exist: check the name, or mount the stick")


def mend_store(place: Place) -> None:
    """Write a damaged store anew and say what became of it. See ``tools.repair``."""
    identity = known_identity(place)
    with progress("reading what is left, rows") as advance:
        report = repair(place.data, identity, time.time_ns() // 1_000_000, advance)
    hint(f"{place.data} was written anew: {count(report.events, 'event')}")
    hint(f"the old file is {report.kept_as}: keep it until nothing is missing")
    _show_lost(place, report)


def _show_lost(place: Place, report: RepairReport) -> None:
    for lost in report.lost_places[:LOST_SHOWN]:
        hint(f"cannot be read any more: {shown(lost)}")
    if report.lost > LOST_SHOWN:
        hint(f"and {report.lost - LOST_SHOWN:,} more")
    for unsigned in report.unsigned_places[:LOST_SHOWN]:
        hint(f"sound, but its signature is lost: {shown(unsigned)}")
    if len(report.unsigned_places) > LOST_SHOWN:
        hint(f"and {len(report.unsigned_places) - LOST_SHOWN:,} more")
    if report.waiting:
        again = report.kept_as or "the same file"
        hint(
            f"{count(report.waiting, 'run')} of sound events follow lost ones: once those have"
            f" come, `meshlog fsck --repair-from {again}` takes them"
        )
    if report.refused:
        hint(f"{count(report.refused, 'segment')} did not hold and were left out")
    if report.lost or report.unsigned:
        where = f" --data {place.data}" if place.named else ""
        hint(f"what the others have comes back by itself: meshlog run{where}")


def take_lacking(place: Place, source: Path) -> None:
    """Take from a bundle or a store what ours lacks, and say what came."""
    with reading(place) as read:
        dataset, keys, name_of = read.roster.dataset, keys_of(read), names_of(read)
    with (
        writing(stampless(place)) as writer,
        progress(f"reading {source.name}") as advance,
        source.open("rb") as file,
    ):
        if file.read(len(MAGIC)) == MAGIC:
            bundle = import_bundle(
                source, dataset, keys, writer.ingest, name_of, advance, known_identity(place)
            )
            hint(f"{source}: {count(bundle.events, 'new event')}")
            show_faults(source, bundle)
            return
        folder = place.data.absolute().parent
        report = take_from(source, dataset, writer.ingest, name_of, folder, advance)
    hint(f"{source}: {count(report.events, 'new event')}")
    _show_lost(place, report)
