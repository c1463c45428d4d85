"""What a start of Reticulum may not do to the process: leave it, or keep its signal handlers."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_panic(rns: Any) -> Iterator[None]:  # noqa: ANN401 - RNS ships no types
    """Let a start that fails raise: Reticulum's own way is ``os._exit(255)`` without a word."""

    def refuse() -> None:
        raise SystemError("one of its interfaces or its config file is wrong")

    saved, rns.panic = rns.panic, refuse
    try:
        yield
    finally:
        rns.panic = saved


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Undo what RNS does to SIGINT and SIGTERM on construction."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
