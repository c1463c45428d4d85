"""When to say what we lack: soon, then with ever more patience, until a link must help."""

from __future__ import annotations

from meshlog.sync.broadcast.turns import Turns

PATIENCE_SLOTS = 12
"""Silence after which a statement is made again; half as much more each time, up to
``PATIENCE_MS_MAX``."""

PATIENCE_MS_MAX = 600_000
PATIENCE_SPREAD = (0.8, 1.2)
STUCK_SAYS = 6
"""Statements without effect after which a link must help."""

HELP_PAUSE_MS_MIN, HELP_PAUSE_MS_MAX = 300_000, 7_200_000
"""Between two links for help: a link that does not come up costs a third of a kilobyte."""


class Asking:
    """Plans our statements. What they say, ``Wording`` knows."""

    def __init__(self, turns: Turns) -> None:
        """Take when whose turn is."""
        self._turns = turns
        self.due_ms: int | None = None
        """When the next statement is due; None for none."""
        self.says = 0
        """Statements since anything came of one."""
        self.lacking = 0
        """Events that we lack, as far as we know."""
        self._said_ms = 0
        self._patience_ms = 0
        self._help_ms = 0
        self._help_pause_ms = HELP_PAUSE_MS_MIN

    def is_due(self, now_ms: int) -> bool:
        """Say whether a statement is due."""
        return self.due_ms is not None and now_ms >= self.due_ms

    def at_once(self, now_ms: int) -> None:
        """Plan a statement for now: a person wants it."""
        self.says, self.due_ms = 0, now_ms

    def soon(self, now_ms: int, quiet_ms: int, later_slots: float = 0.0) -> None:
        """Plan a statement in our turn, unless one is planned.

        Args:
            now_ms: Wall time.
            quiet_ms: Not before: segments are under way.
            later_slots: Who should let others speak first waits so much longer.
        """
        if self.due_ms is None:
            wait_ms = self._turns.turn() + int(later_slots * self._turns.slot_ms)
            self.due_ms = max(now_ms + wait_ms, quiet_ms)

    def in_answer(self, now_ms: int, quiet_ms: int) -> None:
        """Plan a statement in our turn: a neighbour that can serve us listens now."""
        self.soon(now_ms, quiet_ms)
        if self.due_ms and now_ms - self._said_ms > PATIENCE_SLOTS / 2 * self._turns.slot_ms:
            self.due_ms = min(self.due_ms, now_ms + self._turns.turn())

    def put_off(self, until_ms: int) -> None:
        """Make no statement before a neighbour has ended."""
        if self.due_ms is not None:
            self.due_ms = max(self.due_ms, until_ms)

    def be_patient(self, now_ms: int) -> None:
        """Leave it to a neighbour that has just said the same."""
        self.due_ms = now_ms + self._patience()

    def said(self, now_ms: int) -> None:
        """Count a statement; the next one comes if nothing comes of it."""
        self.says += 1
        self._said_ms = now_ms
        self.due_ms = now_ms + self._patience()
        self._patience_ms = min(3 * self._patience_ms // 2, PATIENCE_MS_MAX)

    def got(self, events: int, now_ms: int) -> None:
        """Count what came: more is probably under way."""
        self.says = 0
        self.lacking = max(self.lacking - events, 0)
        self._patience_ms = 0
        if self.due_ms is not None:
            self.due_ms = now_ms + self._turns.slots(PATIENCE_SLOTS / 2, PATIENCE_SLOTS)

    def settle(self) -> None:
        """Plan nothing more: there is nothing to ask for."""
        self.due_ms, self.says, self.lacking, self._patience_ms = None, 0, 0, 0

    def agree(self) -> None:
        """Settle, and ask for help anew when it is needed again: a neighbour agrees."""
        self.settle()
        self._help_pause_ms = HELP_PAUSE_MS_MIN

    def set_back(self, by_ms: int) -> None:
        """Move with the wall clock."""
        self._said_ms -= by_ms
        self._help_ms -= by_ms
        if self.due_ms is not None:
            self.due_ms -= by_ms

    def needs_help(self, now_ms: int) -> bool:
        """Say whether a link should bring what asking over the air does not; ever more rarely."""
        if self.says < STUCK_SAYS or not self.lacking or now_ms < self._help_ms:
            return False
        self.says = 0
        self._help_pause_ms = min(2 * self._help_pause_ms, HELP_PAUSE_MS_MAX)
        self._help_ms = now_ms + self._help_pause_ms
        return True

    def _patience(self) -> int:
        self._patience_ms = self._patience_ms or PATIENCE_SLOTS * self._turns.slot_ms
        return int(self._patience_ms * self._turns.spread(*PATIENCE_SPREAD))
