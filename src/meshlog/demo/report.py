"""What the demo shows at its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from meshlog.demo.device import Holding
from meshlog.demo.field import Carried
from meshlog.demo.screen import Screen


def show_holdings(
    screen: Screen,
    before: Mapping[str, Holding],
    after: Mapping[str, Holding],
    sizes_bytes: Mapping[str, int],
) -> None:
    """Print what each device held before the meetings and after them."""
    table = _table("device", "own", "others'", "records", "", "others'", "records", "store")
    for name, then in before.items():
        now = after[name]
        held = [*map(_number, then), "→", *map(_number, (now.others, now.records))]
        held.append(f"{sizes_bytes[name] / 1000:,.0f} kB")
        table.add_row(name, *held)
    screen.say(
        "What each device held while cut off, and at the end (own events, others', records):"
    )
    screen.console.print(table)


def show_conflict(screen: Screen, conflict: Mapping[str, Any]) -> None:
    """Print the concurrent edit: what is shown, and what is kept beside it."""
    screen.say(
        f"Both teams wrote {conflict['field']!r} of {conflict['record_id']!r} while cut off. The"
        " later one is shown, the other is kept:"
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for word, write in [
        ("winner", conflict["shown"]),
        *(("loser", one) for one in conflict["beside"]),
    ]:
        when = datetime.fromtimestamp(write["stamp"][0] / 1000).astimezone()
        table.add_row(
            f"  {word}",
            Text(repr(write["value"])),
            Text(f"by {write['name']}"),
            f"at {when:%H:%M:%S}.{when.microsecond // 1000:03d}",
        )
    screen.console.print(table)
    screen.say()


def show_air(screen: Screen, carried: Mapping[str, Carried], events: int, row_bytes: float) -> None:
    """Print what each link carried; every event crossed each of them once."""
    table = _table("link", "to base", "to team", "both", "per event")
    for team, some in carried.items():
        both = some.to_base + some.to_team
        cells = [*map(_number, (*some, both)), f"{both / events:,.0f}"]
        table.add_row(f"base – {team}", *cells)
    screen.say(
        f"Bytes on the air, Reticulum's own included ({events:,} events crossed each link;"
        f" a row of the file has {row_bytes:,.0f}):"
    )
    screen.console.print(table)


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for one in others:
        table.add_column(one, justify="right", no_wrap=True)
    return table


def _number(value: int) -> str:
    return f"{value:,}"
