"""Makes docs/reference/names.md of the first lines of docstrings, and its Chinese.

``python tests/names_page.py`` writes both; names_words.py has the Chinese.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType

import names_words as chinese
import xyfast

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "names.md"
CHINESE = PAGE.with_name("names.zh.md")

_HEAD = """\
# Names

All that `from xyfast import ...` has, and what its classes do, in a line each; the headings lead to
what is said of them at length. What else there is, is in `xyfast.codec`, `xyfast.instrumentation`,
`xyfast.store` and `xyfast.testing`. This page is made of the docstrings by
`python tests/names_page.py`, and a test fails when it is out of date.
"""
_TABLE = "| name | what it is |\n| --- | --- |"

# By the page of the reference, without its .md.
GROUPS = {
    "Client": "Client Router Account State CredentialSource Token TokenProvider PlatformTokens",
    "Settings": "Settings Retention Secrets Config",
    "Messages": (
        "Message ChatMessage GroupMessage OrderNotice SystemNotice SessionOpened ReadReceipt "
        "Typing Marker Expired Gap Undecodable Unknown Sent"
    ),
    "Store": "Store SqliteStore MemoryStore",
    "Secrets": (
        "Secret redact Redaction SecretStore FileSecretStore EncryptedSecretStore logging_json"
    ),
    "Errors": (
        "XyfastError ConfigError StateError StoreError StoreFull TokenError LoginRequired "
        "NotSent SendRefused SendUnknown DecodeError DecryptError EncodeError"
    ),
    "Codec": "decrypt decode pick unpackb packb b64decode b64encode DedupCache",
}


def page() -> str:
    """Return the text of the page."""
    return _page(_HEAD, _TABLE, "md", lambda words: words)


def chinese_page() -> str:
    """Return the text of the Chinese page; KeyError for words that have no Chinese yet."""
    return _page(chinese.HEAD, chinese.TABLE, "zh.md", lambda words: chinese.WORDS[words])


def _page(head: str, table: str, ending: str, say: Callable[[str], str]) -> str:
    stubs = _stubs()
    parts = [head]
    for title, names in GROUPS.items():
        place = "settings" if title == "Settings" else f"api/{title.lower()}"
        lines = []
        for name in names.split():
            lines.append(f"| `{name}` | {say(_first(stubs.get(name) or _said(name)))} |")
            lines += [f"| `{name}.{each}` | {say(words)} |" for each, words in _methods(name)]
        parts.append(f"## [{say(title)}]({place}.{ending})\n\n{table}\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _said(name: str) -> str:
    return inspect.getdoc(getattr(xyfast, name)) or ""


def _first(said: str) -> str:
    """The first line of a docstring, as Markdown."""
    return re.sub(r"\s+", " ", said.partition("\n\n")[0]).replace("``", "`")


def _methods(name: str) -> Iterator[tuple[str, str]]:
    """What a class has of its own but what leads to another, and the first lines of it."""
    found = getattr(xyfast, name)
    if not isinstance(found, type) or found.__module__ == "xyfast._core" or name == "Retention":
        return  # what a retention does, stores alone ask for
    for each, member in vars(found).items():
        kinds = (FunctionType, property, classmethod, staticmethod)
        words = inspect.getdoc(getattr(found, each)) if isinstance(member, kinds) else None
        if words and not each.startswith("_") and not words.startswith("See `"):
            yield each, _first(words)


def _stubs() -> dict[str, str]:
    """What the stub says of names of the Rust module."""
    stub = (ROOT / "python" / "xyfast" / "_core.pyi").read_text("utf-8")
    return {
        node.name: ast.get_docstring(node) or ""
        for node in ast.parse(stub).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    CHINESE.write_text(chinese_page(), "utf-8")
