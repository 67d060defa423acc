"""Every page is there in English and in Chinese, and neither falls behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
UNPAIRED: set[str] = set()
"""Pages whose Chinese is still to be written; none, when a release is made."""
ENGLISH = [
    name
    for path in sorted(DOCS.rglob("*.md"))
    if not (name := str(path.relative_to(DOCS))).endswith(".zh.md")
]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def chinese(name: str) -> Path:
    return DOCS / name.replace(".md", ".zh.md")


def sections(text: str) -> list[tuple[int, str]]:
    """Level and text of each part that stands under a heading."""
    parts = re.split(r"^(#+) ", FENCE.sub("", text), flags=re.MULTILINE)[1:]
    return [(len(hashes), body) for hashes, body in zip(parts[::2], parts[1::2], strict=True)]


def facts(text: str) -> dict[str, object]:
    """What does not depend on the language."""
    prose = re.sub(r"\]\([^)]*\)", "]", text)
    return {
        "code": sorted(set(re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", prose)))),
        "numbers": sorted(set(re.findall(r"\d+", prose))),
        "links": sorted(re.findall(r"\]\(([^)#]*)", text.replace(".zh.md", ".md"))),
        "rows": len(re.findall(r"^\|", text, re.MULTILINE)),
        "items": len(re.findall(r"^ *(?:-|1\.) ", text, re.MULTILINE)),
    }


def slugs(text: str) -> set[str]:
    """The names that headings have in links, on GitHub as on the site."""
    found = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


def test_every_page_has_its_pair() -> None:
    assert {name for name in ENGLISH if not chinese(name).exists()} == UNPAIRED
    alone = [path for path in DOCS.rglob("*.zh.md") if not Path(f"{str(path)[:-6]}.md").exists()]
    assert alone == []


@pytest.mark.parametrize("name", [name for name in ENGLISH if name not in UNPAIRED])
def test_both_say_the_same(name: str) -> None:
    texts = [(DOCS / name).read_text("utf-8"), chinese(name).read_text("utf-8")]
    one, other = (FENCE.findall(text) for text in texts)
    assert one == other
    one, other = (sections(text) for text in texts)
    assert [level for level, _ in one] == [level for level, _ in other]
    for (_, english), (_, translated) in zip(one, other, strict=True):
        for kind, found in facts(english).items():
            assert facts(translated)[kind] == found, (english.partition("\n")[0], kind)


def test_the_first_page_leads_to_every_task() -> None:
    text = (DOCS / "index.md").read_text("utf-8")
    linked = set(re.findall(r"\]\((howto/[\w-]+\.md)\)", text))
    assert linked == {name for name in ENGLISH if name.startswith("howto/")}


@pytest.mark.parametrize(
    "path",
    [*sorted(DOCS.rglob("*.md")), *DOCS.parent.glob("README*.md")],
    ids=lambda path: path.name,
)
def test_links_to_headings_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", path.read_text("utf-8")):
        page = (path.parent / target).resolve() if target else path
        assert anchor in slugs(page.read_text("utf-8")), f"{target}#{anchor}"


@pytest.mark.parametrize(
    "path", [*sorted(DOCS.rglob("*.zh.md")), DOCS.parent / "README.zh-CN.md"], ids=lambda p: p.name
)
def test_chinese_pages_lead_to_chinese_pages(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+\.md)", path.read_text("utf-8")):
        if (path.parent / target).resolve().is_relative_to(DOCS) and not target.endswith(".zh.md"):
            assert not (path.parent / target.replace(".md", ".zh.md")).exists(), target
