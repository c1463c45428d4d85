"""How many trials: enough to prove in minutes, or as many as a night holds."""

from __future__ import annotations

import os

IS_NIGHTLY = os.environ.get("MESHLOG_NIGHTLY") == "1"


def scaled(prove: int, nightly: int) -> int:
    """Return how many trials a test makes: in ``make prove``, or in ``make nightly``."""
    return nightly if IS_NIGHTLY else prove
