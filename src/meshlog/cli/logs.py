"""What a running node says on standard error, or in a file."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import sys
import threading
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
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


class _Json(logging.Formatter):
    """One JSON object per line: time, level, event, logger, message; docs/operating.md."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line."""
        when = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "log"),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _PrivateFile(WatchedFileHandler):
    """A log file of mode 0600, made anew when something moved it away."""

    def _open(self) -> TextIOWrapper:
        """See ``logging.FileHandler``."""
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return TextIOWrapper(os.fdopen(fd, "ab", buffering=0), self.encoding, write_through=True)


def write_log(more: int, *, service: bool, as_json: bool = False, file: Path | None = None) -> None:
    """Send log lines to standard error, or to a file.

    Args:
        more: Steps louder (or, negative, quieter) than usual.
        service: Whether lines carry the time and news count as usual.
        as_json: One JSON object per line instead of text.
        file: Appended to, made with mode 0600; opened anew when something moved it away.

    Raises:
        OSError: The file cannot be written.
    """
    usual = 2 if service else 1
    level = _LEVELS[min(max(usual + more, 0), len(_LEVELS) - 1)]
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if file is not None:
        handler = _PrivateFile(file, encoding="utf-8")
    timed = service or file is not None
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if timed else "meshlog: %(message)s"
    handler.setFormatter(_Json() if as_json else _OneLine(form))
    log = logging.getLogger("meshlog")
    log.handlers[:] = [handler]
    log.setLevel(level)
    log.propagate = False


def watch_quietly(node: Node, stop: threading.Event) -> None:
    """Log what changes, until ``stop`` is set."""
    last = clock = ""
    _log.info("%s is running", node.author, extra={"event": "node.started"})
    while not stop.is_set():
        status = node.clock_status()
        trouble = status["doubt"] or status["disagreement"]
        if trouble.translate(_NO_DIGITS) != clock:
            clock = trouble.translate(_NO_DIGITS)
            if trouble:
                _log.warning("%s", trouble, extra={"event": "clock.doubt"})
            else:
                _log.info("this device's clock looks right again", extra={"event": "clock.fine"})
        news = _news(node)
        if news != last:
            _log.info("%s", news, extra={"event": "node.state"})
            last = news
        stop.wait(WATCH_INTERVAL_S)
    _log.info("stopping", extra={"event": "node.stopping"})


def _news(node: Node) -> str:
    with node.lock:
        ledger = node.replica.ledger
        contacts = [
            f"{state.peer[:8]} {state.contact(ledger.root)}" for state in node.replica.engine.peers
        ]
        events = node.replica.store.event_count()
    return f"{events} events, root {ledger.root.hex()[:8]}; peers: {', '.join(contacts) or 'none'}"
