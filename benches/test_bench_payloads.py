"""base64, and payloads to text, to dicts, to a few fields; frames to dicts."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

import naive
import rivals
from corpora import PAYLOADS, corpus
from interleave import on
from messages import push_frame
from race import Race

SIZES = {"400 B": 400, "2 KB": 2_000, "10 KB": 10_000, "1 MB": 1_000_000}
CASES = [*PAYLOADS, "chat with emoji"]


def payload(case: str) -> str:
    name = f"{case}, int keys" if case in PAYLOADS else case
    return base64.b64encode(corpus(name).packed).decode("ascii")


@pytest.mark.parametrize("rival", rivals.base64_decoders())
@pytest.mark.parametrize("case", SIZES)
def test_b64decode(race: Race, case: str, rival: str) -> None:
    data = random.Random(64).randbytes(SIZES[case] * 3 // 4)
    text = base64.b64encode(data).decode("ascii")
    decoders = rivals.base64_decoders()
    assert decoders[rival](text) == data
    race("b64decode", case, rival, lambda: on(text, decoders))


@pytest.mark.parametrize("rival", rivals.base64_encoders())
@pytest.mark.parametrize("case", SIZES)
def test_b64encode(race: Race, case: str, rival: str) -> None:
    data = random.Random(64).randbytes(SIZES[case] * 3 // 4)
    encoders = rivals.base64_encoders()
    assert encoders[rival](data) == base64.b64encode(data).decode("ascii")
    race("b64encode", case, rival, lambda: on(data, encoders))


@pytest.mark.parametrize("rival", rivals.to_text())
@pytest.mark.parametrize("case", CASES)
def test_text(race: Race, case: str, rival: str) -> None:
    given = payload(case)
    writers = rivals.to_text(len(given))
    text, expected = writers[rival](given), naive.decrypt(given)
    assert type(text) is str
    # Some write no space after a comma or colon; those who write it, write the same text.
    assert json.loads(text) == json.loads(expected)
    assert text == expected or rival in rivals.WITHOUT_SPACES
    race("text", case, rival, lambda: on(given, writers))


@pytest.mark.parametrize("rival", rivals.to_tree())
@pytest.mark.parametrize("case", CASES)
def test_tree(race: Race, case: str, rival: str) -> None:
    given = payload(case)
    readers = rivals.to_tree(len(given))
    assert readers[rival](given) == json.loads(naive.decrypt(given))
    race("tree", case, rival, lambda: on(given, readers))


@pytest.mark.parametrize("rival", rivals.routers())
@pytest.mark.parametrize("case", PAYLOADS)
def test_route(race: Race, case: str, rival: str) -> None:
    given = payload(case)
    routers = rivals.routers(len(given))
    assert routers[rival](given) == routers["naive"](given)
    race("route", case, rival, lambda: on(given, routers))


@pytest.mark.parametrize("rival", [*rivals.frame_readers()])
@pytest.mark.parametrize("case", CASES)
def test_frame(race: Race, case: str, rival: str) -> None:
    given = payload(case)
    frame = push_frame(given)
    readers: dict[str, Any] = rivals.frame_readers(len(given))
    assert list(readers[rival](frame)) == [json.loads(naive.decrypt(given))]
    race("frame", case, rival, lambda: on(frame, readers))
