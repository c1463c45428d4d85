"""Python's garbage collector is as it was when all that made many objects is done."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from meshlog.views.collecting import COLLECT_AFTER, collecting_less

USUAL = (701, 11, 9)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


def test_it_is_as_before_when_the_first_of_two_threads_ends_first():
    ann_works, bob_works, ann_ended = Event(), Event(), Event()
    seen = []

    def ann() -> None:
        with collecting_less():
            ann_works.set()
            bob_works.wait(10)
        ann_ended.set()

    def bob() -> None:
        ann_works.wait(10)
        with collecting_less():
            bob_works.set()
            ann_ended.wait(10)
            seen.append(gc.get_threshold()[0])

    threads = [Thread(target=ann), Thread(target=bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [COLLECT_AFTER]
    assert gc.get_threshold() == USUAL


def test_it_is_as_before_when_the_one_within_ends_first():
    with collecting_less():
        with collecting_less():
            assert gc.get_threshold()[0] == COLLECT_AFTER
        assert gc.get_threshold()[0] == COLLECT_AFTER

    assert gc.get_threshold() == USUAL


def test_it_is_as_before_when_the_work_fails():
    with pytest.raises(ValueError, match="no"), collecting_less():
        raise ValueError("no")

    assert gc.get_threshold() == USUAL


@pytest.mark.parametrize("own", [(0, 10, 10), (500_000, 10, 10), (100_000, 10, 10)])
def test_what_the_program_around_set_stays(own: tuple[int, int, int]):
    """0 is never; and it may be set while the work goes on."""
    gc.set_threshold(*own)
    with collecting_less():
        pass
    assert gc.get_threshold() == own

    with collecting_less():
        gc.set_threshold(*own)

    assert gc.get_threshold() == own
