"""What the site needs beyond its settings: the navigation, and links that leave docs/."""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent

_log = logging.getLogger("mkdocs.hooks.site")

# Pages that are not named come after those that are, by name.
SECTIONS: dict[str, tuple[str, list[str]]] = {
    "How-to": (
        "howto",
        [
            "configure",
            "run",
            "doctor",
            "send",
            "handle-once",
            "gaps",
            "dead-letters",
            "many-accounts",
            "network",
            "logging",
            "secrets",
            "test-your-bot",
        ],
    ),
    "Migrate": ("migrate", ["from-scripts", "../msgpack", "from-websockets"]),
    "Faults": ("faults", ["../faults"]),
    "Explain": ("explain", ["../promises", "states", "design", "../codec", "fast", "websocket"]),
    "Reference": ("reference", ["settings", "errors"]),
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
    """Show a link to a file outside docs/ as the path of that file: the site has no such page."""
    folder = posixpath.dirname(page.file.src_uri)

    def shown(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2]))
        return link[0] if path.startswith("docs/") else f"`{path}`"

    return re.sub(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#]+)(?:#[^)]*)?\)", shown, markdown)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Refuse what a browser would load from another host."""
    for tag in re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", output):
        if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag):
            _log.warning("%s loads from another host: %s", page.file.src_uri, tag)
    return output
