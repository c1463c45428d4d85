"""fsck: prove that the store holds what its authors wrote, and shows what it says."""

from __future__ import annotations

from dataclasses import asdict

import click

from meshlog.cli.command import Place, command, json_option, store_options
from meshlog.cli.output import count, hint, say, say_json, shown
from meshlog.cli.progress import progress
from meshlog.cli.stores import dataset_of, open_alone
from meshlog.errors import StoreError
from meshlog.store import SqliteStore
from meshlog.tools.fsck import FsckReport, fsck, rebuild_view

_NO_STORE = (
    "put a backup in its place, or join again in a new store: the others still have the data"
)


@command("fsck", example="meshlog fsck\nmeshlog fsck --rebuild")
@click.option(
    "--rebuild",
    is_flag=True,
    help="First make the view again from the events; needs the node stopped.",
)
@json_option("Print the report as JSON.")
@store_options
def fsck_command(place: Place, rebuild: bool, as_json: bool) -> int:
    """Check the whole store.

    Reads the file, every hash and signature, and holds the view against the events.
    Changes nothing without --rebuild. The exit code is 1 where something is wrong.
    """
    if rebuild:
        if not place.data.exists():
            raise StoreError(f"{place.data} does not exist: name another file with --data")
        own = open_alone(place.data)
        try:
            rebuild_view(own, dataset_of(own, place.data))
        finally:
            own.close()
    store = _opened(place)
    try:
        with progress("checking, steps") as advance:
            report = fsck(store, dataset_of(store, place.data), advance)
    finally:
        store.close()
    if as_json:
        skipped = [
            {"event": event_id.hex(), "reason": reason} for event_id, reason in report.unreadable
        ]
        say_json({**asdict(report), "unreadable": skipped, "is_clean": report.is_clean})
    else:
        _show(report)
    return 0 if report.is_clean else 1


def _opened(place: Place) -> SqliteStore:
    try:
        return SqliteStore(place.data, read_only=True)
    except StoreError as error:
        advice = ": run `meshlog fsck`"
        if str(error).endswith(advice):
            what = str(error).removesuffix(advice)
            raise StoreError(f"{what} and cannot be opened: {_NO_STORE}") from error
        raise


def _show(report: FsckReport) -> None:
    for problem in report.problems:
        hint(shown(problem))
    if report.problem_count > len(report.problems):
        hint(f"and {report.problem_count - len(report.problems):,} more problems")
    held = [count(report.events, "event"), count(report.feeds, "feed"), count(report.cuts, "cut")]
    held += [count(report.records, "record"), f"{report.conflicts:,} of them in conflict"]
    say(", ".join(held))
    if report.unsigned:
        say(f"{count(report.unsigned, 'event')} of this device to be signed before leaving it")
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
