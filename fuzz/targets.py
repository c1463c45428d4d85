"""Every target, by its name."""

from __future__ import annotations

from fuzz import feeds, files, trust, wire
from fuzz.target import Target

_ALL = (*wire.TARGETS, *feeds.TARGETS, *trust.TARGETS, *files.TARGETS)

TARGETS: dict[str, Target] = {target.name: target for target in _ALL}
