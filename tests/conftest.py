"""Hypothesis profiles: ``dev`` looks for new failures, ``ci`` repeats the same examples.

And what the proofs add up to, at the end of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from meshlog.store import passphrase

settings.register_profile("dev", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    parent=settings.get_profile("dev"),
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],  # a small machine under load is no defect
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

_totals = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_totals] = []


@pytest.fixture(autouse=True)
def _passphrases_of_one_test() -> Iterator[None]:
    """A command that runs in this process says how to come by passphrases, for good."""
    yield
    passphrase._asked.clear()


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
