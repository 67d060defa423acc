"""The long runs of `faults.load`, made short."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from faults.load import flood, order


async def test_handlers_of_random_length_keep_every_conversation_in_order(tmp_path: Path) -> None:
    ordered = await order(5000, 1000, tmp_path, max_handlers=100)
    assert 50 < ordered.most_at_once <= 100
    assert (ordered.inversions, ordered.overlaps, ordered.lost, ordered.doubled) == (0, 0, 0, 0)
    assert ordered.gaps == 0  # though twice as many conversations change as are fetched


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_flood_at_stuck_handlers_stays_out_of_memory(tmp_path: Path) -> None:
    flooded = await flood(
        5000,
        10_000,
        tmp_path,
        backlog=100,
        backlog_bytes=1 << 20,
        intake_bytes=1 << 20,
        mailbox_bytes=1 << 20,
    )
    assert (flooded.links, flooded.lost, flooded.doubled) == (1, 0, 0)
    assert flooded.grown < 32 << 20  # of 50 MB that came
