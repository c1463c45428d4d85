"""How far a long piece of work has come."""

from __future__ import annotations

import pytest

from meshlog.cli import progress as module
from meshlog.cli.progress import MUCH, long_progress


@pytest.mark.parametrize(("total", "said"), [(MUCH - 1, ""), (MUCH, "records: 7 of 5,000\n")])
def test_little_work_says_nothing(
    total: int, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINE_INTERVAL_S", 0)

    with long_progress("records") as advance:
        advance(7, total)

    assert capsys.readouterr().err == said
