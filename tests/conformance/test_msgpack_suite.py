"""The MessagePack test suite of many libraries: every value in every encoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xyfast.codec import ExtType, Timestamp, packb, unpackb

PATH = Path(__file__).parents[1] / "vectors" / "msgpack-test-suite.json"
SUITE = json.loads(PATH.read_text(encoding="utf-8"))


def value(case: dict[str, Any]) -> Any:
    if "bignum" in case:
        return int(case["bignum"])
    (kind,) = (name for name in case if name != "msgpack")
    if kind == "binary":
        return raw(case[kind])
    if kind == "timestamp":
        return Timestamp(*case[kind])
    if kind == "ext":
        code, data = case[kind]
        return ExtType(code, raw(data))
    return case[kind]


def raw(text: str) -> bytes:
    return bytes.fromhex(text.replace("-", ""))


CASES = [
    (value(case), [raw(e) for e in case["msgpack"]]) for group in SUITE.values() for case in group
]
IDS = [f"{name}-{i}" for name, group in SUITE.items() for i, _ in enumerate(group)]


@pytest.mark.parametrize(("expected", "encodings"), CASES, ids=IDS)
def test_every_encoding_is_read(expected: Any, encodings: list[bytes]) -> None:
    for encoding in encodings:
        assert unpackb(encoding) == expected


@pytest.mark.parametrize(("expected", "encodings"), CASES, ids=IDS)
def test_one_of_the_encodings_is_written(expected: Any, encodings: list[bytes]) -> None:
    assert packb(expected) in encodings


def test_the_suite_is_all_there() -> None:
    assert (len(CASES), sum(len(encodings) for _, encodings in CASES)) == (85, 233)
