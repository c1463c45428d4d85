"""run: a node on this device, with a prompt or as a service."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from meshlog.cli.command import PERCENT, SECONDS, TEXT, Place, command, store_options
from meshlog.cli.logs import watch_quietly, write_log
from meshlog.cli.output import hint, shown
from meshlog.cli.values import Item, checked
from meshlog.errors import InputError
from meshlog.sync.policy import Policy
from meshlog.tools.rows.cells import value_of

if TYPE_CHECKING:
    from meshlog.node import Node


@command(
    "run",
    example="""
        meshlog run
        meshlog run --name base --data base.db --create R-100 site --set R-100 status OPENED
        meshlog run --service -v
        meshlog run --duty-cycle 10 --urgent medevac.request
        meshlog run --service --log-format json --metrics 127.0.0.1:9464
    """,
)
@click.option("--name", type=TEXT, help="What this device is called, in a new store.")
@click.option(
    "--configdir",
    "--rnsconfig",
    metavar="DIR",
    help="Reticulum's configuration directory.  [default: Reticulum's own]",
)
@click.option(
    "--gossip-interval",
    type=SECONDS,
    metavar="SECONDS",
    help="Before a failed sync is tried again; doubles each time.  [default: 10]",
)
@click.option(
    "--announce-interval",
    type=SECONDS,
    metavar="SECONDS",
    help="Between announces while alone.  [default: as the medium allows]",
)
@click.option(
    "--duty-cycle",
    type=PERCENT,
    default=100.0,
    metavar="PERCENT",
    help="Of every hour, how much broadcasts may take; 1 or 10 in EU868.  [default: no limit]",
)
@click.option(
    "--urgent",
    multiple=True,
    type=TEXT,
    metavar="KIND",
    help="A kind of event that never waits for company on the air; may be repeated.",
)
@click.option(
    "--create", nargs=2, multiple=True, type=TEXT, metavar="RECORD FORM", help="Create a record."
)
@click.option(
    "--set",
    "fields",
    nargs=3,
    multiple=True,
    type=TEXT,
    metavar="RECORD FIELD VALUE",
    help="Write a field.",
)
@click.option(
    "--note", "notes", nargs=2, multiple=True, type=TEXT, metavar="RECORD TEXT", help="Add a note."
)
@click.option("-s", "--service", is_flag=True, help="No prompt: log to standard error.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="One line per event, or one JSON object.",
)
@click.option(
    "--log-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Log there instead of to standard error.",
)
@click.option(
    "--metrics",
    metavar="ADDRESS:PORT",
    help="Serve figures for Prometheus there, e.g. 127.0.0.1:9464.",
)
@click.option("-v", "--verbose", count=True, help="Log more; twice for everything.")
@click.option("-q", "--quiet", count=True, help="Log less.")
@click.option("--no-radio", is_flag=True, hidden=True, help="Serve this device's programs only.")
@store_options
def run_command(
    place: Place,
    *,
    name: str | None,
    configdir: str | None,
    gossip_interval: float | None,
    announce_interval: float | None,
    duty_cycle: float,
    urgent: Sequence[str],
    create: Sequence[tuple[str, str]],
    fields: Sequence[tuple[str, str, str]],
    notes: Sequence[tuple[str, str]],
    service: bool,
    log_format: str,
    log_file: Path | None,
    metrics: str | None,
    verbose: int,
    quiet: int,
    no_radio: bool,
) -> None:
    """Run a node: keep in step with whoever is in reach.

    A prompt takes view, front, status and quit. Other commands on the same store work as
    ever meanwhile. With --data naming a new file, the store is made in the open dataset,
    which everybody may read and write; for your own team use `meshlog init`.
    """
    first = _first(create, fields, notes)
    seeded = bool(first or name or gossip_interval)
    write_log(verbose - quiet, service=service, as_json=log_format == "json", file=log_file)
    serve_metrics = _metrics(metrics)
    if not no_radio:
        from meshlog.transport.reticulum import load_rns

        load_rns()
    from meshlog.cli.home import Radio, opened_home, running

    radio = None if no_radio else Radio(configdir, announce_interval)
    with ExitStack() as stack:
        home = stack.enter_context(opened_home(place, name, seeded=seeded))
        policy = _policy(gossip_interval, duty_cycle, urgent)
        node = stack.enter_context(running(home, radio, policy, first))
        if serve_metrics is not None:
            stack.enter_context(serve_metrics(node, home.path))
        stop = _stopped_by_signal() if service else None
        how = "over Reticulum" if radio else "without a radio"
        author = home.identity.author.hex()
        click.echo(f"meshlog node {shown(node.author)!r} <{author}> running {how}.")
        if stop is None and (doubt := node.clock_status()["doubt"]):
            hint(f"{doubt}: set the clock (see `timedatectl`)")
        if stop is not None:
            watch_quietly(node, stop)
        else:
            from meshlog.cli.prompt import serve_prompt

            click.echo("commands:  view | front | quit | status | help")
            serve_prompt(node)


def _metrics(
    text: str | None,
) -> Callable[[Node, Path | None], AbstractContextManager[object]] | None:
    """Return what serves metrics where the person asked for it.

    Raises:
        InputError: Not an address and a port, or the library for it is not installed.
    """
    if text is None:
        return None
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 2**16 or not address:
        raise InputError(f"{text!r} is no address and port: say 127.0.0.1:9464")
    from meshlog.daemon.metrics import check_installed, served

    check_installed()
    if not is_loopback(address):
        hint(f"metrics on {address}: whoever reaches that port reads them, without a password")
    return lambda node, path: served(node, path, address.strip("[]"), int(port))


def is_loopback(address: str) -> bool:
    """Say whether only this machine reaches an address."""
    return address == "localhost" or address.startswith("127.") or address == "[::1]"


def _policy(gossip_interval_s: float | None, duty_cycle: float, urgent: Sequence[str]) -> Policy:
    """Return how eager to sync, as the flags say."""
    policy = Policy(duty_cycle=duty_cycle / 100)
    if urgent:
        policy = replace(policy, urgent_kinds=policy.urgent_kinds | set(urgent))
    if gossip_interval_s is not None:
        policy = replace(policy, retry_ms=max(round(gossip_interval_s * 1_000), 1))
    return policy


def _first(
    create: Sequence[tuple[str, str]],
    fields: Sequence[tuple[str, str, str]],
    notes: Sequence[tuple[str, str]],
) -> list[Item]:
    """Return what the flags write, in the predecessor's order."""
    creates = [{"record_id": record, "form": form} for record, form in create]
    sets = [{"record_id": r, "field": field, "value": value_of(v)} for r, field, v in fields]
    texts = [{"record_id": record, "text": text} for record, text in notes]
    return (
        [checked("record.create", payload) for payload in creates]
        + [checked("field.set", payload) for payload in sets]
        + [checked("note.add", payload) for payload in texts]
    )


def _stopped_by_signal() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set; called after Reticulum set its handlers."""
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask_to_stop)
    return stop
