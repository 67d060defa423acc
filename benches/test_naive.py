"""The pure-Python rival answers what bots rely on, so that beating it means something."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

import naive

PATH = Path(__file__).parents[1] / "tests" / "vectors" / "decrypt.json"
VECTORS = json.loads(PATH.read_text("utf-8"))["vectors"]


def answer(vector: dict[str, Any]) -> str | Exception:
    try:
        return naive.decrypt(vector["payload"])
    except Exception as error:
        return error


def test_answers_the_vectors() -> None:
    answers: list[str | Exception] = []
    # A thread of its own: nesting is bounded by the frames that are left.
    thread = threading.Thread(target=lambda: answers.extend(map(answer, VECTORS)))
    thread.start()
    thread.join()
    assert len(answers) == len(VECTORS)
    for vector, found in zip(VECTORS, answers, strict=True):
        if vector.get("error"):
            assert isinstance(found, Exception), vector["name"]
            assert str(found).startswith(vector.get("error_text", "解密失败: ")), vector["name"]
        else:
            assert found == vector["text"], vector["name"]


@pytest.mark.parametrize("head", [0xC1, 0xC7, 0xD4])
def test_refuses_what_payloads_do_not_hold(head: int) -> None:
    with pytest.raises(ValueError, match=f"Unknown format byte: {head:02x}"):
        naive.unpackb(bytes([head, 1, 2, 3]))
