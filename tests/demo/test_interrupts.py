"""Signals that stop a program, as one interrupt at a moment that suits."""

from __future__ import annotations

import signal

import pytest

from meshlog.demo.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_once(number: int) -> None:
    interrupts = Interrupts()
    before = signal.getsignal(number)

    with interrupts.watched():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)  # cleaning up goes on

    assert signal.getsignal(number) == before


def step(interrupts: Interrupts, done: list[str], fails: bool = False) -> None:
    with interrupts.held():
        signal.raise_signal(signal.SIGTERM)
        done.append("step")
        if fails:
            raise ValueError("it")
    done.append("next step")


def test_a_signal_waits_for_the_end_of_a_step() -> None:
    interrupts = Interrupts()
    done: list[str] = []

    with interrupts.watched(), pytest.raises(KeyboardInterrupt):
        step(interrupts, done)

    assert done == ["step"]


def test_a_step_that_fails_fails_as_it_is() -> None:
    interrupts = Interrupts()

    with interrupts.watched(), pytest.raises(ValueError, match="it"):
        step(interrupts, [], fails=True)
