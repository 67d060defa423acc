"""The start page, done as a reader does it: its commands, its file, its two terminals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_docs import blocks
from xyfast import Config

PAGE = "docs/start.md"
[BOT] = blocks(PAGE, "python")


def begun(command: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    python = str(Path(__file__).parent.parent / "python")
    environ = {"PYTHONPATH": python, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        **options,
    )


def test_the_bot_of_the_page_answers_and_a_second_time_too(tmp_path: Path) -> None:
    _, serve, run, _ = blocks(PAGE, "sh")
    shown = blocks(PAGE, "text")[0].splitlines()
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    for _ in range(2):
        with begun(serve.strip(), tmp_path) as server:
            assert server.stdout is not None
            server.stdout.readline()  # its addresses; the files are there
            command = run.splitlines()[-1]
            with begun(command, tmp_path, stderr=subprocess.PIPE) as bot:
                assert bot.stdout is not None
                said = [bot.stdout.readline().rstrip() for _ in range(2)]
                bot.send_signal(signal.SIGINT)
                logged = bot.communicate(timeout=30)[1].splitlines()
            server.send_signal(signal.SIGINT)
            ledger = json.loads(server.communicate(timeout=30)[0].splitlines()[-1])
        assert said == shown[2:]
        assert [line.split(" ", 2)[2] for line in logged[:2]] == [line[4:] for line in shown[:2]]
        assert bot.returncode == server.returncode == 0
        sent = ledger["accounts"]["9000000000001"]["sent"]
        assert [each["text"] for each in sent] == ["在的，拍下今天发货", "稍等，我看一下"]
        assert ledger["pushed"] == ledger["acked"] == 2


def test_the_configuration_for_the_platform_is_one(tmp_path: Path) -> None:
    (tmp_path / "xyfast.toml").write_text(blocks(PAGE, "toml")[0], "utf-8")
    (tmp_path / "seller.cookies").write_text("unb=1; cookie2=2", "utf-8")
    [account] = Config.load(tmp_path / "xyfast.toml", environ={}).accounts()
    assert account.id == "1"
