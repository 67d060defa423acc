"""What the site needs beyond its settings: the navigation, and links that leave docs/."""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent

_log = logging.getLogger("mkdocs.hooks.site")
_FENCE = re.compile(r"^(```.*?^```$)", re.MULTILINE | re.DOTALL)
_WORD = "\u4e00-\u9fff"
_MARK = "\u3001\u3002\u300a-\u3011\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f\u201c\u201d"
"""Chinese characters, and the marks between them."""

# Pages that are not named come after those that are, by name.
SECTIONS: dict[str, tuple[str, list[str]]] = {
    "How-to": (
        "howto",
        [
            "configure",
            "run",
            "doctor",
            "send",
            "requests",
            "handle-once",
            "gaps",
            "dead-letters",
            "many-accounts",
            "network",
            "status",
            "monitoring",
            "logging",
            "secrets",
            "test-your-bot",
        ],
    ),
    "Migrate": ("migrate", ["from-scripts", "../msgpack", "from-websockets"]),
    "Faults": ("faults", ["../faults"]),
    "Explain": ("explain", ["../promises", "states", "design", "../codec", "fast", "websocket"]),
    "Reference": ("reference", ["names", "settings", "errors", "metrics"]),
}


def navigation() -> list[Any]:
    """The pages in the order of the menu."""
    nav: list[Any] = [page for page in ("index.md", "start.md") if (DOCS / page).exists()]
    for title, (folder, first) in SECTIONS.items():
        named = [posixpath.normpath(f"{folder}/{name}.md") for name in first]
        found = sorted(str(path.relative_to(DOCS)) for path in (DOCS / folder).rglob("*.md"))
        rest = [page for page in found if page not in named and not page.endswith(".zh.md")]
        nav.append({title: [page for page in named if (DOCS / page).exists()] + rest})
    return nav


def on_config(config: Any) -> Any:
    """Give the site its menu."""
    config["nav"] = navigation()
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Mend the text of a page: links to files that the site lacks, and lines of Chinese."""
    parts = _FENCE.split(markdown)
    for number in range(0, len(parts), 2):
        parts[number] = without_outer_links(parts[number], posixpath.dirname(page.file.src_uri))
        if page.file.src_uri.endswith(".zh.md"):
            parts[number] = joined(parts[number])
    return "".join(parts)


def without_outer_links(text: str, folder: str) -> str:
    """Show a link to a file outside docs/ as the path of that file."""

    def shown(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        if path.startswith("docs/"):
            return link[0]
        return f"`{path}`" if link[1] in path else f"{link[1]} (`{path}`)"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)", shown, text)


def joined(text: str) -> str:
    """Join the lines of a Chinese paragraph where the break would be shown as a space."""
    text = re.sub(rf"(?<=[{_WORD}])\n *(?=[{_WORD}])", "", text)
    text = re.sub(rf"(?<=[{_MARK}])\n *(?=[\w`\[*{_MARK}])(?!\d\d?\. )", "", text)
    return re.sub(rf"(?<=\S)\n *(?=[{_MARK}])", "", text)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Refuse what a browser would load from another host."""
    for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", output):
        if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag):
            _log.warning("%s loads from another host: %s", page.file.src_uri, tag)
    return output
