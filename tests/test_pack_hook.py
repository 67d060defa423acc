"""The hook of packing, and containers that change under it."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from values import Items, Opaque, answer
from xyfast.codec import packb, unpackb
from xyfast.errors import UnsupportedType


def test_the_hook_is_asked_once_for_an_object() -> None:
    asked: list[object] = []

    def ask(value: object) -> object:
        asked.append(value)
        return {1, 2} if isinstance(value, Opaque) else [Opaque(None)]

    with pytest.raises(UnsupportedType, match="type set"):
        packb([Opaque(None)], default=ask)
    assert len(asked) == 1


def test_an_endless_hook_is_too_deep() -> None:
    for made in (lambda value: [value], lambda value: {"a": value}, lambda value: Items([value])):
        with pytest.raises(ValueError, match="deep"):
            packb(Opaque(None), default=made)


def test_what_the_hook_raises_comes_out() -> None:
    def fail(value: object) -> object:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        packb({"a": [Opaque(None)]}, default=fail)


@given(st.data())
def test_a_container_that_changes_gives_the_right_head_or_an_error(data: st.DataObject) -> None:
    draw = data.draw
    place = draw(st.integers(0, 5))
    items: list[Any] = [draw(st.sampled_from([1, "a", (), [2], {"b": 3}])) for _ in range(5)]
    items.insert(place, Opaque(None))
    use = draw(st.sampled_from(["list", "values", "keys"]))
    container: Any
    if use == "list":
        container = items
    elif use == "values":
        container = dict(enumerate(items))
    else:
        container = {(item if isinstance(item, Opaque) else i): i for i, item in enumerate(items)}
    change = draw(st.sampled_from(["clear", "grow", "pop", "replace", "refill"]))

    def meddle(value: object) -> object:
        if change in ("clear", "refill"):
            container.clear()
        elif change == "pop":
            container.pop() if use == "list" else container.popitem()
        if change in ("grow", "refill"):
            more = [bytes([65 + i]) * 40 for i in range(30 if change == "grow" else len(items))]
            container.extend(more) if use == "list" else container.update(dict.fromkeys(more, 1))
        elif change == "replace":
            for key in range(len(items)) if use == "list" else list(container):
                container[key] = "other"
        gc.collect()
        return "made"

    outer = [container, container] if draw(st.booleans()) else container
    packed = answer(packb, outer, default=meddle)
    if packed is not RuntimeError:
        unpackb(packed, strict_map_key=False)
