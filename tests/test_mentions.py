"""Whether a text of a tree contains a word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast._core import mentions

texts = st.text("abc", max_size=4)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=2) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def walk(tree: Any) -> list[str]:
    """Every text of a tree, keys aside."""
    if isinstance(tree, str):
        return [tree]
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [text for value in inner for text in walk(value)]


@given(trees, st.text("abc", min_size=1, max_size=2))
def test_it_is_what_a_walk_finds(tree: Any, word: str) -> None:
    assert mentions(tree, word) == any(word in text for text in walk(tree))


def test_depth_is_no_matter() -> None:
    tree: Any = "a word"
    for _ in range(100_000):
        tree = [tree]
    assert mentions(tree, "word")
    assert not mentions(tree, "words")


def test_a_lone_surrogate_is_a_character_like_others() -> None:
    assert mentions({"1": "\ud800 word"}, "word")


def test_the_word_must_be_a_str() -> None:
    with pytest.raises(TypeError):
        mentions([], b"word")  # type: ignore[arg-type]
