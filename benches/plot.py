"""Draws a record as SVG: one bar a case, as long as our ratio to the best peer."""

from __future__ import annotations

from collections.abc import Iterable
from xml.sax.saxutils import escape

from results import Line
from targets import Theme

LEFT, SCALE, RIGHT = 230, 300, 400
"""Pixels for names, for a ratio of 1, and from there to the edge."""
ROW, HEAD = 18, 26
LONGEST = 1.5
"""The ratio at which a bar is cut; its figure is written beside it."""
FASTER, SLOWER, INK, FAINT = "#2a9d8f", "#d1495b", "#222222", "#888888"


def text(x: float, y: float, words: str, *, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" {style}>{escape(words)}</text>'


def bar(y: float, line: Line, ours: float) -> Iterable[str]:
    width = min(ours, LONGEST) * SCALE
    color = FASTER if ours <= 1 else SLOWER
    yield text(LEFT - 8, y + 13, line.case, anchor="end")
    yield f'<rect x="{LEFT}" y="{y + 3:g}" width="{width:.1f}" height="{ROW - 6}" fill="{color}"/>'
    label = f"{ours:.2f} of {line.best}" if line.best else f"{ours:.2f}"
    at = max(LEFT + width, LEFT + SCALE if ours > 0.9 else 0) + 6
    yield text(at, y + 13, label, style=f'fill="{FAINT}"')
    if line.target and line.target.must <= LONGEST:
        x = LEFT + line.target.must * SCALE
        yield f'<path d="M{x:g} {y + 1:g}v{ROW - 2}" stroke="{INK}" stroke-width="2"/>'


def plot(title: str, tables: Iterable[tuple[Theme, list[Line]]]) -> str:
    """Draw every theme that compares times, case by case."""
    parts = []
    y = 44.0
    for theme, found in tables:
        compared = [(line, line.ours) for line in found if theme.fact is None and line.ours]
        if not compared:
            continue
        y += HEAD
        parts.append(text(LEFT, y - 6, theme.title, style='font-weight="bold"'))
        for line, ours in compared:
            parts.extend(bar(y, line, ours))
            y += ROW
    one = LEFT + SCALE
    parts.append(f'<path d="M{one} 48V{y + 4:g}" stroke="{INK}" stroke-dasharray="4 3"/>')
    head = "time of the best peer = 1.00, shorter is faster; black mark: what must be reached"
    width, height = LEFT + SCALE + RIGHT, y + 14
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" '
            f'viewBox="0 0 {width} {height:g}" font-family="sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height:g}" fill="#ffffff"/>',
            text(12, 20, title, style='font-weight="bold" font-size="14"'),
            text(12, 38, head, style=f'fill="{FAINT}"'),
            *parts,
            "</svg>\n",
        ]
    )
