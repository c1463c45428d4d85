"""Waiting on a shared medium: slots, and turns among neighbours nobody has counted."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from meshlog.ports.links import SHOUT_SIZE_MAX
from meshlog.sync.broadcast.budget import air_ms

SLOT_MS_MIN = 50
TURN_SLOTS = 8.0
"""Of many who have the same to say, each waits up to this long, most of them nearly so long:
few speak early, however many there are, and the others hear it and keep silent. Source:
Nonnenmacher and Biersack, Scalable feedback for large groups, 1999."""

FIRST_SLOTS = (0.1, 1.0)
"""Whom a neighbour answers, and who wrote what it lacks, speaks first."""

LATER_SLOTS = 4.0
"""Who was not meant waits so much longer: whom a neighbour means has spoken by then."""

STRETCH_SLOTS = 0.6
"""Of a packet, what one stretch of news fills, roughly: those who come first take so long."""

CROWD_MAX = 40
"""More stretches than that are not waited for."""


class Turns:
    """Draws waits, in milliseconds, from the medium's rate and passed luck."""

    def __init__(self, rng: random.Random, crowd: Callable[[], int]) -> None:
        """Take luck, and how many neighbours there may be at most."""
        self._rng = rng
        self._crowd = crowd
        self.rate_bps = 0.0
        """Raw bit rate of the medium; 0 for none."""

    @property
    def slot_ms(self) -> int:
        """What a full packet takes on the air."""
        return max(int(air_ms(SHOUT_SIZE_MAX, self.rate_bps)), SLOT_MS_MIN)

    def slots(self, least: float, most: float) -> int:
        """Return a wait of ``least`` to ``most`` slots."""
        return int(self.slot_ms * self._rng.uniform(least, most))

    def spread(self, least: float, most: float) -> float:
        """Return a factor by luck, so that equals do not act at once."""
        return self._rng.uniform(least, most)

    def first(self, stretches: int = 1) -> int:
        """Return the wait of whom a neighbour means.

        Args:
            stretches: How many are lacking; each may have another author, who speaks first, too.
        """
        least, most = FIRST_SLOTS
        return self.slots(least, max(most, min(stretches, CROWD_MAX) * STRETCH_SLOTS))

    def later(self, stretches: int) -> int:
        """Return the wait of those whom nobody meant: a turn, after all who come ``first``."""
        before = LATER_SLOTS + min(stretches - 1, CROWD_MAX) * STRETCH_SLOTS
        return int(before * self.slot_ms) + self.turn()

    def turn(self) -> int:
        """Return the wait of one among all who might say the same."""
        bias = math.log(self._crowd() + 2) + 1
        late = math.log1p(self._rng.random() * math.expm1(bias)) / bias
        return int((FIRST_SLOTS[1] + late * TURN_SLOTS) * self.slot_ms)
