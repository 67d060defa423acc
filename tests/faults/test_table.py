"""The faults of `faults.table`, made short: outcomes alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from faults.table import CASES, CHINESE, PAGE, Case, Measured, broken, measure, page
from faults.words import chinese

SHORT: dict[str, Any] = {
    "heartbeat": 0.2,
    "heartbeat_timeout": 1.5,
    "backoff_scale": 0.02,
    "failed_wait": 1.0,
    "token_retry": 0.1,
    "open_timeout": 2.0,
    "close_timeout": 1.0,
    "replay_wait": 0.1,
    "probe_after": 0.6,
    "request_timeout": 5.0,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "half-open, 2/4 s": {},
    "machine slept": {"heartbeat": 100.0, "heartbeat_timeout": 200.0},
    "session gone": {"probe_after": 60.0},
}


def shortened(case: Case) -> Case:
    settings = SETTINGS.get(case.name, {})
    lasts, blocks = min(case.lasts, 1.0), min(case.blocks, 3.0)
    assumed = replace(case.assumed, slow=4.0)
    return replace(case, settings=settings, lasts=lasts, blocks=blocks, assumed=assumed)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_our_client_hears_again_loses_nothing_and_doubles_nothing(case: Case) -> None:
    found = await measure(shortened(case), "xyfast", warm=0.2, tail=0.2, pause=0.05, **SHORT)
    assert broken(replace(shortened(case), noticed=None, linked=None), found) == []


@pytest.mark.parametrize("subject", ["websockets", "aiohttp"])
async def test_the_other_loops_work_and_hear_again_after_a_reset(subject: str) -> None:
    if subject == "aiohttp":
        pytest.importorskip("aiohttp")
    found = await measure(CASES[0], subject, warm=0.2, tail=0.2, pause=0.05, repeats=0.1)
    assert found.heard is not None


def test_the_pages_have_the_cases_and_words_of_today() -> None:
    measured = dict.fromkeys(("xyfast", "websockets", "aiohttp"), Measured(1.0, 1.0, 1.0, 2, 1, 1))
    fresh = page({case.name: measured for case in CASES})
    written = PAGE.read_text("utf-8")

    def words(text: str) -> list[list[str]]:
        """The page without its figures, and without the line on where they are from."""
        return [line.split(" | ")[:3] for line in text.splitlines() if "Measured on" not in line]

    assert words(written) == words(fresh)
    assert CHINESE.read_text("utf-8") == chinese(written)
    assert "重复 1 条" in chinese(fresh)
