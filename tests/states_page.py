"""Draws docs/explain/states.svg from the table of transitions, and the table of both pages.

``python tests/states_page.py`` writes them.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from xyfast.events import Event, Pause, State, Stop
from xyfast.session import TRANSITIONS

EXPLAIN = Path(__file__).parent.parent / "docs" / "explain"
DRAWING = EXPLAIN / "states.svg"
PAGES = {
    EXPLAIN / "states.md": "state | event | then",
    EXPLAIN / "states.zh.md": "状态 | 事件 | 之后",
}

_PLACES = {
    State.DISCONNECTED: (110, 70),
    State.CONNECTING: (470, 70),
    State.CONNECTED: (860, 70),
    State.NEEDS_LOGIN: (110, 390),
    State.FAILED: (350, 390),
    State.RECONNECTING: (620, 390),
    State.KICKED: (860, 390),
    State.DRAINING: (1060, 200),
    State.CLOSED: (1060, 390),
}
_FROM_ALL = ((State.DISCONNECTED, [Pause.__name__]), (State.CLOSED, [Stop.__name__]))
"""What is not drawn, since nearly every state has it; the pages say which have not."""
_HALF = (68, 19)
_BEND = 0.11
"""How far an edge leaves the straight line, as a part of its length."""

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1150 460" font-family="sans-serif">
<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>
<style>
rect.page {fill:#fff} rect.state {fill:#e0f2f1;stroke:#00695c;stroke-width:1.5}
path.way {fill:none;stroke:#333;stroke-width:1.2;marker-end:url(#end)}
text {text-anchor:middle;dominant-baseline:central;fill:#111;font-size:13px}
text.event {font-size:10.5px;paint-order:stroke;stroke:#fff;stroke-width:3px}
</style>
<rect class="page" width="1150" height="460"/>
"""


def edges() -> dict[tuple[State, State], list[str]]:
    """The events that lead from one state to another, by their names."""
    found: dict[tuple[State, State], list[str]] = {}
    for old, events in TRANSITIONS.items():
        for event, after in events.items():
            for new in after - {old}:
                found.setdefault((old, new), []).append(event.__name__)
    return found


def drawing() -> str:
    """Return the text of the drawing."""
    ways, labels = [], []
    for (old, new), events in sorted(edges().items(), key=lambda each: str(each)):
        if (new, events) in _FROM_ALL:
            continue
        curve, middle = _curve(old, new)
        ways.append(f'<path class="way" d="{curve}"/>')
        x, y = middle
        for line, name in enumerate(events):
            low = y + 12 * (line - (len(events) - 1) / 2)
            labels.append(f'<text class="event" x="{x:.0f}" y="{low:.0f}">{name}</text>')
    boxes = []
    for state, (x, y) in _PLACES.items():
        wide, high = _HALF
        boxes.append(
            f'<rect class="state" x="{x - wide}" y="{y - high}" width="{2 * wide}" '
            f'height="{2 * high}" rx="9"/><text x="{x}" y="{y}">{state.name}</text>'
        )
    return _HEAD + "\n".join(ways + boxes + labels) + "\n</svg>\n"


def _curve(old: State, new: State) -> tuple[str, tuple[float, float]]:
    """A bent line between the edges of two boxes, and where its words stand."""
    (x0, y0), (x1, y1) = _PLACES[old], _PLACES[new]
    away, down = x1 - x0, y1 - y0
    bend = (x0 + away / 2 - down * _BEND, y0 + down / 2 + away * _BEND)
    start, end = _border((x0, y0), bend), _border((x1, y1), bend)
    t = 0.4
    middle = [
        (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c
        for a, b, c in zip(start, bend, end, strict=True)
    ]
    numbers = [f"{x:.0f} {y:.0f}" for x, y in (start, bend, end)]
    return "M{} Q{} {}".format(*numbers), (middle[0], middle[1])


def _border(place: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle of a box leaves it."""
    away, down = towards[0] - place[0], towards[1] - place[1]
    part = min(
        half / abs(d) if d else math.inf for half, d in zip(_HALF, (away, down), strict=True)
    )
    return place[0] + away * part, place[1] + down * part


def table(head: str) -> str:
    """Return all transitions as a table; what an event leaves as it is, is left out."""
    rows = [f"| {head} |", "| --- | --- | --- |"]
    for state, events in TRANSITIONS.items():
        for event, after in events.items():
            names = ", ".join(f"`{new.name}`" for new in State if new in after)
            rows.append(f"| `{state.name}` | `{event.__name__}` | {names} |")
    return "\n".join(rows) + "\n"


def page(path: Path) -> str:
    """Return the text of a page with the table of today."""
    start = re.escape(f"| {PAGES[path]} |")
    return re.sub(rf"{start}\n(\|.*\n)*", table(PAGES[path]), path.read_text("utf-8"))


def event_names() -> set[str]:
    """All events."""
    return {event.__name__ for event in Event.__subclasses__()}


if __name__ == "__main__":
    DRAWING.write_text(drawing(), "utf-8")
    for path in PAGES:
        path.write_text(page(path), "utf-8")
