"""Physical lines of a text file: numbered, bounded, and to be read again where need be."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

from meshlog.errors import InputError

LINE_LENGTH_MAX = 1_048_576
"""Characters; far more than an event can hold (64 KiB). The rest of a longer line is dropped,
and what is left of it is refused for its size."""

_UTF16 = "UTF-16: convert it with iconv -f UTF-16 -t UTF-8"
_FOREIGN = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"PK\x03\x04": "an Excel or zip file: save it as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as CSV (UTF-8)",
    b"\x1f\x8b": "compressed: unpack it with gunzip",
    b"SQLite format 3": "an SQLite file: import takes CSV, JSON lines and old logs",
}

NOT_UTF8 = "not UTF-8: convert the file with iconv -f WINDOWS-1252 -t UTF-8"


def is_text(text: str) -> bool:
    """Say whether every byte of ``text`` was UTF-8, as ``Lines`` decodes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Lines:
    """The lines of an open file, with their ends, each with its number."""

    def __init__(self, raw: BinaryIO) -> None:
        """Read ``raw`` from its beginning; bytes that are not UTF-8 survive."""
        self._raw = raw
        self._file = TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="")
        self._again: deque[str] = deque()
        self._done_bytes = 0
        self.number = 0
        """Of the line that ``take`` returned last."""

    def take(self) -> str:
        """Return the next line, or the empty string at the end."""
        line = self._again.popleft() if self._again else self._read()
        self.number += bool(line)
        return line

    def _read(self) -> str:
        line = rest = self._file.readline(LINE_LENGTH_MAX)
        while len(rest) == LINE_LENGTH_MAX and rest[-1] not in "\r\n":
            rest = self._file.readline(LINE_LENGTH_MAX)
        return line

    def put_back(self, lines: list[str]) -> None:
        """Take these lines, which were the last that ``take`` returned, once more."""
        self._again.extendleft(reversed(lines))
        self.number -= len(lines)

    def done_bytes(self) -> int:
        """Return how many bytes were taken from the file, rounded up to what is buffered."""
        if not self._raw.closed:
            self._done_bytes = self._raw.tell()
        return self._done_bytes


@contextmanager
def opened(path: Path) -> Iterator[Lines]:
    """Open a text file; bytes that are not UTF-8 survive as what ``is_text`` denies."""
    with path.open("rb") as file:
        lines = Lines(file)
        yield lines
        lines.done_bytes()


def check_file(path: Path) -> int:
    """Return the size of a file that may be imported, in bytes.

    Raises:
        InputError: It is missing, unreadable, empty, or plainly not text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
        size_bytes = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the name") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder: name a file in it") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check who owns it") from error
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InputError(f"{path} is {what}")
    if not head.removeprefix(b"\xef\xbb\xbf").strip():
        raise InputError(f"{path} is empty: a CSV file begins with a line that names the columns")
    return size_bytes
