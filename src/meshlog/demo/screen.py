"""What a person sees while the demo runs: a moving line on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

LINE_INTERVAL_S = 5.0
"""Between two lines of progress where nobody watches a terminal. A choice."""

Show: TypeAlias = Callable[[str], None]
"""Takes how far a stage has come."""


class Screen:
    """Says each stage once it is done, and meanwhile how far it has come."""

    def __init__(self, console: Console) -> None:
        """Write to ``console``."""
        self.console = console
        self.took_s: dict[str, float] = {}
        """Seconds that each stage took, in order."""

    def say(self, text: str = "") -> None:
        """Print a line as it is."""
        self.console.print(Text(text), soft_wrap=True)

    @contextmanager
    def stage(self, title: str) -> Iterator[Show]:
        """Run one stage; yields what takes its progress."""
        started_s = time.monotonic()
        progress = self._moving(title) if self.console.is_terminal else self._lines(title)
        with progress as show:
            yield show
        took_s = self.took_s[title] = time.monotonic() - started_s
        self.say(f"  {title:<58} {took_s:6.1f} s")

    @contextmanager
    def _moving(self, title: str) -> Iterator[Show]:
        with self.console.status(Text(title)) as status:
            yield lambda text: status.update(Text(f"{title}: {text}"))

    @contextmanager
    def _lines(self, title: str) -> Iterator[Show]:
        due_s = time.monotonic() + LINE_INTERVAL_S

        def show(text: str) -> None:
            nonlocal due_s
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + LINE_INTERVAL_S
                self.say(f"  … {title}: {text}")

        yield show
