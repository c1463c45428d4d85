"""Words, tables and JSON on the screen.

Values come from anybody: what is shown of them is one line, cut to its column, and free of
anything that a terminal would obey. JSON is never cut, and escapes such things by itself.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import click
from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console

from meshlog.core.cbor import plain
from meshlog.core.identity import AuthorId
from meshlog.core.roster import Roster, label

COLUMN_WIDTH_MIN = 6
"""Cells; a column that would be narrower is not worth showing."""

GAP = "   "
"""Between two columns."""

_JOINERS = "\u200c\u200d"
"""Zero width (non-)joiner: Persian, Hindi and emoji are spelt with them; they move no cursor."""

_SHORT = 8
"""Hex digits of an id that people see."""


def console() -> Console:
    """Return a console on standard output: plain and 80 wide where it is not a terminal."""
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def styled(text: str, colour: str | None = None, *, bold: bool = False) -> str:
    """Return text that a terminal shows so; as it is where there is none, or a dumb one.

    Without the colour where ``$NO_COLOR`` is set (https://no-color.org).
    """
    screen = console()
    if not screen.is_terminal or screen.is_dumb_terminal:
        return text
    return click.style(text, fg=None if screen.no_color else colour, bold=bold or None)


def say(text: str = "") -> None:
    """Print a line; what is not for a terminal's eyes is left out."""
    click.echo(printable(text))


def hint(text: str) -> None:
    """Print a line beside the result, for people only."""
    click.echo(printable(text), err=True)


def say_json(value: object) -> None:
    """Print JSON: sorted keys, two spaces, bytes as hex."""
    click.echo(json_text(value))


def json_text(value: object) -> str:
    """Return JSON as the prompt and ``--json`` show it."""
    try:
        return json.dumps(value, indent=2, sort_keys=True, default=as_json, allow_nan=False)
    except ValueError:  # no event carries such a number; a statement in SQL can make one
        return json.dumps(finite(value), indent=2, sort_keys=True, default=as_json)


def finite(value: object) -> Any:  # noqa: ANN401 - the very value, numbers aside
    """Return a value with the numbers that JSON has no word for as text.

    Example:
        >>> finite({"a": [1.5, float("inf")], "b": float("-inf"), "c": float("nan")})
        {'a': [1.5, 'Infinity'], 'b': '-Infinity', 'c': 'NaN'}
    """
    match value:
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case list() | tuple():
            return [finite(item) for item in value]
    return value


def as_json(value: object) -> Any:  # noqa: ANN401 - whatever json.dumps can take
    """Return what JSON can say of a value that it cannot: bytes as hex, tuples as lists."""
    return value.hex() if isinstance(value, bytes) else plain(value)


def printable(text: str) -> str:
    """Return ``text`` with its control characters replaced; line ends stay, spaces are plain."""
    if text.isprintable():
        return text
    return "".join(map(_printable, text))


def _printable(char: str) -> str:
    if char.isprintable() or char == "\n" or char in _JOINERS:
        return char
    return " " if unicodedata.category(char) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def shown(value: object) -> str:
    """Return a value as people read it, on one line."""
    match value:
        case str():
            return printable(value.replace("\r\n", " ").replace("\n", " "))
        case bytes():
            return value.hex()
        case float():  # one that is not finite, too: a statement in SQL can make it
            return json.dumps(value)
        case _:
            return json.dumps(plain(value), ensure_ascii=False, default=as_json)


def cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells, with an ellipsis where it is longer."""
    if cell_len(text) <= width:
        return text
    if text.isascii():
        return text[: max(width - 1, 1)] + "…"
    return next(iter(chop_cells(text, max(width - 1, 1))), "") + "…"


def show_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    width_max: int = 32,
    *,
    whole: Sequence[str] = (),
) -> None:
    """Print a table within the width of the screen; long cells are cut, none is wrapped.

    Rich measures the cells and knows the screen; its own tables take a millisecond a row.

    Args:
        headers: One per column.
        rows: Cells as ``shown`` returns them.
        width_max: Cells that a column may take while others are short of room.
        whole: Headers of columns that say nothing when they are cut, as times do: the last to be.
    """
    screen = console()
    room = screen.width - len(GAP) * (len(headers) - 1)
    columns = zip(headers, *rows, strict=True)
    wanted = [max(map(cell_len, column)) for column in columns]
    widths = fit(wanted, room, width_max, [name in whole for name in headers])
    rule = "─" if screen.encoding.startswith("utf") else "-"
    head = _table_line(headers, widths)
    click.echo(styled(head, bold=True))
    click.echo(rule * (sum(widths) + len(GAP) * (len(widths) - 1)))
    click.echo("\n".join(_table_line(row, widths) for row in rows))


def that_fit(headers: Sequence[str], rows: Sequence[Sequence[str]], width_max: int) -> int:
    """Return how many columns from the first on fit the screen, at least two if there are."""
    room = console().width
    for number, column in enumerate(zip(headers, *rows, strict=True)):
        room -= min(max(map(cell_len, column)), width_max) + (len(GAP) if number else 0)
        if room < 0:
            return min(max(number, 2), len(headers))
    return len(headers)


def _table_line(cells: Sequence[str], widths: Sequence[int]) -> str:
    fitted = (
        set_cell_size(cut(cell, width), width) for cell, width in zip(cells, widths, strict=True)
    )
    return GAP.join(fitted).rstrip()


def fit(wanted: Sequence[int], room: int, width_max: int, whole: Sequence[bool] = ()) -> list[int]:
    """Return the widths that columns get: what they want, or the widest give way first.

    Those that are to stay ``whole`` give way when no other can.

    Example:
        >>> fit([4, 50, 20], 40, 32), fit([4, 50], 80, 32)
        ([4, 18, 18], [4, 50])
        >>> fit([16, 50, 20], 40, 32, [True, False, False])
        [16, 12, 12]
    """
    if sum(wanted) <= room:
        return list(wanted)
    widths = [min(width, width_max) for width in wanted]
    stays = [any(whole[index : index + 1]) for index in range(len(widths))]
    for some in (False, True):
        columns = [index for index, stay in enumerate(stays) if stay is some]
        while sum(widths) > room and any(widths[index] > COLUMN_WIDTH_MIN for index in columns):
            widths[max(columns, key=lambda index: (widths[index], index))] -= 1
    return widths


def when(wall_ms: int) -> str:
    """Return a wall time as the device's own zone has it, to the minute."""
    try:
        return dt.datetime.fromtimestamp(wall_ms / 1_000).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return f"{wall_ms} ms"


def ago(delay_ms: float) -> str:
    """Return how long ago something was, in its largest unit.

    Example:
        >>> ago(900), ago(61_000), ago(3 * 86_400_000)
        ('just now', '1 min ago', '3 d ago')
    """
    for unit, size_ms in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if delay_ms >= size_ms:
            return f"{int(delay_ms // size_ms)} {unit} ago"
    return "just now"


def duration(delay_s: float) -> str:
    """Return how long something takes, in its largest unit.

    Example:
        >>> duration(0.2), duration(95), duration(9_000)
        ('1 s', '1.6 min', '2.5 h')
    """
    for unit, size_s in (("h", 3_600), ("min", 60)):
        if delay_s >= 1.5 * size_s:
            return f"{delay_s / size_s:.2g} {unit}"
    return f"{max(delay_s, 1):.0f} s"


def size(size_bytes: float) -> str:
    """Return a number of bytes as people read it.

    Example:
        >>> size(950), size(14_200)
        ('950 B', '14.2 kB')
    """
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= step:
            return f"{size_bytes / step:.1f} {unit}"
    return f"{size_bytes:.0f} B"


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: ``1 record``, ``2 records``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(author: bytes) -> str:
    """Return an id as people see it: ``<3f2a91c4>``."""
    return f"<{author.hex()[:_SHORT]}>"


def named(roster: Roster, author: bytes) -> str:
    """Return what people call an author; an author without a name is ``<3f2a91c4>``."""
    name = label(roster, AuthorId(author))
    return short(author) if name == author.hex() else printable(name)


def named_fully(roster: Roster, author: bytes) -> str:
    """Return an author's name and short id: ``base <3f2a91c4>``."""
    name = named(roster, author)
    return name if name.startswith("<") else f"{name} {short(author)}"
