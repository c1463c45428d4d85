"""The program: its commands, loaded when they are called for, and its way to the exit."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from meshlog.cli.command import CONTEXT
from meshlog.cli.errors import guarded

_COMMANDS = {
    "init": "dataset",
    "join": "dataset",
    "invite": "dataset",
    "rotate-key": "keys",
    "members": "members",
    "revoke": "members",
    "readmit": "members",
    "rotate": "members",
    "run": "run",
    "put": "write",
    "set": "write",
    "note": "write",
    "delete": "write",
    "import": "transfer",
    "export": "transfer",
    "bundle": "bundle",
    "backup": "backup",
    "forms": "forms",
    "view": "read",
    "query": "query",
    "conflicts": "conflicts",
    "watch": "watch",
    "history": "trace",
    "log": "trace",
    "status": "status",
    "forks": "forks",
    "clock": "clock",
    "fsck": "check",
    "doctor": "doctor",
    "demo": "demo",
    "sim": "sim",
}
"""Command: the module of this package that has it, in the order in which people need them."""


class Program(click.Group):
    """Knows its commands by name; loads each when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all commands, in the order in which people need them."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of this name."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"meshlog.cli.{_COMMANDS[cmd_name]}")
        found = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(found, click.Command), "each name above is a command"
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words name; suggest the nearest where none is."""
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, _COMMANDS, n=2)
            hint = f": did you mean {' or '.join(near)}?" if near else ": see `meshlog --help`"
            raise click.UsageError(f"there is no command {name!r}{hint}")
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        import importlib.metadata

        try:
            version = importlib.metadata.version("meshlog")
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            version = "(not installed)"
        click.echo(f"meshlog {version}")
        ctx.exit()


@click.group(cls=Program, context_settings=CONTEXT, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def program(ctx: click.Context) -> None:
    """Keep one dataset with your team, without a server, over Reticulum mesh radio.

    Every device holds all of it and works while cut off; devices that meet bring each other
    up to date. Start with `meshlog init`, or with `meshlog join` where somebody invites you.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 done and fault was found, 2 could not.

    Args:
        argv: The words after ``meshlog``; those of the process by default.
    """
    _fill_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks letters gets escapes
            with contextlib.suppress(ValueError, OSError):
                stream.reconfigure(errors="backslashreplace")
    sys.exit(guarded(program, argv))


def _fill_streams() -> None:
    """Stand in for what was closed before we began, as for a job in the background: nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stand_in = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - till the end
            setattr(sys, name, stand_in)
