"""The start page, done as a reader does it: its commands, its file, its two terminals."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_docs import blocks, write
from xyfast import Account

PAGE = "docs/start.md"
[BOT] = blocks(PAGE, "python")


def begun(command: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    words = [word for word in shlex.split(command) if word not in (">", "server.json")]
    program = {"xyfast": [sys.executable, "-m", "xyfast"], "python": [sys.executable]}
    python = str(Path(__file__).parent.parent / "python")
    return subprocess.Popen(
        program[words[0]] + words[1:],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": python, "PYTHONIOENCODING": "utf-8"},
        text=True,
        encoding="utf-8",
        **options,
    )


def ended(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(30)


def test_the_bot_of_the_page_answers_and_a_second_time_too(tmp_path: Path) -> None:
    _, serve, run, _ = blocks(PAGE, "sh")
    shown = blocks(PAGE, "text")[0].splitlines()
    (tmp_path / "bot.py").write_text(BOT, "utf-8")
    for _ in range(2):
        with (tmp_path / "server.json").open("w") as addresses:
            server = begun(serve.strip(), tmp_path, stdout=addresses)
        try:
            while not (tmp_path / "server.json").read_text("utf-8").endswith("\n"):
                assert server.poll() is None
            command = run.splitlines()[-1]
            with begun(command, tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bot:
                assert bot.stdout is not None
                said = [bot.stdout.readline().rstrip() for _ in range(2)]
                bot.send_signal(signal.SIGINT)
                logged = bot.communicate(timeout=30)[1].splitlines()
        finally:
            ended(server)
        assert said == shown[2:]
        assert logged[:2] == shown[:2]
        assert bot.returncode == server.returncode == 0
        ledger = json.loads((tmp_path / "server.json").read_text("utf-8").splitlines()[-1])
        sent = ledger["accounts"]["9000000000001"]["sent"]
        assert [each["text"] for each in sent] == ["在的，拍下今天发货", "稍等，我看一下"]
        assert ledger["pushed"] == ledger["acked"] == 2


def test_what_changes_for_the_platform_fits_the_bot(tmp_path: Path) -> None:
    code = BOT
    for part in re.split(r"\n\n", blocks(PAGE, "diff")[0].strip()):
        old, new = (
            "\n".join(line[1:] for line in part.splitlines() if line.startswith(sign))
            for sign in "-+"
        )
        assert old in code
        code = code.replace(old, new)
    compile(code, write(tmp_path, code), "exec")
    assert "server" not in code
    toml = blocks(PAGE, "toml")[0].replace("unb=...", "unb=1").replace("_m_h5_tk=...", "_m_h5_tk=2")
    (tmp_path / "seller.toml").write_text(toml.replace("; ...", ""), "utf-8")
    assert Account.from_file(tmp_path / "seller.toml").id == "1"
