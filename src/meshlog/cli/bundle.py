"""bundle: the dataset on a stick or a card, for devices that never meet."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom

import click

from meshlog.cli.command import TEXT, Place, command, family, json_option, stampless, store_options
from meshlog.cli.output import count, hint, say, say_json, shown, size
from meshlog.cli.progress import interruptible, progress
from meshlog.cli.session import writing
from meshlog.cli.stores import Reading, known_identity, reading
from meshlog.core.bundlefile import MAGIC
from meshlog.core.grant import DATASET_KEY_SIZE
from meshlog.core.identity import AuthorId, Identity
from meshlog.core.roster import label
from meshlog.errors import InputError, StoreError
from meshlog.tools.bundle.exporting import Exported, Since, export_bundle
from meshlog.tools.bundle.importing import BundleReport, check_bundle, import_bundle
from meshlog.tools.bundle.reading import read_summary
from meshlog.tools.taking import NameOf
from meshlog.tools.wholefile import written_whole

FAULTS_SHOWN = 20

_AGO = re.compile(r"([0-9]{1,4})([dh])")
_HOURS = {"d": 24, "h": 1}


@family(
    "bundle",
    example="""
        meshlog bundle export /media/stick/base.bundle
        meshlog bundle import /media/stick/team_a.bundle
    """,
)
def bundle_command() -> None:
    """Carry the dataset on a stick or a card.

    A bundle holds the same signed events as the radio carries, sealed for members. Carried
    both ways it keeps devices in step that never meet.
    """


@command(
    "export",
    example="""
        meshlog bundle export /media/stick/base.bundle
        meshlog bundle export news.bundle --since /media/stick/team_a.bundle
        meshlog bundle export news.bundle --since 3d
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--since",
    type=TEXT,
    metavar="WHEN",
    help="A bundle, of this device or of the one that this goes to; 3d or 12h; or a date."
    "  [default: everything]",
)
@json_option("Print what was written as JSON.")
@store_options
def export_command(place: Place, file: Path, since: str | None, as_json: bool) -> None:
    """Write what this device holds to FILE.

    Since a bundle: what its writer did not hold. Since a time: what came to this device
    from then on. FILE appears whole or not at all; only members can read it.
    """
    now_ms = time.time_ns() // 1_000_000
    _check_not_other(file)
    with reading(place) as read:
        point = _since(read, since, now_ms, known_identity(place))
        with (
            written_whole(file) as out,
            progress(f"writing {file.name}, events") as advance,
            interruptible(advance) as checked,
        ):
            done = export_bundle(
                read.store,
                read.ledger,
                AuthorId(read.store.get_meta("author") or b""),
                keys_of(read)[0],
                out,
                since=point,
                now_ms=now_ms,
                rng=SystemRandom(),
                progress=checked,
            )
    size_bytes = file.stat().st_size
    if as_json:
        say_json({**asdict(done), "file": str(file), "size_bytes": size_bytes})
    else:
        _show_export(file, done, size_bytes)


def _show_export(file: Path, done: Exported, size_bytes: int) -> None:
    say(f"{file}: {count(done.events, 'event')} of {count(done.feeds, 'feed')}, {size(size_bytes)}")
    if done.unsigned:
        hint(f"{count(done.unsigned, 'event')} stayed here: no signature covers them yet")
    say("On the other device:  meshlog bundle import FILE")


@command("import", example="meshlog bundle import /media/stick/base.bundle")
@click.argument("file", type=click.Path(path_type=Path))
@json_option("Print the report as JSON.")
@store_options
def import_command(place: Place, file: Path, as_json: bool) -> int:
    """Bring in what a bundle carries.

    Every event is verified as if it had come by radio. What is torn or forged is named, the
    rest is taken; the exit code is 1 then. Bringing in the same file again changes nothing.
    """
    _check_file(file)
    with reading(place) as read:
        dataset, keys, name_of = read.roster.dataset, keys_of(read), names_of(read)
    with (
        writing(stampless(place)) as writer,
        progress(f"importing {file.name}, bytes") as advance,
        interruptible(advance) as checked,
    ):
        report = import_bundle(
            file, dataset, keys, writer.ingest, name_of, checked, known_identity(place)
        )
    if as_json:
        say_json(_public(report))
    else:
        parts = [f"{count(report.events, 'new event')}", f"{report.known:,} segments known before"]
        say(f"{file}: {', '.join(parts)}")
        show_faults(file, report)
    return 0 if report.is_clean else 1


