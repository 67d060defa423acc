"""Makes docs/reference/settings.md of the fields of `Settings` and its like, and its Chinese.

``python tests/settings_page.py`` writes both; settings_words.py has the Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import settings_words as chinese
from xyfast.config import Settings
from xyfast.configfile import Secrets
from xyfast.store import Retention
from xyfast.tables import documented

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "settings.md"
CHINESE = PAGE.with_name("settings.zh.md")

_HEAD = """\
# Settings

Every number of the client, its default and its meaning. This page is made of the comments in the
code by `python tests/settings_page.py`, and a test fails when it is out of date.

`Client(settings=Settings(heartbeat=10.0))` changes some of them. All numbers are above zero, but
`handler_retries` and `blocked_after`, which may be 0; another value is a `ConfigError` that names
its field. What a store keeps, and for how long, is a `Retention`:
`Client(store=SqliteStore("xyfast.db", Retention(keep=86_400.0)))`. `Secrets` says where session
material is kept ([secrets](../howto/secrets.md)). All of them are imported from `xyfast`.

A file has them in `[settings]`, `[retention]` and `[secrets]`; variables are the names in capitals
after `XYFAST_`, `XYFAST_RETENTION_` and `XYFAST_SECRETS_` ([configure](../howto/configure.md)).
"""
_TABLE = "| name | default | unit | meaning |\n| --- | --- | --- | --- |"

# A float is seconds and an int a number of things, if it is not one of these.
_UNITS = {
    "send_rate": "messages/s",
    "conversation_rate": "messages/s",
    "backoff_scale": "factor",
    "max_message": "bytes",
    "max_frame": "bytes",
    "max_outbox_bytes": "characters",
    "backlog_bytes": "characters",
}


def page() -> str:
    """Return the text of the page."""
    return _page(_HEAD, _TABLE, lambda words: words)


def chinese_page() -> str:
    """Return the text of the Chinese page; KeyError for words that have no Chinese yet."""
    return _page(chinese.HEAD, chinese.TABLE, _translated)


def _translated(words: str) -> str:
    """Numbers, addresses and sizes are the same in both."""
    if re.fullmatch(r"[\d .]+( [MG]iB)?|`[^`]+`", words):
        return words
    if found := re.fullmatch(r"(\d+ \([\d.]+ )(h|days)\)", words):
        return found[1] + {"h": "小时", "days": "天"}[found[2]] + ")"
    return chinese.WORDS[words]


def _page(head: str, table: str, say: Callable[[str], str]) -> str:
    parts = [head]
    for kind in (Settings, Retention, Secrets):
        parts.append(f"## {kind.__name__}\n")
        for title, rows in _groups(kind):
            heading = f"### {say(title)}\n\n" if title else ""
            lines = [f"| `{name}` | {' | '.join(map(say, rest))} |" for name, *rest in rows]
            parts.append(f"{heading}{table}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _groups(kind: type) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Titles and rows, as they stand in the class."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for each in documented(kind):
        unit = _unit(each.name, each.type)
        row = each.name, _shown(each.default, unit), unit, each.meaning
        found.setdefault(each.group, []).append(row)
    return list(found.items())


def _unit(name: str, kind: str) -> str:
    if name in _UNITS or name.endswith("_bytes"):
        return _UNITS.get(name, "bytes")
    return {"float": "s", "int": "number", "bool": "yes or no"}.get(kind, "text")


def _shown(value: Any, unit: str) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, str):
        return f"`{value}`"
    for size, word in ((1024**3, "GiB"), (1024**2, "MiB")):
        if unit in ("bytes", "characters") and value % size == 0:
            return f"{value // size} {word}"
    for length, word in ((86_400, "days"), (3600, "h")):
        if unit == "s" and value >= 3600 and value % length == 0:
            return f"{value:.0f} ({value / length:g} {word})"
    return f"{value:_}".replace("_", " ").removesuffix(".0")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    CHINESE.write_text(chinese_page(), "utf-8")
