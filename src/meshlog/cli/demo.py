"""demo: the main job on this machine, in three processes that never all meet."""

from __future__ import annotations

from pathlib import Path

import click

from meshlog.cli.command import command


@command("demo", example="meshlog demo\nmeshlog demo --rows survey.csv")
@click.option(
    "--rows", type=click.Path(path_type=Path), envvar="DEMO_ROWS", metavar="FILE",
    help="A CSV file to collect instead of the built-in survey.  [also: $DEMO_ROWS]",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the folder with stores and logs, and say where.")
@click.pass_context
def demo_command(ctx: click.Context, rows: Path | None, keep: bool) -> None:
    """Let three devices that never all meet agree.

    Each is a process of its own with its own Reticulum, on this machine.
    """
    from meshlog.demo import main

    ctx.exit(main(rows=rows, keep=keep))
