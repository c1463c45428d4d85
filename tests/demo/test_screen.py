"""What the demo prints, with and without a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from meshlog.demo import screen as screens
from meshlog.demo.device import Holding
from meshlog.demo.field import Carried
from meshlog.demo.report import show_air, show_conflict, show_holdings
from meshlog.demo.screen import Screen


def plain_screen() -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=100, highlight=False)), out


def test_a_stage_is_said_once_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "LINE_INTERVAL_S", 0)
    screen, out = plain_screen()

    with screen.stage("they meet") as show:
        show("team_a holds 7")

    assert "… they meet: team_a holds 7" in out.getvalue()
    assert out.getvalue().rstrip().endswith(" s")
    assert list(screen.took_s) == ["they meet"]


def test_a_stage_that_fails_is_not_said_done() -> None:
    screen, out = plain_screen()

    with pytest.raises(RuntimeError), screen.stage("they meet"):
        raise RuntimeError

    assert out.getvalue() == ""


def test_values_are_shown_as_they_are_and_not_as_markup() -> None:
    screen, out = plain_screen()
    write = {"stamp": [1_700_000_000_123, 0], "name": "team_a"}

    show_conflict(
        screen,
        {
            "record_id": "[red]w",
            "field": "working",
            "shown": {**write, "value": "[bold]no"},
            "beside": [{**write, "value": "yes"}],
        },
    )

    assert "'[bold]no'" in out.getvalue()
    assert "'[red]w'" in out.getvalue()
    assert "loser" in out.getvalue()


def test_numbers_stand_in_tables() -> None:
    screen, out = plain_screen()

    show_holdings(
        screen, {"base": Holding(5, 0, 5)}, {"base": Holding(5, 10, 15)}, {"base": 139_264}
    )
    show_air(screen, {"team_a": Carried(to_base=1_000, to_team=2_000)}, 15, 119.0)

    assert "139 kB" in out.getvalue()
    assert "3,000" in out.getvalue()
    assert "200" in out.getvalue()
