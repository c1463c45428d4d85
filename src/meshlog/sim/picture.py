"""A run as one SVG file that needs nothing else: what was lacking, and what went on air."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from meshlog.sim.airlimit import HOUR_MS
from meshlog.sim.runner import Report

WIDTH, LEFT, RIGHT = 900, 150, 30
"""Pixels: of the picture, and of its margins."""

LINES_HEIGHT, ROW_HEIGHT, GAP = 260, 22, 70

_COLOURS = (
    "#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#7d5ba6", "#00798c",
    "#8d6a4f", "#e07a5f", "#5c6b73", "#b5179e",
)  # fmt: skip

_STYLE = """
text { font: 13px sans-serif; fill: #222 }
.title { font-size: 16px; font-weight: bold }
.axis { stroke: #999; stroke-width: 1 }
.line { fill: none; stroke-width: 1.6 }
.number { fill: #555 }
"""


def picture(report: Report) -> str:
    """Return the SVG."""
    parts = [_lacking(report, 40)]
    top = 40 + LINES_HEIGHT + GAP
    total = sum(report.bytes_on_air.values())
    bars = [(label, number, f"{number:,} B") for label, number in report.bytes_on_air.items()]
    parts.append(_bars(f"Bytes on air by class: {total:,}", bars, top))
    top += len(bars) * ROW_HEIGHT + GAP
    allowed_ms = report.duty_cycle * HOUR_MS
    use = [
        (name, use.worst_hour_ms / allowed_ms, f"{use.worst_hour_ms / 1_000:.1f} s")
        for name, use in report.air_use.items()
    ]
    title = f"Fullest hour of each device; the width is the {allowed_ms / 1_000:g} s allowed"
    parts.append(_bars(title, use, top, most=1.0))
    height = top + len(use) * ROW_HEIGHT + 40
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}"><style>{_STYLE}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _lacking(report: Report, top: int) -> str:
    most = max((max(lacking.values()) for _, lacking in report.lacking), default=0)
    span = WIDTH - LEFT - RIGHT
    bottom = top + LINES_HEIGHT
    title = f"{report.scenario}, seed {report.seed}, SF{report.sf}: events lacking over time"
    out = [
        _text(LEFT, top - 15, title, "title"),
        f'<path class="axis" fill="none" d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}"/>',
        _text(LEFT - 10, top + 5, f"{most:,}", "number", anchor="end"),
        _text(LEFT - 10, bottom, "0", "number", anchor="end"),
        _text(WIDTH - RIGHT, bottom + 20, f"{report.age_ms / HOUR_MS:.1f} h", "number", "end"),
    ]
    for index, name in enumerate(report.air_use):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [
            (
                LEFT + span * age_ms / max(report.age_ms, 1),
                bottom - LINES_HEIGHT * lacking.get(name, 0) / max(most, 1),
            )
            for age_ms, lacking in report.lacking
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        label = f"<title>{escape(name)}</title>"
        out.append(f'<path class="line" stroke="{colour}" d="M{path}">{label}</path>')
        out.append(_text(10, top + 15 * (index + 1), name, colour=colour))
    return "".join(out)


def _bars(
    title: str, rows: Sequence[tuple[str, float, str]], top: int, most: float | None = None
) -> str:
    full = most or max((value for _, value, _ in rows), default=0) or 1
    span = WIDTH - LEFT - RIGHT - 90
    out = [_text(LEFT, top - 12, title, "title")]
    for index, (label, value, number) in enumerate(rows):
        y = top + index * ROW_HEIGHT
        width = span * min(value / full, 1.0)
        colour = _COLOURS[index % len(_COLOURS)]
        out.append(_text(LEFT - 10, y + 14, label, anchor="end"))
        out.append(
            f'<rect x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="{ROW_HEIGHT - 6}" '
            f'fill="{colour}"/>'
        )
        out.append(_text(LEFT + width + 6, y + 14, number, "number"))
    return "".join(out)


def _text(
    x: float, y: float, text: str, kind: str = "", anchor: str = "start", colour: str = ""
) -> str:
    style = f' style="fill:{colour}"' if colour else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}"{style}>'
        f"{escape(text)}</text>"
    )
