"""``xyfast accounts`` on real stores, and what all commands have in common."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inboxes import NOW, Run, came, chat, shanghai, with_store
from stores import ME, OTHER, letter
from world import running
from xyfast.commands import shared
from xyfast.commands.parser import make_parser
from xyfast.commands.shared import print_json
from xyfast.store import DeadLetter, Outcome, SqliteStore
from xyfast.testing import FakeServer


@pytest.fixture
def full(path: Path) -> Path:
    """Two accounts with messages in every state, and one of which nothing is known."""

    async def fill(store: SqliteStore) -> None:
        rows = [came(chat(number)) for number in range(6)] + [came(chat(9), OTHER)]
        rows[5] = replace(rows[5], taken=True)
        bad = DeadLetter(reason="answer raised ValueError")
        ended = [Outcome(ME, rows[0].key), *(Outcome(ME, row.key, bad) for row in rows[1:3])]
        await store.commit(rows, ended, received={ME: NOW * 1000 + 7})
        await store.post(letter("a"))
        await store.post(letter("b"))
        await store.mark(ME, "b", "sent", message_id="1.PNM", time=NOW)
        await store.save_session(ME, json.dumps({"saved": NOW + 60_000, "cookies": "secret"}))
        await store.save_session("9000000000003", "not ours")

    with_store(path, fill)
    return path


FACTS = [
    {
        "account": ME,
        "stored": NOW * 1000 + 7,
        "handled": NOW * 1000 - 1,
        "waiting": 3,
        "outbox": 1,
        "dead": 2,
        "session": NOW + 60_000,
    },
    {
        "account": OTHER,
        "stored": None,
        "handled": None,
        "waiting": 1,
        "outbox": 0,
        "dead": 0,
        "session": None,
    },
    {
        "account": "9000000000003",
        "stored": None,
        "handled": None,
        "waiting": 0,
        "outbox": 0,
        "dead": 0,
        "session": None,
    },
]


def test_each_account_is_told(full: Path, run: Run) -> None:
    shown = run("accounts", "--store", full, "--json")
    assert (shown.code, shown.err, shown.objects) == (0, "", FACTS)
    shown = run("accounts", "--store", full, "--json", "--account", OTHER)
    assert shown.objects == FACTS[1:2]


def test_an_account_that_is_not_there_is_not_found(full: Path, run: Run) -> None:
    shown = run("accounts", "--store", full, "--account", "9000000000009")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "xyfast accounts: there is no account 9000000000009\n"


def test_times_are_local_for_people(full: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with shanghai(monkeypatch):
        lines = run("accounts", "--store", full).out.splitlines()
    assert [re.sub(" +", " ", line) for line in lines] == [
        "ACCOUNT STORED HANDLED WAITING OUTBOX DEAD SESSION",
        f"{ME} 2026-01-01 08:00:00 2026-01-01 07:59:59 3 1 2 2026-01-01 08:01:00",
        f"{OTHER} - - 1 0 0 -",
        "9000000000003 - - 0 0 0 -",
    ]


@pytest.mark.parametrize(
    "command", ["accounts", "dead list", "outbox list", "replay --account 1 --since 0"]
)
def test_a_store_that_is_not_there_is_exit_code_2(command: str, run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "nope.db")
    result = run(*command.split(), "--store", path)
    assert (result.code, result.out) == (2, "")
    assert f"the store {path} cannot be read (No such file or directory): name one by" in result.err
    assert not Path(path).exists()


def test_programs_get_ascii_and_people_what_was_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    print_json({"text": "在吗"})
    assert capsys.readouterr().out == '{"text": "\\u5728\\u5417"}\n'
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    print_json({"text": "在吗"})
    assert terminal.getvalue() == '{"text": "在吗"}\n'


def test_an_empty_store_says_so(path: Path, run: Run) -> None:
    with_store(path, lambda store: asyncio.sleep(0))
    shown = run("accounts", "--store", path)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == "xyfast accounts: there are no accounts\n"


def test_the_page_shows_what_is_printed(
    full: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(full.parent)
    full.rename("xyfast.db")
    page = Path(__file__).parent.parent / "docs" / "howto" / "run.md"
    [session] = re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    line, expected = session.removeprefix("$ ").split("\n", 1)
    with shanghai(monkeypatch):
        assert run(*shlex.split(line)[1:]).out == expected


async def test_a_client_says_when_its_session_changed(server: FakeServer, path: Path) -> None:
    before = int(time.time() * 1000)
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: world.texts)
    store = SqliteStore(path, shared=True)
    await store.open()
    [me] = await store.accounts()
    await store.close()
    assert (me.account_id, me.waiting, me.dead) == (ME, 0, 0)
    assert me.received is not None
    assert before <= (me.saved or 0) <= time.time() * 1000


# --- in common --------------------------------------------------------------------------


def leaves(parser: argparse.ArgumentParser, at: str) -> Iterator[tuple[str, set[str]]]:
    """Commands that have no others in them, with their options."""
    inner = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    for each in inner:
        for name, child in each.choices.items():
            yield from leaves(child, f"{at} {name}".lstrip())
    if not inner:
        yield at, {name for action in parser._actions for name in action.option_strings}


def test_all_that_print_facts_have_json() -> None:
    without = {at for at, options in leaves(make_parser(), "") if "--json" not in options}
    # The fake server prints nothing else; the others print no facts.
    assert without == {"run", "config init", "completion", "fake-server"}


def test_both_readmes_name_every_command() -> None:
    for name in ("README.md", "README.zh-CN.md"):
        text = (Path(__file__).parent.parent / name).read_text("utf-8")
        listed = set(re.findall(r"^\| `xyfast (\S+)` \|", text, re.MULTILINE))
        assert listed == {at.split()[0] for at, _ in leaves(make_parser(), "")}


def test_the_machine_is_measured(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = run("bench", "--seconds", "0.01", "--json")
    assert shown.code == 0
    assert [each["name"] for each in shown.objects][::4] == [
        "decode",
        "unpackb",
        "store, commits of 256",
    ]
    assert all(each["seconds"] > 0 for each in shown.objects)
    assert list(tmp_path.iterdir()) == []
    assert re.search(
        r"^decode +\d+\.\d\d us +[\d,]+/s$", run("bench", "--seconds", "0.01").out, re.M
    )
    Path("xyfast.toml").write_text('store = "none/x.db"', "utf-8")
    assert run("bench").code == 2


def test_the_store_is_that_of_the_configuration(
    full: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(full.parent)
    assert run("accounts").code == 2  # there is no xyfast.db
    Path("xyfast.toml").write_text(f'store = "{full.name}"\n', "utf-8")
    for command in (["accounts"], ["dead", "list"], ["outbox", "list"]):
        assert run(*command, "--json").objects
    Path("xyfast.toml").rename("other.toml")
    shown = run("accounts", "--config", "other.toml", "--json")
    assert shown.objects == FACTS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(*arguments: str, **environ: str) -> tuple[str, str]:
    """What a command writes to a terminal, and to standard error that is one too."""
    (out, out_end), (err, err_end) = pty.openpty(), pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "xyfast", *arguments],
        stdout=out_end,
        stderr=err_end,
        env={**os.environ, "TERM": "xterm", **environ},
    )
    os.close(out_end)
    os.close(err_end)
    with ThreadPoolExecutor(2) as readers:
        shown, told = readers.map(read_all, (out, err))
    process.wait()
    return shown, told


def read_all(terminal: int) -> str:
    text = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        while piece := os.read(terminal, 65536):
            text += piece
    os.close(terminal)
    return text.decode()


def test_colour_is_for_terminals(full: Path) -> None:
    command = ("accounts", "--store", str(full))
    out, _ = on_terminal(*command)
    assert "\x1b[1mACCOUNT" in out
    assert "\x1b[33m9000000000001" in out
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        out, _ = on_terminal(*command, **environ)
        assert "ACCOUNT" in out
        assert "\x1b" not in out
    assert "\x1b" not in on_terminal(*command, "--json")[0]


def test_progress_is_for_terminals(full: Path) -> None:
    replay = ("replay", "--store", str(full), "--account", ME, "--since", "0", "--expiry", "1")
    out, err = on_terminal(*replay)
    assert "\r\x1b[Klooked at 1, chosen " in err
    assert "\r\x1b[Kreplayed 1 of 1\r\x1b[K" in err
    assert out.startswith("replayed 1:")
    out, err = on_terminal("demo", "--messages", "400", "--json")
    assert ", answered " in err
    assert json.loads(out)["handled"] == 400


def test_nothing_is_written_over_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress: Any = shared.Progress()
    progress.show("x")
    progress.clear()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    shared.Progress(wanted=False).show("x")
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
