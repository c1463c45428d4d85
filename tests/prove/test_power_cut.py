"""The power fails at any operation of the disk: the store opens, and nothing promised is lost."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

import pytest

from tests.prove.powercut import Totals, Trial
from tests.support.scale import scaled

pytestmark = [pytest.mark.prove, pytest.mark.timeout(3 * 3600)]

CUTS = scaled(50_000, 1_000_000)
"""The issue's bar for ``make prove``."""

WORKERS = 2

CUTS_EACH = {100: 8, 20_000: 2, 60_000: 1}
"""Bytes of an event's body: how often each operation is cut; large ones make many operations."""

ORDER = (100, 100, 20_000, 100, 60_000)


def trials() -> Iterator[Trial]:
    """Yield trials without end: fixed seeds, and every fourth a fresh one."""
    for number in itertools.count():
        seed = random.randrange(2**32) if number % 4 == 3 else number
        size = ORDER[number % len(ORDER)]
        yield Trial(seed, CUTS_EACH[size], size)


def run(trial: Trial) -> Totals:
    try:
        return trial.run()
    except BaseException as error:
        error.add_note(f"seed {trial.seed}, {trial.body_size_bytes} bytes an event")
        raise


def test_no_power_cut_loses_what_was_acknowledged(tell: Callable[[str], None]):
    totals, began_s = Totals(), time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    upcoming = trials()

    with ProcessPoolExecutor(WORKERS, mp_context=spawn) as pool:
        open_trials: set[Future[Totals]] = set()
        while totals.cuts < CUTS:
            while len(open_trials) < WORKERS:
                open_trials.add(pool.submit(run, next(upcoming)))
            done, open_trials = wait(open_trials, return_when=FIRST_COMPLETED)
            for trial in done:
                totals.add(trial.result())
        for trial in open_trials:
            totals.add(trial.result())

    tell(
        f"power cuts: {totals.cuts} ({totals.images} different leavings, {totals.deep} with fsck),"
        f" 0 of {totals.acknowledged} acknowledged lost, {time.monotonic() - began_s:.0f} s"
    )
    assert totals.cuts >= CUTS
