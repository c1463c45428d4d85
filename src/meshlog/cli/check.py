"""fsck: prove that the store holds what its authors wrote, and shows what it says."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click

from meshlog.cli.command import Place, command, json_option, store_options
from meshlog.cli.output import count, hint, say, say_json, shown
from meshlog.cli.progress import progress
from meshlog.cli.repair import check_source, mend_store, take_lacking
from meshlog.cli.stores import dataset_of, open_alone
from meshlog.errors import StoreError, StoreUnavailableError, without_advice
from meshlog.store import SqliteStore
from meshlog.store.passphrase import is_encrypted
from meshlog.tools.fsck.fsck import FsckReport, fsck, rebuild_view

_NO_STORE = "`meshlog fsck --repair` writes it anew from all in it that holds"


@command(
    "fsck",
    example="""
        meshlog fsck
        meshlog fsck --repair
        meshlog fsck --repair-from /media/stick/backup.db
    """,
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="First make the view, and what finds events, again from the events; needs the node"
    " stopped.",
)
@click.option(
    "--repair",
    "mend",
    is_flag=True,
    help="Write a damaged store anew from all in it that holds; needs the node stopped.",
)
@click.option(
    "--repair-from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Repair where that is needed, then take what is lacking from a bundle, a backup, or"
    " another store, damaged or not.",
)
@json_option("Print the report as JSON.")
@store_options
def fsck_command(
    place: Place, rebuild: bool, mend: bool, source: Path | None, as_json: bool
) -> int:
    """Check the whole store.

    Reads the file, every hash and signature, and holds the view against the events.
    Changes nothing without an option. The exit code is 1 where something is wrong.
    """
    if source is not None:
        check_source(source)
    if (mend or source is not None) and not place.data.exists():
        raise StoreError(f"{place.data} does not exist: name another file with --data")
    if (mend or source is not None) and not _is_clean(place):
        mend_store(place)
    elif mend and source is None:
        say(f"{place.data} holds: there is nothing to repair")
    if source is not None:
        take_lacking(place, source)
    if rebuild:
        if not place.data.exists():
            raise StoreError(f"{place.data} does not exist: name another file with --data")
        own = open_alone(place.data)
        try:
            rebuild_view(own, dataset_of(own, place.data))
        finally:
            own.close()
    report = _checked(place)
    if as_json:
        skipped = [
            {"event": event_id.hex(), "reason": reason} for event_id, reason in report.unreadable
        ]
        say_json({**asdict(report), "unreadable": skipped, "is_clean": report.is_clean})
    else:
        _show(report)
    return 0 if report.is_clean else 1


def _checked(place: Place) -> FsckReport:
    try:
        with (
            closing(SqliteStore(place.data, for_check=True)) as store,
            progress("checking, steps") as advance,
        ):
            return fsck(store, dataset_of(store, place.data), advance)
    except StoreError as error:
        what = without_advice(error)
        if what == str(error):
            raise
        raise StoreError(f"{what} and cannot be checked: {_NO_STORE}") from error


def _is_clean(place: Place) -> bool:
    try:
        return _checked(place).is_clean
    except StoreUnavailableError:
        raise
    except StoreError:
        if is_encrypted(place.data):  # nobody can read around its damage: why it does not open
            raise
        return False


def _show(report: FsckReport) -> None:
    for problem in report.problems:
        hint(shown(problem))
    if report.problem_count > len(report.problems):
        hint(f"and {report.problem_count - len(report.problems):,} more problems")
    held = [count(report.events, "event"), count(report.feeds, "feed"), count(report.cuts, "cut")]
    held += [count(report.records, "record"), f"{report.conflicts:,} of them in conflict"]
    say(", ".join(held))
    if report.unsigned:
        say(f"{count(report.unsigned, 'event')} of this device to be signed when it next opens")
    if report.held:
        say(f"{count(report.held, 'event')} held: stamped in the future, to count then")
    if report.excluded:
        say(f"{count(report.excluded, 'event')} kept out of the view: see `meshlog members`")
    for fork in report.forks:
        say(f"forked, both branches kept: {shown(fork)}")
    for event_id, reason in report.unreadable:
        say(f"no view can read event {event_id.hex()[:8]}: {shown(reason)}")
    if report.unreadable_count > len(report.unreadable):
        say(f"and {report.unreadable_count - len(report.unreadable):,} more that no view can read")
    say(
        "Everything holds."
        if report.is_clean
        else f"{count(report.problem_count, 'problem')} found."
    )
