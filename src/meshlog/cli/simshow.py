"""What a simulated day looked like, in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from meshlog.cli.output import console, count, cut, say, show_table, size
from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.runner import Report

_BLOCKS = "·▁▂▃▄▅▆▇█"
_LETTERS = ".:-=+*#%@"
"""For terminals without blocks. The first stands for nothing."""

BAR_WIDTH = 30

NAME_WIDTH = 12


def show_report(report: Report) -> None:
    """Print the tables and plots of a run, and the result last."""
    duty = f"duty cycle {report.duty_cycle * 100:g} %" if report.duty_cycle < 1 else "no limit"
    say(
        f"{report.scenario}, seed {report.seed}: {count(len(report.air_use), 'device')}, "
        f"SF{report.sf}, {report.bw_hz / 1_000:g} kHz, CR 4/{report.cr}, {duty}, "
        f"{_span(report.age_ms)} of virtual time"
    )
    _show_classes(report)
    _show_phases(report)
    _show_lacking(report)
    _show_air(report)
    if report.faults:
        said = ", ".join(f"{cause} {number:,}" for cause, number in report.faults.items())
        say(f"\nNot received or not sent: {said}")
    say()
    for sentence in report.failed:
        say(f"FAILED: {sentence}")
    say(result_line(report))


def result_line(report: Report) -> str:
    """Return the outcome in one line."""
    total = size(sum(report.bytes_on_air.values()))
    if not report.converged:
        lacking = sum(report.lacking[-1][1].values())
        return f"Did not converge: {count(lacking, 'event')} still lacking, {total} on air."
    waits = [
        f"{phase['name']}: agreed after {_span(phase['agreed_after_ms'])}"
        for phase in report.phases
        if phase["waited"] and phase["agreed_after_ms"] is not None
    ]
    verdict = "Converged" if report.ok else "Converged, but a check failed"
    return f"{verdict}, {total} on air. " + "; ".join(waits)


def _show_classes(report: Report) -> None:
    say("\nBytes on air, by class")
    most = max(report.bytes_on_air.values(), default=1)
    rows = [
        [label, size(number), f"{report.packets_on_air[label]:,}", _bar(number / most)]
        for label, number in report.bytes_on_air.items()
    ]
    if rows:
        show_table(["class", "bytes", "packets", ""], rows)


def _show_phases(report: Report) -> None:
    say("\nWhat happened")
    rows = []
    for phase in report.phases:
        agreed = phase["agreed_after_ms"]
        outcome = "" if not phase["waited"] else "no agreement" if agreed is None else _span(agreed)
        spent = size(sum(phase["bytes_on_air"].values()))
        rows.append([phase["name"], _span(phase["to_ms"] - phase["from_ms"]), outcome, spent])
    show_table(["phase", "took", "agreed after", "on air"], rows)


def _show_lacking(report: Report) -> None:
    most = max((max(lacking.values()) for _, lacking in report.lacking), default=0)
    say(f"\nEvents lacking over time, full height {most:,}")
    marks = _marks()
    width = max(console().width - NAME_WIDTH - 2, 20)
    for name in report.air_use:
        series = [(age_ms, lacking.get(name, 0)) for age_ms, lacking in report.lacking]
        line = "".join(
            marks[0] if not value else marks[_level(value, most, len(marks))]
            for value in _columns(series, report.age_ms, width)
        )
        say(f"{cut(name, NAME_WIDTH):<{NAME_WIDTH}} {line}")
    ends = f"0{_span(report.age_ms):>{width - 1}}"
    say(f"{'':<{NAME_WIDTH}} {ends}")


def _show_air(report: Report) -> None:
    say("\nAir, the fullest hour of each device")
    allowed_ms = report.duty_cycle * HOUR_MS
    rows = [
        [
            name,
            f"{use.airtime_ms / 1_000:,.1f} s",
            f"{use.worst_hour_ms / 1_000:,.1f} s",
            f"{use.worst_hour_ms / HOUR_MS * 100:.2f} %",
            _bar(use.worst_hour_ms / allowed_ms),
        ]
        for name, use in report.air_use.items()
    ]
    show_table(["device", "all", "fullest hour", "of it", f"of {allowed_ms / 1_000:g} s"], rows)


def _columns(series: Sequence[tuple[int, int]], age_ms: int, width: int) -> list[int]:
    """Return the most that was lacking in each of ``width`` equal spans; gaps repeat the last."""
    columns: dict[int, int] = {}
    for at_ms, value in series:
        column = min(at_ms * width // max(age_ms, 1), width - 1)
        columns[column] = max(columns.get(column, 0), value)
    filled = [0]
    for column in range(width):
        filled.append(columns.get(column, filled[-1]))
    return filled[1:]


def _level(value: int, most: int, levels: int) -> int:
    return 1 + value * (levels - 2) // most


def _marks() -> str:
    return _BLOCKS if console().encoding.startswith("utf") else _LETTERS


def _bar(share: float) -> str:
    mark = "█" if console().encoding.startswith("utf") else "#"
    return mark * max(round(min(share, 1.0) * BAR_WIDTH), 1 if share else 0)


def _span(time_ms: int) -> str:
    """Return a length of time as people read it.

    Example:
        >>> _span(4_000), _span(95_000), _span(7_500_000)
        ('4 s', '1 min 35 s', '2 h 5 min')
    """
    minutes, seconds = divmod(round(time_ms / 1_000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    return f"{seconds} s"
