"""A user's type checker believes the package, wherever it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import xyfast

BOT = """
import xyfast
from xyfast import ChatMessage, Client

client = Client()


@client.on(ChatMessage)
async def answer(message: ChatMessage) -> None:
    await message.reply(message.text)


reveal_type(xyfast.decode(b""))
"""


def test_mypy_takes_the_types_of_the_installed_package(tmp_path: Path) -> None:
    """What stands on sys.path counts as installed: without ``py.typed`` it has no types."""
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
    environment["PYTHONPATH"] = str(Path(xyfast.__file__).parent.parent)
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "bot.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout
    assert '"dict[str, Any]"' in found.stdout
