"""How every command is made: help with an example, and the options that all of them have."""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

from meshlog.cli.passphrase import Asker
from meshlog.store.passphrase import VARIABLE, provide

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 80}

PERCENT_MIN = 0.1
SECONDS_MAX = 604_800
"""A week."""

_NEGATIVE = re.compile(r"-\.?[0-9]")

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._example = example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take negative numbers as values: options here begin with letters."""
        words = args[: args.index("--")] if "--" in args else args
        if any(_NEGATIVE.match(word) for word in words):
            ctx.ignore_unknown_options = True
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        super().format_epilog(ctx, formatter)
        _write_example(self._example, formatter)


class Family(click.Group):
    """A command that has commands of its own; its help ends with an example, too.

    ``usual`` names the one that is meant where the first word names none.
    """

    def __init__(self, *args: Any, example: str = "", usual: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._example = example
        self._usual = usual

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Ask in one sentence which of its commands is meant, where none is named."""
        own = {*self.list_commands(ctx), *ctx.help_option_names}
        if self._usual and (not args or args[0] not in own):
            args = [self._usual, *args]
        if not args and not self.invoke_without_command:
            words = ", ".join(self.list_commands(ctx))
            raise click.UsageError(f"say which: {words}", ctx)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        super().format_epilog(ctx, formatter)
        _write_example(self._example, formatter)


def _write_example(example: str, formatter: click.HelpFormatter) -> None:
    with formatter.section("Example"):
        for line in example.strip().splitlines():
            formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of the function below; ``example`` is one line or a few."""
    return click.command(name, cls=Command, example=example, context_settings=CONTEXT)


def family(name: str, *, example: str, usual: str = "") -> Callable[[Callable[..., Any]], Family]:
    """Make a command that has commands of its own; see ``command`` and ``Family``."""
    return click.group(name, cls=Family, example=example, usual=usual, context_settings=CONTEXT)


class Place(NamedTuple):
    """Where a store and its identity are."""

    data: Path
    identity: Path
    named: bool
    """Whether the person named the store; otherwise it is the usual one."""
    identity_named: bool
    anyway: bool = False
    """Whether to write though this device's clock cannot be right."""
    asker: Asker = Asker(None)
    """Where the passphrase of an encrypted store comes from."""


def usual_data() -> Path:
    """Return the store that commands mean when none is named."""
    return Path("~/.meshlog/meshlog.db").expanduser()


def place_of(data: str | None, identity: str | None) -> Place:
    """Return where things are, given what the person named."""
    store = Path(data).expanduser() if data else usual_data()
    beside = Path(f"{store}.identity")
    keys = Path(identity).expanduser() if identity else beside
    return Place(store, keys, bool(data), bool(identity))


def store_options(function: F) -> F:
    """Give a command ``--data``, ``--identity``, ``--passphrase-file``; it receives ``place``."""

    @click.option(
        "--data", metavar="FILE", envvar="MESHLOG_DATA",
        help="The store.  [default: ~/.meshlog/meshlog.db, or $MESHLOG_DATA]",
    )  # fmt: skip
    @click.option(
        "--identity", metavar="FILE",
        help="This device's identity.  [default: the store's name and .identity]",
    )  # fmt: skip
    @click.option(
        "--passphrase-file", metavar="FILE", envvar=VARIABLE,
        help=f"Holds the passphrase of an encrypted store.  [default: ${VARIABLE}, or asked for]",
    )  # fmt: skip
    @functools.wraps(function)
    def with_place(
        *args: Any,
        data: str | None,
        identity: str | None,
        passphrase_file: str | None,
        **kwargs: Any,
    ) -> Any:  # noqa: ANN401
        asker = Asker(passphrase_file)
        provide(asker)
        return function(*args, place=place_of(data, identity)._replace(asker=asker), **kwargs)

    return cast(F, with_place)


def writing_options(function: F) -> F:
    """Give a command that writes ``store_options`` and ``--anyway``, which is in its ``place``."""

    @click.option(
        "--anyway", is_flag=True, help="Write though this device's clock cannot be right."
    )
    @store_options
    @functools.wraps(function)
    def with_anyway(*args: Any, place: Place, anyway: bool, **kwargs: Any) -> Any:  # noqa: ANN401
        return function(*args, place=place._replace(anyway=anyway), **kwargs)

    return cast(F, with_anyway)


def stampless(place: Place) -> Place:
    """Return a place to which nothing is written that bears a stamp: no clock is asked."""
    return place._replace(anyway=True)


class _Text(click.ParamType[str]):
    """Text that is text: bytes of another encoding are refused before anything is done."""

    name = "text"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever click has
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str:
        """Return the text."""
        text = str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("that is not UTF-8", param, ctx)
        return text


class _Percent(click.ParamType[float]):
    """A share of time, more than next to nothing."""

    name = "percent"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever click has
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the percent."""
        try:
            percent = float(value)
        except ValueError:
            percent = 0.0
        if not PERCENT_MIN <= percent <= 100:  # noqa: PLR2004 - nan is neither
            self.fail(f"that is no share from {PERCENT_MIN} to 100 percent", param, ctx)
        return percent


class _Seconds(click.ParamType[float]):
    """A time to wait: more than nothing, at most a week."""

    name = "seconds"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever click has
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the seconds."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds <= SECONDS_MAX:  # nan is neither
            self.fail(f"that is no time of up to {SECONDS_MAX} seconds", param, ctx)
        return seconds


class Whole(click.ParamType[int]):
    """A whole number between two, both included."""

    name = "number"

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = most

    def convert(
        self,
        value: Any,  # noqa: ANN401 - whatever click has
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return the number."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if not self._least <= number <= self._most:
            self.fail(f"that is no whole number from {self._least} to {self._most}", param, ctx)
        return number


TEXT = _Text()
SECONDS = _Seconds()
PERCENT = _Percent()


def json_option(what: str) -> Callable[[F], F]:
    """Give a command ``--json``; it receives ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=what)


def device_name() -> str:
    """Return what a device is called whose person gave no name: its host's."""
    return os.uname().nodename.split(".")[0][:32] or "device"
