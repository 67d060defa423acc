"""decrypt and decode against what a bot can put together from other packages.

Every contender first has to give the right answer. Run by ``make bench``; in the test suite
each case runs once. Figures mean something for a release build only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import xyfast

VECTORS = Path(__file__).parent.parent / "tests" / "vectors" / "decrypt.json"
PAYLOADS = {v["name"]: v["payload"] for v in json.loads(VECTORS.read_text("utf-8"))["vectors"]}
CASES = ["kind/chat-text", "kind/trade-paid"]


def with_msgpack(payload: str) -> str:
    tree = msgpack.unpackb(base64.b64decode(payload), strict_map_key=False)
    return json.dumps(tree, ensure_ascii=False)


TO_TEXT: dict[str, Callable[[str], str]] = {
    "xyfast": xyfast.decrypt,
    "base64+msgpack+json": with_msgpack,
}
TO_TREE: dict[str, Callable[[str], Any]] = {
    "xyfast": xyfast.decode,
    "base64+msgpack+json": lambda payload: json.loads(with_msgpack(payload)),
}


@pytest.mark.parametrize("library", TO_TEXT)
@pytest.mark.parametrize("case", CASES)
def test_to_text(benchmark: BenchmarkFixture, case: str, library: str) -> None:
    payload, work = PAYLOADS[case], TO_TEXT[library]
    assert json.loads(work(payload)) == json.loads(with_msgpack(payload))
    benchmark.group = f"text {case}"
    benchmark(work, payload)


@pytest.mark.parametrize("library", TO_TREE)
@pytest.mark.parametrize("case", CASES)
def test_to_tree(benchmark: BenchmarkFixture, case: str, library: str) -> None:
    payload, work = PAYLOADS[case], TO_TREE[library]
    assert work(payload) == json.loads(with_msgpack(payload))
    benchmark.group = f"tree {case}"
    benchmark(work, payload)
