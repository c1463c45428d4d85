"""How far a long piece of work has come: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

import click

LINE_INTERVAL_S = 5.0
"""Between two lines where standard error is no terminal. A choice."""

MUCH = 5_000
"""Records or changes that take about a second. A choice."""

Advance: TypeAlias = Callable[[int, int], None]
"""Called with what is done and what there is, 0 where that is not known."""


@contextmanager
def progress(what: str) -> Iterator[Advance]:
    """Show progress of ``what`` on standard error while the block runs."""
    if sys.stderr.isatty():
        with _bar(what) as advance:
            yield advance
    else:
        yield _lines(what)


@contextmanager
def long_progress(what: str) -> Iterator[Advance]:
    """Show progress of ``what`` where there is much of it: a bar takes time to load, too."""
    shown: Advance | None = None

    with ExitStack() as stack:

        def advance(done: int, total: int) -> None:
            nonlocal shown
            if shown is None and total >= MUCH:
                shown = stack.enter_context(progress(what))
            if shown is not None:
                shown(done, total)

        yield advance


@contextmanager
def interruptible(advance: Advance) -> Iterator[Advance]:
    """Let Ctrl-C end the block where it next says how far it is, between two batches.

    Raised anywhere else, a library may swallow it: cbor2 does.
    """
    asked = threading.Event()

    def checked(done: int, total: int) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        advance(done, total)

    if threading.current_thread() is not threading.main_thread():
        yield checked
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield checked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(what: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        yield advance


def _lines(what: str) -> Advance:
    next_s = time.monotonic() + LINE_INTERVAL_S

    def advance(done: int, total: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + LINE_INTERVAL_S
            click.echo(f"{what}: {done:,}{f' of {total:,}' if total else ''}", err=True)

    return advance
