"""An invite as a QR code: in the terminal, or in a file to print or to send.

The text of an invite is upper-case base32, so QR's alphanumeric mode holds it in 5.5 bits a
letter: one by the founder is version 10 (57 modules wide) with 15 % of error correction.
"""

from __future__ import annotations

import functools
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

from meshlog.cli.output import hint, say
from meshlog.errors import InputError
from meshlog.tools.wholefile import check_target, written_whole

QUIET_MODULES = 2
"""Margin on screen, where the background goes on. The standard's four in files."""

MODULE_PIXELS = 8
KINDS = (".png", ".svg")

F = TypeVar("F", bound=Callable[..., Any])


class Qr(NamedTuple):
    """Where a person wants a QR code."""

    shown: bool
    file: Path | None

    def check(self) -> None:
        """Refuse, before anything is made, a file that cannot be.

        Raises:
            InputError: It ends otherwise than KINDS, or cannot stand there.
        """
        if self.file is None:
            return
        if self.file.suffix.lower() not in KINDS:
            raise InputError(f"{self.file}: a QR code is written as {' or '.join(KINDS)}")
        check_target(self.file)

    def show(self, text: str) -> None:
        """Show and write ``text`` as was wanted."""
        if self.shown:
            _print(text)
        if self.file is not None:
            with written_whole(self.file) as out:
                out.write(image(text, self.file.suffix.lower().removeprefix(".")))
            hint(f"{self.file} holds the invite: delete it when it was scanned")


def qr_options(function: F) -> F:
    """Give a command ``--qr`` and ``--qr-file``; it receives them as ``qr``."""

    @click.option("--qr", is_flag=True, help="Show the invite as a QR code, too.")
    @click.option(
        "--qr-file", metavar="FILE", type=click.Path(path_type=Path),
        help="Write the invite as a QR code: .png or .svg, for your eyes only (mode 0600).",
    )  # fmt: skip
    @functools.wraps(function)
    def with_qr(*args: Any, qr: bool, qr_file: Path | None, **kwargs: Any) -> Any:  # noqa: ANN401
        wanted = Qr(qr, qr_file)
        wanted.check()
        return function(*args, qr=wanted, **kwargs)

    return cast(F, with_qr)


def code(text: str) -> Any:  # noqa: ANN401 - a segno.QRCode
    """Return the QR code of a text."""
    import segno  # takes a while, and most commands show none

    return segno.make(text, micro=False, error="m", boost_error=False)


def image(text: str, kind: str) -> bytes:
    """Return the QR code of ``text`` as the bytes of a ``png`` or ``svg`` file."""
    out = io.BytesIO()
    code(text).save(out, kind=kind, scale=MODULE_PIXELS)
    return out.getvalue()


def _print(text: str) -> None:
    made = code(text)
    width = made.symbol_size(border=QUIET_MODULES)[0]
    columns = shutil.get_terminal_size().columns
    if width > columns:
        hint(
            f"this terminal is too narrow for the QR code ({columns} of {width} columns):"
            " make it wider, or use --qr-file"
        )
        return
    out = io.StringIO()
    made.terminal(out, border=QUIET_MODULES, compact=True)
    say(out.getvalue())
