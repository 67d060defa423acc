"""Is an id known? Caches of 10 000 and 1 000 000 ids, full, one call in five for a known id."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import rivals
from ids import Ids, full, spell
from race import Race

SIZES = {"10 000": 10_000, "1 000 000": 1_000_000}
CACHES = list(rivals.caches(1))


@pytest.mark.parametrize("rival", CACHES)
def test_knows_the_newest_ids(rival: str) -> None:
    size = 1000
    seen = rivals.caches(size)[rival]()
    for number in range(2 * size):
        assert not seen(spell(number))
    for number in range(2 * size - size // 10, 2 * size):
        assert seen(spell(number))
    assert not seen(spell(0))


def test_one_id_in_five_is_a_repeat() -> None:
    ids = Ids(1000)
    made = ids.new(1000) + ids.mixed(10_000)
    assert 0.19 < 1 - (len(set(made)) - 1000) / 10_000 < 0.21


@cache
def alone(rival: str, size: int) -> dict[str, float]:
    """Return the figures of a cache in a process of its own."""
    program = str(Path(__file__).with_name("ids.py"))
    command = [sys.executable, program, rival, str(size)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(found.stdout)
    return figures


@pytest.mark.parametrize("rival", CACHES)
@pytest.mark.parametrize("case", SIZES)
def test_seen(race: Race, case: str, rival: str) -> None:
    size = SIZES[case] if race.enabled else 1000
    caches = rivals.caches(size)
    seen = caches[rival]()
    assert [seen(key) for key in ("a", "a", "b")] == [False, True, False]
    race(
        "seen",
        case,
        rival,
        lambda: {name: full(make(), size) for name, make in caches.items()},
        # Long enough for a cache to come back into the processor's.
        seconds=0.01,
        facts=lambda: alone(rival, size),
    )
