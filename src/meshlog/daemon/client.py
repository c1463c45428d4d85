"""The other end of the control socket: asks the node that runs on a store."""

from __future__ import annotations

import base64
import contextlib
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from meshlog.core.cbor import plain
from meshlog.core.clockfix import Shift
from meshlog.core.event import encode_body
from meshlog.core.feed import FeedKey
from meshlog.daemon.address import control_paths, is_private
from meshlog.daemon.lines import LINE_SIZE_MAX, VERSION, LineReader, decode_line, encode_line
from meshlog.errors import InputError, MalformedError, StoreError

CONNECT_TIMEOUT_S = 5.0

ANSWER_TIMEOUT_S = 120.0
"""A node may be in the middle of a large batch, on a slow card."""


class ControlClient:
    """A connection to a running node. Use it from one thread; ``connect`` makes it."""

    def __init__(self, connection: socket.socket) -> None:
        """Talk over ``connection``, which becomes ours."""
        self._connection = connection
        self._lines = LineReader(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._connection.close()

    def emit(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, int]]:
        """Write events in one transaction; return id (hex) and seq of each, all durable.

        Raises:
            InputError: They cannot be carried; nothing was written.
            StoreError: The node refused, and nothing was written; or it left before it
                answered, and the message says that nobody knows.
        """
        answer = self.ask("emit", items=[encode_body(*item).hex() for item in items])
        return [(event[0], event[1]) for event in answer["events"]]

    def status(self) -> dict[str, Any]:
        """Return the node's status. See ``emit`` for what it raises."""
        status: dict[str, Any] = self.ask("status")["status"]
        return status

    def clock(self) -> dict[str, Any]:
        """Return how the node's clock stands. See ``emit`` for what it raises."""
        clock: dict[str, Any] = self.ask("clock")["clock"]
        return clock

    def settle(self) -> None:
        """Let the node bring the view's rows up to date. See ``emit`` for what it raises."""
        self.ask("settle")

    def invite(self, role: str, expires_s: int, uses: int) -> str:
        """Return the text of a new invite. See ``emit`` for what it raises."""
        return str(self.ask("invite", role=role, expires_s=expires_s, uses=uses)["invite"])

    def put_form(self, definition: Mapping[str, Any]) -> bool:
        """Pin a form; False where it was pinned before. See ``emit`` for what it raises."""
        return bool(self.ask("put_form", definition=plain(definition))["pinned"])

    def ingest(self, segments: Sequence[bytes]) -> tuple[int, list[str]]:
        """Bring in segments; return new events and a verdict for each. See ``emit``."""
        texts = [base64.b64encode(data).decode() for data in segments]
        answer = self.ask("ingest", segments=texts)
        return int(answer["events"]), [str(verdict) for verdict in answer["verdicts"]]

    def fix_clock(self, feed: FeedKey, shift: Shift) -> None:
        """Let the node say by how much a feed's stamps are off. See ``emit``."""
        self.ask("fix_clock", feed=feed.packed().hex(), shift=list(shift))

    def mend_clock(self) -> bool:
        """Let the node go on with honest stamps; False where they are. See ``emit``."""
        return bool(self.ask("mend_clock")["mended"])

    def rotate_key(self) -> int:
        """Give the dataset a new key; return its epoch. See ``emit`` for what it raises."""
        return int(self.ask("rotate_key")["epoch"])

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        """Send one request and return its answer. See ``emit`` for what it raises."""
        try:
            line = encode_line({"v": VERSION, "do": do, **words})
        except (TypeError, ValueError) as error:
            raise InputError(f"this cannot be sent to the running node ({error})") from error
        if len(line) > LINE_SIZE_MAX:
            raise InputError("too much for one request to the running node: write less at once")
        try:
            with contextlib.suppress(BrokenPipeError):  # it may have said why before it hung up
                self._connection.settimeout(ANSWER_TIMEOUT_S)
                self._connection.sendall(line)
            said = self._lines.line(ANSWER_TIMEOUT_S)
            answer = decode_line(said) if said is not None else None
        except (OSError, MalformedError) as error:
            raise _silent() from error
        if answer is None:
            raise _silent()
        if answer.get("ok") is not True:
            why = str(answer.get("error", "the running node refused without a word"))
            raise InputError(why) if answer.get("reason") == "input" else StoreError(why)
        return answer


def connect(store: str | Path) -> ControlClient | None:
    """Return a connection to the node that runs on ``store``, or None where none answers.

    A socket in a folder that is not ours alone is passed by: it may be anybody's.
    """
    for path in control_paths(store):
        if not is_private(path.parent):
            continue
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_TIMEOUT_S)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            continue
        return ControlClient(connection)
    return None


def size_on_line(item: tuple[str, Mapping[str, Any]]) -> int:
    """Return how many bytes of a request one event takes.

    Raises:
        InputError: It cannot be carried.
    """
    return 2 * len(encode_body(*item)) + 3


def _silent() -> StoreError:
    return StoreError(
        "the running node did not answer, so it is not known whether this was written:"
        " look with `meshlog view`"
    )
