"""A whole bot in a process of its own is killed again and again; the server counts.

Whatever the server does with what was not acknowledged, nothing that was acknowledged is
lost, and nothing is handled twice without saying so.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.crash import ASSUMED, crash


@pytest.mark.parametrize("name", ASSUMED)
async def test_a_killed_bot_loses_nothing_and_doubles_nothing_in_silence(
    name: str, tmp_path: Path
) -> None:
    figures = await crash(ASSUMED[name], tmp_path, rounds=4, seed=name)
    assert figures.messages
    assert figures.good, figures
