"""The page of all names, in both languages."""

from __future__ import annotations

import names_page
import xyfast


def test_every_public_name_is_there_once() -> None:
    named = [name for names in names_page.GROUPS.values() for name in names.split()]
    assert sorted([*named, "__version__"]) == sorted(xyfast.__all__)


def test_the_pages_are_made_of_the_docstrings() -> None:
    """Else run ``python tests/names_page.py``."""
    assert names_page.PAGE.read_text("utf-8") == names_page.page()
    assert names_page.CHINESE.read_text("utf-8") == names_page.chinese_page()
