"""The payloads of `vectors/pushes.json`, decoded, and small changes to them."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import strategies as st

VECTORS = json.loads((Path(__file__).parent / "vectors" / "pushes.json").read_text("utf-8"))
OWN, PEER, CID = "9000000000001", "9000000000102", "70000000011"


def respell(value: Any) -> Any:
    """Spell map keys as str, as the package's own decoder does."""
    if isinstance(value, dict):
        return {str(key): respell(inner) for key, inner in value.items()}
    return [respell(inner) for inner in value] if isinstance(value, list) else value


def decode(payload: str) -> Any:
    if payload.lstrip().startswith("{"):
        return json.loads(payload)
    raw = base64.b64decode(payload)
    return (
        json.loads(raw) if raw[:1] == b"{" else respell(msgpack.unpackb(raw, strict_map_key=False))
    )


def cases() -> list[Any]:
    """Every payload of every push that can be decoded: own id, payload, what it must say."""
    found = []
    for vector in VECTORS["vectors"]:
        expected = vector["expect"].get("payloads") or ()
        entries = json.loads(vector["frame"])["body"]["syncPushPackage"]["data"] if expected else ()
        assert len(entries) == len(expected)
        for index, (entry, facts) in enumerate(zip(entries, expected, strict=True)):
            if facts["kind"] != "undecodable":
                found.append(
                    pytest.param(
                        vector["own_id"], entry["data"], facts, id=f"{vector['name']}-{index}"
                    )
                )
    return found


CASES = cases()
TREES = [decode(case.values[1]) for case in CASES]
BY_NAME = {case.id: tree for case, tree in zip(CASES, TREES, strict=True)}


def vector(name: str) -> tuple[Any, Any]:
    found = next(v for v in VECTORS["vectors"] if v["name"] == name)
    return json.loads(found["frame"])["body"], found["expect"]


def chat_tree(**changes: Any) -> dict[str, Any]:
    """Build a buyer's text whose notification fields are changed; None removes a field."""
    tree: dict[str, Any] = copy.deepcopy(BY_NAME["chat/text-0"])
    fields = tree["1"]["10"]
    fields.update(changes)
    tree["1"]["10"] = {name: value for name, value in fields.items() if value is not None}
    return tree


def with_content(content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    tree = chat_tree(**fields)
    tree["1"]["6"]["3"]["5"] = json.dumps(content)
    return tree


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree if isinstance(tree, list) else ())
    )
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(tree)
    changed[path[0]] = put(changed[path[0]], path[1:], value)
    return changed


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(
        ["1", "2", "x@goofish", "1.PNM", "@goofish", "{", '{"contentType":101}', "e30="]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["1", "2", "3", "4", "5", "6", "10", "operation", "sessionId", "content"]
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)
"""Anything that JSON can spell, with words that payloads use."""
