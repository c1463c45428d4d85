"""Every seed and every old finding, through every decoder: refused or taken, within its memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.target import MIB, Target, TooHungryError, judge, weigh
from fuzz.targets import TARGETS
from meshlog.errors import MalformedError

REGRESSIONS = Path(__file__).parents[2] / "fuzz" / "regressions"


def inputs(target: Target) -> list[bytes]:
    found = sorted((REGRESSIONS / target.name).glob("*"))
    return [*target.seeds(), *(path.read_bytes() for path in found), b"", b"\0", b"\xff" * 64]


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_once_stays_mended(name: str):
    target = TARGETS[name]
    for data in inputs(target):
        judge(target, data)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_cut_short_and_bent_is_refused_or_taken(name: str):
    """What atheris does for hours, here for a moment, and where there is no atheris."""
    target = TARGETS[name]
    for data in [*target.seeds()][:12]:
        for at in range(0, len(data), max(1, len(data) // 8)):
            judge(target, data[:at])
            judge(target, data[:at] + bytes((data[at] ^ 0xFF,)) + data[at + 1 :])


@pytest.mark.parametrize("name", TARGETS)
def test_no_seed_takes_more_memory_than_its_limit(name: str):
    target = TARGETS[name]

    assert max(weigh(target, data) for data in inputs(target)) <= target.growth_bytes_max


def test_the_vectors_are_not_all_refused():
    """A target that refuses everything has stopped to test."""
    for target in TARGETS.values():
        assert any(judge(target, data) for data in target.seeds()), target.name


def test_a_decoder_that_breaks_is_noticed():
    def breaks(data: bytes) -> None:
        if data:
            raise KeyError(data)
        raise MalformedError("truncated")

    target = Target("broken", breaks, list, MIB)

    assert not judge(target, b"")
    with pytest.raises(KeyError):
        judge(target, b"x")


def test_a_decoder_that_swells_is_noticed():
    target = Target("greedy", lambda data: len(data * 2 * MIB), list, MIB)  # type: ignore[arg-type]

    with pytest.raises(TooHungryError):
        weigh(target, b"x")
