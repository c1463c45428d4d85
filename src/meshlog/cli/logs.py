"""What a running node says on standard error."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshlog.node import Node

WATCH_INTERVAL_S = 5.0
"""Between two looks at what changed. A choice."""

_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)

_NO_DIGITS = str.maketrans("", "", "0123456789.")
"""The same trouble with other figures is not told again."""

_log = logging.getLogger("meshlog.run")


class _OneLine(logging.Formatter):
    """One line per record, save for tracebacks: they are our own mistakes."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record without what a terminal would obey."""
        return "".join(
            char if char.isprintable() or char == "\n" else "?" for char in super().format(record)
        )


def write_log_to_stderr(more: int, *, service: bool) -> None:
    """Send log lines to standard error.

    Args:
        more: Steps louder (or, negative, quieter) than usual.
        service: Whether lines carry the time and news count as usual.
    """
    usual = 2 if service else 1
    level = _LEVELS[min(max(usual + more, 0), len(_LEVELS) - 1)]
    handler = logging.StreamHandler(sys.stderr)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if service else "meshlog: %(message)s"
    handler.setFormatter(_OneLine(form))
    log = logging.getLogger("meshlog")
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False


def watch_quietly(node: Node, stop: threading.Event) -> None:
    """Log what changes, until ``stop`` is set."""
    last = clock = ""
    while not stop.is_set():
        status = node.clock_status()
        trouble = status["doubt"] or status["disagreement"]
        if trouble.translate(_NO_DIGITS) != clock:
            clock = trouble.translate(_NO_DIGITS)
            if trouble:
                _log.warning("%s", trouble)
            else:
                _log.info("this device's clock looks right again")
        news = _news(node)
        if news != last:
            _log.info("%s", news)
            last = news
        stop.wait(WATCH_INTERVAL_S)
    _log.info("stopping")


def _news(node: Node) -> str:
    with node.lock:
        ledger = node.replica.ledger
        contacts = [
            f"{state.peer[:8]} {state.contact(ledger.root)}" for state in node.replica.engine.peers
        ]
        events = node.replica.store.event_count()
    return f"{events} events, root {ledger.root.hex()[:8]}; peers: {', '.join(contacts) or 'none'}"