@command("show", example="meshlog bundle show /media/stick/base.bundle")
@click.argument("file", type=click.Path(path_type=Path))
@json_option("Print it as JSON.")
@store_options
def show_command(place: Place, file: Path, as_json: bool) -> int:
    """Say what a bundle is and whether it is whole.

    Takes nothing. The exit code is 1 where something of it is torn or was changed.
    """
    _check_file(file)
    with reading(place) as read:
        report = check_bundle(file, read.roster.dataset, keys_of(read), known_identity(place))
        name_of = names_of(read)
    if as_json:
        say_json(_public(report))
        return 0 if report.is_clean else 1
    about = report.about
    if about is not None:
        when = dt.datetime.fromtimestamp(about.at_ms / 1_000).astimezone()
        say(f"written by {shown(name_of(about.author))}, {when:%Y-%m-%d %H:%M}")
        say(f"held       {count(about.events, 'event')} there")
        say(f"carries    {'all of them' if about.is_whole else 'what was new since a point'}")
    say(f"segments   {report.segments:,}")
    show_faults(file, report)
    if report.is_clean:
        say("It is whole.")
    return 0 if report.is_clean else 1


for _one in (export_command, import_command, show_command):
    bundle_command.add_command(_one)


def keys_of(read: Reading) -> list[bytes]:
    """Return the keys of the dataset that this device has, the latest first."""
    key, later = read.store.get_meta("key"), read.store.get_meta("keys") or b""
    if key is None:
        raise StoreError("the store has lost its dataset's key: see `meshlog fsck`")
    sizes = range(0, len(later) - DATASET_KEY_SIZE + 1, DATASET_KEY_SIZE)
    return list(dict.fromkeys([*(later[at : at + DATASET_KEY_SIZE] for at in sizes), key]))


def names_of(read: Reading) -> NameOf:
    """Return what says what people call an author."""
    roster = read.roster
    return lambda author: label(roster, author)


def _public(report: BundleReport) -> dict[str, object]:
    return {
        **asdict(report),
        "refusals": [refusal._asdict() for refusal in report.refusals],
        "is_clean": report.is_clean,
    }


def show_faults(file: Path, report: BundleReport) -> None:
    """Say what was wrong with a bundle file."""
    for damage in report.damages[:FAULTS_SHOWN]:
        hint(f"{file}, from byte {damage.at_bytes:,}: {damage.what}")
    if report.damage_count > FAULTS_SHOWN:
        hint(f"and {report.damage_count - FAULTS_SHOWN:,} more such places")
    if report.missing:
        hint(f"{file}: {count(report.missing, 'part')} of it could not be read")
    for refusal in report.refusals[:FAULTS_SHOWN]:
        hint(f"{file}, {refusal.where}: {shown(refusal.what)}")
    if report.refused:
        hint(f"{count(report.refused, 'segment')} refused, nothing of them was taken")
    if report.waiting:
        hint(
            f"{count(report.waiting, 'segment')} left out: bring in an earlier bundle first,"
            " or a whole one, and then this one again"
        )
    if report.is_torn:
        hint(f"{file} is torn: its end is missing; have it written again where that can be")


def _check_file(file: Path) -> None:
    if file.is_dir():
        raise InputError(f"{file} is a folder: name the bundle in it")
    if not file.exists():
        raise InputError(f"{file} does not exist: check the name, or mount the stick")


def _check_not_other(file: Path) -> None:
    """Never write over what is no bundle: a slip of the hand costs no store."""
    if not file.is_file() or file.stat().st_size == 0:
        return
    with file.open("rb") as there:
        if there.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{file} is there already and is no bundle: choose another name")


def _since(read: Reading, text: str | None, now_ms: int, identity: Identity) -> Since:
    """Return from where on to export, as the person said it."""
    if text is None or text == "all":
        return Since()
    path = Path(text)
    if path.is_file():
        summary = read_summary(path, read.roster.dataset, keys_of(read), identity)
        if summary.frontier is None:
            raise InputError(f"{path} does not say what its writer held: export without --since")
        return Since(frontier=summary.frontier)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return Since(arrived_ms=now_ms - int(ago[1]) * _HOURS[ago[2]] * 3_600_000)
    try:
        when = dt.datetime.fromisoformat(text).astimezone()
        return Since(arrived_ms=max(int(when.timestamp() * 1_000), 0))
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{text!r} is neither a bundle nor a time: say 3d, 12h or 2026-11-20"
        ) from error
