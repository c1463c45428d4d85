"""Asking a person for the passphrase of an encrypted store: once in a process, without echo."""

from __future__ import annotations

import getpass
from pathlib import Path

from meshlog.errors import InputError, StoreError
from meshlog.store.passphrase import VARIABLE, checked, read_passphrase

SIZE_MIN = 8
"""Letters of a new passphrase: fewer are tried through in hours. A choice."""


class Asker:
    """How this process comes by its passphrase; what was said once is said again."""

    def __init__(self, file: str | None) -> None:
        """Take the file that holds it; None to ask."""
        self._file = file
        self._said: str | None = None

    def __call__(self, path: str) -> str:
        """Return the passphrase of the file in ``path``."""
        if self._said is None:
            self._said = self._from_file() or _ask(f"Passphrase of {path}: ")
        return self._said

    def choose(self) -> str:
        """Return a new passphrase, said twice, and remember it.

        Raises:
            InputError: Too short, or said otherwise the second time; nothing was made.
        """
        said = self._from_file()
        if said is None:
            said = _ask(f"A passphrase, at least {SIZE_MIN} letters: ")
            if len(said) >= SIZE_MIN and _ask("The same once more: ") != said:
                raise InputError("the two passphrases differ: nothing was made, try again")
        if len(said) < SIZE_MIN:
            raise InputError(f"a passphrase has at least {SIZE_MIN} letters: nothing was made")
        self._said = checked(said)
        return self._said

    def _from_file(self) -> str | None:
        return read_passphrase(self._file) if self._file else None


def _ask(words: str) -> str:
    try:
        with Path("/dev/tty").open("rb"):
            pass  # there is a person
    except OSError as error:
        raise StoreError(
            "there is no terminal to ask for the passphrase: name a file that holds it with"
            f" --passphrase-file, or in ${VARIABLE}"
        ) from error
    return checked(getpass.getpass(words))
