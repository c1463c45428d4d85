"""The prompt of a running node: view, front, status, quit."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import click

from meshlog.cli.output import json_text
from meshlog.cli.status import show_status
from meshlog.errors import MeshlogError

if TYPE_CHECKING:
    from meshlog.node import Node

_HELP = """\
view    the records, as JSON
front   how many events are held of each author
status  this device, who is in reach, and what they lack
quit    stop the node"""


def serve_prompt(node: Node) -> None:
    """Read commands from standard input until quit, its end, Ctrl-C or SIGTERM."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while True:
            words = input("> ").strip().lower()
            if words in ("quit", "exit"):
                return
            if words:
                _obey(node, words)
    except (EOFError, KeyboardInterrupt):
        click.echo()


def _obey(node: Node, words: str) -> None:
    try:
        match words:
            case "view":
                click.echo(json_text(node.view()))
            case "front":
                click.echo(json.dumps(node.frontier(), sort_keys=True))
            case "status":
                show_status(node.status())
            case "help" | "?":
                click.echo(_HELP)
            case _:
                click.echo("commands:  view | front | quit | status | help")
    except MeshlogError as error:
        click.echo(f"meshlog: {error}", err=True)
