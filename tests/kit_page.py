"""The tables of docs/howto/test-your-bot.md: every fault and every assumption of the fake server.

``python tests/kit_page.py`` writes them.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
from pathlib import Path

from xyfast.testing import Fault, ServerSettings

PAGE = Path(__file__).parent.parent / "docs" / "howto" / "test-your-bot.md"


def said(kind: type) -> dict[str, str]:
    """What stands below each name in the body of a class."""
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for line, text in zip(definition.body, definition.body[1:], strict=False):
        target = line.target if isinstance(line, ast.AnnAssign) else None
        if isinstance(line, ast.Assign):
            target = line.targets[0]
        if isinstance(target, ast.Name) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            words = " ".join(text.value.value.split())
            found[target.id] = words.replace("``", "`")
    return found


def shown(value: object) -> str:
    if isinstance(value, enum.Enum):
        others = [f"`{each.name}`" for each in type(value) if each is not value]
        return f"`{type(value).__name__}.{value.name}`, or {', '.join(others)}"
    return f"`{value}`"


def page() -> str:
    """The page with its tables as the code says."""
    faults = "".join(f"| `{name}` | {text} |\n" for name, text in said(Fault).items())
    texts = said(ServerSettings)
    assumptions = "".join(
        f"| `{field.name}` | {shown(field.default)} | {texts[field.name]} |\n"
        for field in dataclasses.fields(ServerSettings)
    )
    text = PAGE.read_text("utf-8")
    for head, table in (
        ("| `Fault` | |\n| --- | --- |\n", faults),
        ("| `ServerSettings` | default | |\n| --- | --- | --- |\n", assumptions),
    ):
        start = text.index(head) + len(head)
        text = text[:start] + table + text[text.index("\n\n", start - 1) + 1 :]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
