"""The control socket: programs of the same person ask a running node to write and to tell.

docs/adr/0006-command-line.md says why. One thread listens, one serves each connection; what a
request means is ``daemon.requests``' matter.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from meshlog.daemon.address import make_folder
from meshlog.daemon.lines import LINE_SIZE_MAX, LineReader, decode_line, encode_line
from meshlog.errors import InputError, MeshlogError, StoreError

CONNECTIONS_MAX = 16
"""Served at once; the next is told so and closed."""

REQUEST_TIMEOUT_S = 30.0
"""A connection that sends no whole line for this long is closed."""

ANSWER_TIMEOUT_S = 30.0
"""A connection that does not take its answer for this long is closed."""

_PARTING_S = 1.0
"""How long who is connected may go on asking when the node stops. A choice: a command asks in a
few ms, and a person who stops a node waits no longer than that."""

_CLOSE_WAIT_S = 5.0

Answer: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Does what one request says. Raises MeshlogError where that cannot be done."""


class ControlServer:
    """Serves one node's control socket from ``start`` to ``close``.

    Args:
        paths: Where to listen: the first that can be made, see ``control_paths``. The caller
            holds the store's lock, so a socket that is there already is a dead node's.
        answer: Called on the connections' threads, several at once.
        log: Takes the traceback of our own mistakes.
    """

    def __init__(self, paths: Sequence[Path], answer: Answer, log: logging.Logger) -> None:
        self._paths = paths
        self._answer = answer
        self._log = log
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        self._closed = False
        """Whether nobody new is taken."""
        self._hangs_up = False
        """Whether nothing new is answered."""
        self._listener: socket.socket | None = None
        self.path: Path | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            StoreError: At none of the paths; the message tells of the last.
        """
        failure = StoreError("there is no folder for a control socket: set XDG_RUNTIME_DIR")
        for path in self._paths:
            try:
                make_folder(path.parent)
                self._listener = _listen(path)
            except StoreError as error:
                failure = error
                continue
            self.path = path
            threading.Thread(
                target=self._accept, args=(self._listener,), name="meshlog-control", daemon=True
            ).start()
            return
        raise failure

    def close(self) -> None:
        """Stop listening, serve whoever connected before, close. Idempotent.

        A command that found the node is on its way through a few requests: cut off between
        two of them, it could not tell whether what it wrote is there.
        """
        with self._guard:
            if self._closed:
                return
            self._closed = True
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
        if self._listener is not None:
            self._take_waiting(self._listener)
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._guard:
            threads = list(self._open.items())
        until_s = time.monotonic() + _PARTING_S
        for _, thread in threads:
            thread.join(max(until_s - time.monotonic(), 0))
        self._hangs_up = True
        for connection, _ in threads:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        for _, thread in threads:
            thread.join(_CLOSE_WAIT_S)

    def _take_waiting(self, listener: socket.socket) -> None:
        """Take in who connected and was not accepted yet."""
        with contextlib.suppress(OSError):
            listener.settimeout(0)
            while True:
                self._take(listener.accept()[0])

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                if self._closed:
                    return
                self._log.warning(
                    "the control socket could not take a connection",
                    exc_info=True,
                    extra={"event": "control.trouble"},
                )
                threading.Event().wait(1)  # e.g. too many open files: try again, do not spin
                continue
            self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        connection.settimeout(None)  # a closing listener hands its own way on
        thread = threading.Thread(
            target=self._serve, args=(connection,), name="meshlog-asked", daemon=True
        )
        with self._guard:
            taken = not self._hangs_up and len(self._open) < CONNECTIONS_MAX
            if taken:
                self._open[connection] = thread
                thread.start()
        if not taken:
            _say(connection, _no("the node serves too many programs already: try again"))
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        lines = LineReader(connection)
        try:
            while not self._hangs_up:
                line = lines.line(REQUEST_TIMEOUT_S)
                if line is None:
                    return
                _say(connection, self._answer_line(line))
        except MeshlogError as error:  # a line that has no end: nothing after it can be read
            _say(connection, _no(str(error)))
        except OSError:  # it left, or was too slow
            pass
        finally:
            with self._guard:
                del self._open[connection]
            connection.close()

    def _answer_line(self, line: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._answer(decode_line(line))}
        except InputError as error:
            return {**_no(str(error)), "reason": "input"}
        except MeshlogError as error:
            return _no(str(error))
        except Exception:  # noqa: BLE001 - the daemon's handler; its log has the traceback
            self._log.exception("a request on the control socket failed", extra={"event": "fault"})
            return _no("the node could not do that: its log says why")


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error}


def _say(connection: socket.socket, answer: dict[str, Any]) -> None:
    line = encode_line(answer)
    if len(line) > LINE_SIZE_MAX:
        line = encode_line(_no("the answer is too long: read the store instead"))
    with contextlib.suppress(OSError):
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.sendall(line)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(CONNECTIONS_MAX)
    except OSError as error:
        listener.close()
        raise StoreError(f"{path} cannot be made ({error.strerror}): check its folder") from error
    return listener
