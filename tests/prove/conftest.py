"""What the proofs add up to stands at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_totals = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_totals] = []


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return what takes one line of totals for the end of the run."""
    return request.config.stash[_totals].append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if lines := config.stash.get(_totals, []):
        terminalreporter.section("proved")
        for line in lines:
            terminalreporter.line(line)
