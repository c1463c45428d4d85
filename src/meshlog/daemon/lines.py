"""The control socket's lines: one JSON object each, bounded, asked and answered in turn."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from meshlog.errors import MalformedError

VERSION = 1
"""``v`` of every request; another is refused, never guessed at."""

LINE_SIZE_MAX = 16 * 1024 * 1024
"""Bytes of one line with its end. A choice: some 100,000 small events."""

_CHUNK_SIZE = 65_536


def encode_line(message: dict[str, Any]) -> bytes:
    """Return a message as one line.

    Raises:
        ValueError: A number is not finite, or text is not text.
        TypeError: It holds what JSON cannot carry.
    """
    return json.dumps(message, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode_line(line: bytes) -> dict[str, Any]:
    """Return the message in a line.

    Raises:
        MalformedError: It is not a JSON object.
    """
    try:
        message = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedError("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedError("not a JSON object")
    return message


def _no_constant(name: str) -> float:
    raise MalformedError(f"{name} is not a number")


class LineReader:
    """Reads lines from a socket, each within a time and a size."""

    def __init__(self, connection: socket.socket) -> None:
        """Read from ``connection``, which stays the caller's."""
        self._connection = connection
        self._pending = bytearray()

    def line(self, timeout_s: float) -> bytes | None:
        """Return the next line without its end, or None where the other side has finished.

        Raises:
            MalformedError: The line is too long, or was cut off.
            TimeoutError: It did not come in time, however often a few bytes of it did.
            OSError: The connection failed.
        """
        until_s = time.monotonic() + timeout_s
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            if len(self._pending) >= LINE_SIZE_MAX:
                raise MalformedError(f"a line is longer than {LINE_SIZE_MAX} bytes")
            searched = len(self._pending)
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("no whole line in time")
            self._connection.settimeout(left_s)
            chunk = self._connection.recv(_CHUNK_SIZE)
            if not chunk:
                if self._pending:
                    raise MalformedError("the line was cut off")
                return None
            self._pending += chunk
        line = bytes(self._pending[:end])
        del self._pending[: end + 1]
        return line
