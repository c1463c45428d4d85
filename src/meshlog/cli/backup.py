"""backup: the store in one file, while everything goes on."""

from __future__ import annotations

from pathlib import Path

import click

from meshlog.cli.command import Place, command, json_option, store_options
from meshlog.cli.output import count, hint, say, say_json, size
from meshlog.cli.progress import progress
from meshlog.cli.stores import known_identity, reading
from meshlog.errors import InputError
from meshlog.store import load_identity, save_identity
from meshlog.store.passphrase import is_encrypted, passphrase_for
from meshlog.tools.backup import backup


@command(
    "backup",
    example="""
        meshlog backup /media/stick/base-2026-11-25.db
        meshlog backup /var/backups/meshlog.db --replace
    """,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Write over an earlier backup.")
@click.option(
    "--with-identity",
    is_flag=True,
    help="Put this device's identity beside it: whoever has both is this device.",
)
@json_option("Print what was written as JSON.")
@store_options
def backup_command(
    place: Place, file: Path, replace: bool, with_identity: bool, as_json: bool
) -> None:
    """Write a backup of the store, checked, while a node runs.

    FILE appears whole or not at all. It holds the data and the dataset's key: keep it as
    safe as the device. Put in the place of the store it goes on as a new life of the device;
    `fsck --repair-from FILE` takes from it what another store lacks.
    """
    private = known_identity(place).private if with_identity else None
    beside = Path(f"{file}.identity")
    if private is not None and load_identity(beside) not in (None, private):
        raise InputError(f"{beside} is another identity: name another file")
    with reading(place) as read:
        dataset = read.roster.dataset
    with progress("checking the copy, steps") as advance:
        report = backup(place.data, file, dataset, replace=replace, progress=advance)
    if private is not None:
        save_identity(beside, private, passphrase_for(file) if is_encrypted(file) else None)
    size_bytes = file.stat().st_size
    if as_json:
        facts = {"events": report.events, "records": report.records, "size_bytes": size_bytes}
        say_json({**facts, "file": str(file), "identity": str(beside) if private else None})
        return
    held = f"{count(report.events, 'event')}, {count(report.records, 'record')}"
    say(f"{file}: {held}, {size(size_bytes)}; every hash and signature holds.")
    if private is None:
        hint("This device's identity is not in it; --with-identity puts it beside.")
    else:
        hint(f"{beside} is this device: never let two devices run with it at once.")
