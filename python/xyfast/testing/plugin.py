"""The pytest fixture ``kit``; ``pytest_plugins = ["xyfast.testing.plugin"]`` brings it.

It is no plugin that pytest finds by itself: in a suite that does not ask for it, nothing of
xyfast is imported.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from xyfast.testing.kit import Kit

__all__ = ["kit"]

try:
    import pytest_asyncio
except ImportError:
    pytest_asyncio = None  # type: ignore[assignment]

if TYPE_CHECKING or pytest_asyncio is not None:
    # Its own decorator works in both of its modes; pytest's in auto mode only.
    @pytest_asyncio.fixture
    async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
        """A fake server with one account; see `xyfast.testing.Kit`."""
        async with Kit(folder=tmp_path) as kit:
            yield kit

else:

    @pytest.fixture
    def kit() -> None:
        """Say what is missing."""
        pytest.fail(
            "the fixture `kit` needs pytest-asyncio: pip install pytest-asyncio. With another "
            "runner of async tests use `async with xyfast.testing.Kit() as kit:`",
            pytrace=False,
        )
