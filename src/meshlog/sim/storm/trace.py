"""What happened, in order: a running hash always, readable lines where somebody wants them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

from meshlog.sim.agenda import Agenda
from meshlog.sim.storm.plan import EPOCH_MS


class Trace:
    """The diary of one storm: the same seed writes the same bytes."""

    def __init__(self, agenda: Agenda, tell: Callable[[str], None] | None = None) -> None:
        """Begin.

        Args:
            agenda: Whose time it is.
            tell: Takes each line; None keeps the hash only.
        """
        self._agenda = agenda
        self._tell = tell
        self._hash = hashlib.blake2b(digest_size=16)
        self.faults: Counter[str] = Counter()
        """Faults that struck, by kind."""

    def note(self, who: str, what: str, *details: object) -> None:
        """Write a line: who, a word for what happened, and what there is to say about it."""
        age_ms = self._agenda.now_ms - EPOCH_MS
        line = f"{age_ms} {who} {what} {' '.join(map(str, details))}"
        self._hash.update(line.encode() + b"\n")
        if self._tell is not None:
            seconds, ms = divmod(age_ms, 1_000)
            clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}"
            self._tell(f"{clock}  {who:<9} {what:<12} {' '.join(map(str, details))}")

    def fault(self, kind: str, who: str, *details: object) -> None:
        """Write and count a fault that struck."""
        self.faults[kind] += 1
        self.note(who, f"!{kind}", *details)

    def digest(self) -> str:
        """Return the hash of everything so far: 32 hex digits."""
        return self._hash.hexdigest()
