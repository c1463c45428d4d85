"""Every target, by its name."""

from __future__ import annotations

from fuzz import feeds, files, wire
from fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target for target in (*wire.TARGETS, *feeds.TARGETS, *files.TARGETS)
}
