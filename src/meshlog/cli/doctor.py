"""doctor: what keeps this device from working, a line each, and what to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from meshlog.cli.command import Place, command, json_option, store_options
from meshlog.cli.output import printable, say_json, styled
from meshlog.daemon.client import connect
from meshlog.errors import MeshlogError
from meshlog.tools.checkup.device import (
    Finding,
    Level,
    check_clock,
    check_disk,
    check_identity,
    check_permissions,
    check_versions,
    ok,
    warn,
)
from meshlog.tools.checkup.radio import check_interfaces, check_reticulum
from meshlog.tools.checkup.store import check_store, latest_ms

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.BAD: "red"}


@command("doctor", example="meshlog doctor")
@click.option(
    "--configdir",
    metavar="DIR",
    help="Reticulum's configuration directory.  [default: Reticulum's own]",
)
@json_option("Print the findings as JSON.")
@store_options
def doctor_command(place: Place, configdir: str | None, as_json: bool) -> int:
    """Look for what keeps this device from working.

    Clock, disk, files, store, members, Reticulum: a line each, and what to do. Changes
    nothing. The exit code is 1 where something is bad.
    """
    findings = list(examine(place, configdir))
    is_bad = any(finding.level is Level.BAD for finding in findings)
    if as_json:
        say_json({"findings": [one._asdict() for one in findings], "is_bad": is_bad})
        return int(is_bad)
    for finding in findings:
        _show(finding)
    return int(is_bad)


def examine(place: Place, configdir: str | None) -> Iterator[Finding]:
    """Yield what is found, the ground first."""
    yield from check_versions()
    yield from check_clock(time.time_ns() // 1_000_000, latest_ms(place.data))
    yield from check_disk(place.data.absolute().parent)
    yield from check_store(place.data)
    if place.data.exists():
        yield from check_permissions(place.data, place.identity)
        yield from check_identity(place.identity)
    yield from check_reticulum(configdir)
    yield from _check_node(place)


def _check_node(place: Place) -> Iterator[Finding]:
    client = connect(place.data)
    if client is None:
        yield warn("node", "none runs on this store", "meshlog run keeps this device in step")
        return
    try:
        with client:
            status = client.status()
    except MeshlogError as error:
        yield warn("node", str(error), "see its log, or start it again")
        return
    yield ok("node", f"it runs, and knows {len(status['peers'])} peers")
    yield from check_interfaces(status)
    for key in ("doubt", "disagreement"):
        if status["clock"][key]:
            yield warn("clock", status["clock"][key], "compare it with the others")


def _show(finding: Finding) -> None:
    is_bold = finding.level is not Level.OK
    mark = styled(f"{finding.level:<5}", _COLOURS[finding.level], bold=is_bold)
    click.echo(f"{mark} {finding.subject:<10} {printable(finding.text)}")
    if finding.advice:
        click.echo(f"{'':<16} → {printable(finding.advice)}")
