"""Draws what a command has written to a terminal, with its colours, as SVG."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from xml.sax.saxutils import escape

_CELL, _LINE, _EDGE = 8, 17, 12  # pixels
_STYLES = {
    "1": ' style="font-weight:bold"',
    "31": ' style="fill:#ff7b72"',
    "32": ' style="fill:#7ee787"',
    "33": ' style="fill:#e3b341"',
    "36": ' style="fill:#79c0ff"',
}
_RUN = re.compile(r"[\u2e80-\uffff]+|[^\s\u2e80-\uffff]+|\s+")
_PIECE = re.compile(r"\x1b\[([0-9;]*)m|([^\x1b]+)")


def _wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in ("W", "F")


def _runs(text: str) -> Iterator[str]:
    """Words, wide letters and spaces apart.

    Each has its place: a browser's letters may be of another width than ours.
    """
    return (found[0] for found in _RUN.finditer(text))


def _texts(line: str, y: int) -> Iterator[str]:
    column, style = 0, ""
    for codes, text in _PIECE.findall(line):
        if not text:
            style = _STYLES.get(codes, "")
        for run in _runs(text):
            columns = sum(1 + _wide(letter) for letter in run)
            if not run.isspace():
                x = _EDGE + column * _CELL
                yield (
                    f'<text x="{x}" y="{y}" textLength="{columns * _CELL}"{style}>'
                    f"{escape(run)}</text>"
                )
            column += columns


def svg(written: str, columns: int) -> str:
    """The picture of a terminal that is so wide."""
    lines = written.replace("\r\n", "\n").rstrip("\n").split("\n")
    width, height = 2 * _EDGE + columns * _CELL, 2 * _EDGE + len(lines) * _LINE
    texts = [
        text for row, line in enumerate(lines) for text in _texts(line, _EDGE + row * _LINE + 13)
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">'
    )
    style = (
        "<style>text{font:13px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        "fill:#e6edf3;white-space:pre}</style>"
    )
    ground = f'<rect width="{width}" height="{height}" rx="6" fill="#0d1117"/>'
    body = "\n".join(texts)
    return f"{head}\n{style}\n{ground}\n{body}\n</svg>\n"
