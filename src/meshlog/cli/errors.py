"""The one way out: whatever went wrong becomes one line that says what to do, and a number."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

import click

from meshlog.errors import MeshlogError

FAILED = 2
INTERRUPTED = 130

_ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "check who owns it",
    errno.EPERM: "check who owns it",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "check the name",
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "check the name",
}


def guarded(program: click.Command, argv: Sequence[str] | None) -> int:
    """Run ``program`` and return its exit code. Never raises, save for our own mistakes."""
    words = None if argv is None else list(argv)
    stdout = sys.stdout
    try:
        code = program.main(words, prog_name="meshlog", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as wish:
        return wish.exit_code
    except click.ClickException as error:
        return _fail(_usage(error), _who(error))
    except MeshlogError as error:
        return _fail(str(error))
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has enough
        _silence_stdout()
        return 0
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return 0  # click wraps it where the reader has gone, and would say 1: a fault was found
    except OSError as error:
        _silence_stdout()
        return _fail(_os_error(error))
    except MemoryError:
        return _fail("out of memory: give it less at once")
    return code if isinstance(code, int) else 0


def one_line(text: str) -> str:
    """Return ``text`` on one line, without anything that moves a cursor."""
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else "?" for char in words)


def _fail(message: str, who: str = "meshlog") -> int:
    with contextlib.suppress(OSError):  # nobody listens
        click.echo(f"{who}: {one_line(message).rstrip('.')}", err=True)
    return FAILED


def _who(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "meshlog"


def _usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    context = getattr(error, "ctx", None)
    if context is None or (": " in message and "`" in message):
        return message
    if message.endswith("?"):  # click has advice of its own
        return message.replace(". Did you", ": did you")
    advice = f"see `{context.command_path} --help`"
    takes_values = any(isinstance(one, click.Argument) for one in context.command.params)
    if isinstance(error, click.NoSuchOption) and not error.possibilities and takes_values:
        advice += "; a value that begins with a dash goes behind --"
    return f"{message}: {advice}"


def _os_error(error: OSError) -> str:
    what = error.strerror or str(error)
    subject = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "see what the system says about it")
    return f"{subject}{what}: {advice}"


def _silence_stdout() -> None:
    """Keep the interpreter from complaining when it flushes at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
