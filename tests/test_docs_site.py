"""What docs/_site/hooks.py makes of pages. The site itself is built by `make docs`."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

DOCS = Path(__file__).parent.parent / "docs"
SPEC = importlib.util.spec_from_file_location("hooks", DOCS / "_site" / "hooks.py")
assert SPEC is not None
assert SPEC.loader is not None
hooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hooks)


def page(name: str) -> Any:
    return SimpleNamespace(file=SimpleNamespace(src_uri=name))


def test_the_menu_has_every_page_once() -> None:
    entries = hooks.navigation()
    named = [entry for entry in entries if isinstance(entry, str)]
    sections = [entry for entry in entries if isinstance(entry, dict)]
    named += [name for section in sections for names in section.values() for name in names]
    pages = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")]
    assert sorted(named) == sorted(name for name in pages if not name.endswith(".zh.md"))


def test_a_link_that_leaves_the_pages_is_shown_as_a_path() -> None:
    text = "[a.py](../tests/a.py), [how](../CONTRIBUTING.md#x), [on](howto/run.md), ![i](../i.svg)"
    assert hooks.on_page_markdown(text, page=page("promises.md")) == (
        "`tests/a.py`, how (`CONTRIBUTING.md`), [on](howto/run.md), ![i](../i.svg)"
    )
    inner = "[errors](../reference/errors.md)"
    assert hooks.on_page_markdown(inner, page=page("howto/network.md")) == inner


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("一行\n两行", "一行两行"),
        ("一行，\n`code`", "一行，`code`"),
        ("`code`\n（说明）", "`code`（说明）"),
        ("一行\n`code` 两行", "一行\n`code` 两行"),
        ("- 一项，\n  接着\n- 二项", "- 一项，接着\n- 二项"),
        ("如下：\n1. 一\n\n另一段", "如下：\n1. 一\n\n另一段"),
        ("```text\n一行\n两行\n```", "```text\n一行\n两行\n```"),
    ],
)
def test_lines_of_chinese_are_joined_without_a_space(text: str, shown: str) -> None:
    assert hooks.on_page_markdown(text, page=page("a.zh.md")) == shown
    assert hooks.on_page_markdown(text, page=page("a.md")) == text


def test_what_other_hosts_would_be_asked_for_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    good = '<a href="https://example.org/">x</a><script src="../assets/a.js"></script>'
    with caplog.at_level(logging.WARNING):
        hooks.on_post_page(good, page=page("a.md"))
        assert not caplog.records
        hooks.on_post_page('<link rel="x" href=//fonts.example.org/a.css>', page=page("a.md"))
        hooks.on_post_page('<img alt="" src="https://example.org/a.png">', page=page("a.md"))
    assert len(caplog.records) == 2
