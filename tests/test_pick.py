"""Picked fields of payloads: pick and Picker."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trees import PAYLOADS, WILD, wire
from xyfast.codec import Picker, b64encode, decode, packb, pick
from xyfast.errors import DecodeError

PATHS = st.lists(
    st.lists(
        st.sampled_from(["1", "2", "null", "true", "1.0", "a", "0", "-1"]), min_size=1, max_size=3
    ),
    max_size=5,
).map(lambda paths: [".".join(path) for path in paths])


def follow(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def outcome(call: Callable[[], object]) -> object:
    """Return what a call returns, as its repr, or why it cannot."""
    try:
        return repr(call())
    except DecodeError as error:
        return error.reason, error.offset


@given(st.one_of(PAYLOADS.map(wire), WILD), PATHS)
def test_pick_finds_what_decode_has(data: bytes, paths: list[str]) -> None:
    text = b64encode(data)
    whole = outcome(lambda: tuple(follow(decode(text), path) for path in paths or [""]))
    picked = outcome(lambda: pick(text, paths or [""]))
    # Text that is passed over may be bad.
    assert picked == whole or (whole[0] == "utf8" and isinstance(picked, str))


def test_pick_checks_the_text_of_what_it_returns() -> None:
    text = b64encode(b"\x82\x01\xa1\xff\x02\xa1a")
    assert pick(text, ["2"]) == ("a",)
    for call in (lambda: pick(text, ["1"]), lambda: decode(text)):
        assert outcome(call) == ("utf8", 3)


def test_a_picker_does_what_pick_does() -> None:
    text = b64encode(packb({1: {10: {"reminderContent": "在吗"}, 2: 3}}))
    paths = ("1.10.reminderContent", "1.2", "9")
    picker = Picker(*paths)
    assert picker(text) == picker(text.encode()) == pick(text, paths) == ("在吗", 3, None)
    assert Picker()(text) == ()
    assert picker.paths == paths
    assert repr(picker) == "Picker('1.10.reminderContent', '1.2', '9')"
    assert list(map(picker, [text] * 3)) == [picker(text)] * 3
    assert picker(*[text], **{}) == Picker.__call__(picker, text) == picker(text)


def test_pickers_are_values() -> None:
    picker = Picker("1.2", "9")
    same = Picker("1.2", "9")
    assert picker == same
    assert hash(picker) == hash(same)
    assert picker != Picker("9", "1.2")
    assert picker != ("1.2", "9")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(picker, protocol))
        assert again == picker
        assert again("gQGBAqF4") == ("x", None)
    assert copy.deepcopy(picker) == picker


def test_a_picker_takes_one_payload() -> None:
    picker: Any = Picker("1")
    text = b64encode(b"\x80")
    for call in (
        lambda: picker(),
        lambda: picker(text, text),
        lambda: picker(payload=text),
        lambda: picker(text, a=1),
        lambda: picker(5),
        lambda: Picker.__call__(picker),
        lambda: type(picker)(5),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(DecodeError, match="not a map"):
        picker(b64encode(b"\x01"))


def test_pick_returns_values_of_every_kind_in_the_order_asked() -> None:
    text = b64encode(packb({1: {10: {"reminderContent": "在吗"}, 2: [1, {3: 4}]}, 9: None}))
    asked = ["1.2", "1.10.reminderContent", "9", "1.10", "8", "1.2.0", "1.2"]
    assert pick(text, asked) == (
        [1, {"3": 4}],
        "在吗",
        None,
        {"reminderContent": "在吗"},
        None,
        None,
        [1, {"3": 4}],
    )
    assert pick(text, []) == ()


def test_paths_are_several() -> None:
    for wrong in ("1", "1.10", 5, None):
        paths: Any = wrong
        with pytest.raises(
            TypeError, match=f"paths must be an iterable of str, not {type(wrong).__name__}"
        ):
            pick("gQGhYQ==", paths)
    wrong_path: Any = [1]
    with pytest.raises(TypeError):
        pick("gQGhYQ==", wrong_path)
    assert pick("gQGhYQ==", iter(["1", "2"])) == ("a", None)
    assert pick("gQGhYQ==", {"1": 0}) == ("a",)
