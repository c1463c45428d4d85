"""Three authors for the tests of views."""

from __future__ import annotations

import pytest

from tests.views.world import ANN, BOB, CAT, Pen


@pytest.fixture
def ann() -> Pen:
    return Pen(ANN)


@pytest.fixture
def bob() -> Pen:
    return Pen(BOB)


@pytest.fixture
def cat() -> Pen:
    return Pen(CAT)
