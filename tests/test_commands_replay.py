"""``xyfast replay`` on real stores; with ``xyfast dead`` beside a bot, and as documented."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from inboxes import BAD, FAILED, NOW, Run, came, chat, replayed, shanghai, with_store
from stores import ME, OTHER, Clock
from world import running
from xyfast import ChatMessage, Undecodable
from xyfast.__main__ import main
from xyfast.instrumentation import Fact, Finished
from xyfast.store import DeadLetter, Outcome, SqliteStore
from xyfast.testing import FakeServer, samples

# --- replay -----------------------------------------------------------------------------

HOUR = 3_600_000


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A store with messages that were handled at NOW, an hour later, and two hours later."""
    path = tmp_path / "history.db"
    clock = Clock()

    async def fill() -> None:
        store = SqliteStore(path, synchronous="normal", clock=clock)
        await store.open()
        for rows in (
            [came(chat(1)), came(chat(2)), came(chat(2), OTHER)],
            [came(chat(3, time=NOW - 100_000)), came(samples.unknown(NOW).payload, key="u")],
            [came(chat(4, time=NOW - 400_000)), came(BAD, key="b", dead=None)],
        ):
            await store.commit(rows, [Outcome(row.account_id, row.key) for row in rows])
            clock.now += 3600
        await store.commit([came(chat(5)), came(BAD, key="dead")])
        await store.close()

    assert clock.now * 1000 == NOW
    asyncio.run(fill())
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["1.PNM", "u"], ["1.PNM", "u"]),
        (["--since", str(NOW)], ["1.PNM", "2.PNM", "3.PNM", "4.PNM", "b", "u"]),
        (["--since", str(NOW + 1)], ["3.PNM", "4.PNM", "b", "u"]),
        (["--until", str(NOW + HOUR)], ["1.PNM", "2.PNM"]),
        (["--since", str(NOW + HOUR), "--until", str(NOW + HOUR + 1)], ["3.PNM", "u"]),
        (["--since", "2026-01-01T01:00:00+00:00", "--until", "2026-01-01T02:00Z"], ["3.PNM", "u"]),
        (["--unknown"], ["u"]),
        (["--expired"], ["4.PNM"]),
        (["--expired", "--expiry", "60"], ["3.PNM", "4.PNM"]),
        (["--kind", "Undecodable", "--unknown"], ["b", "u"]),
        (["--kind", "ChatMessage", "--until", str(NOW + 2 * HOUR)], ["1.PNM", "2.PNM", "3.PNM"]),
    ],
)
def test_handled_messages_that_are_chosen_wait_again(
    options: list[str], expected: list[str], history: Path, run: Run
) -> None:
    replay = ["replay", "--store", history, "--account", ME, "--json", *options]
    shown = run(*replay, "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert sorted(each["key"] for each in shown.objects) == expected
    assert replayed(history) == []
    shown = run(*replay)
    assert (shown.code, shown.err) == (0, "")
    assert shown.objects == [{"replayed": len(expected)}]
    assert replayed(history) == [(ME, key) for key in expected]


def test_a_local_time_is_one_of_this_machine(
    history: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = ["replay", "--store", history, "--account", ME, "--dry-run"]
    with shanghai(monkeypatch):
        shown = run(*replay, "--since", "2026-01-01 09:30", "--kind", "Expired")
    assert shown.out.split() == ["2026-01-01", "10:00:00", "Expired", str(len(chat(4))), "4.PNM"]


def test_a_dry_run_tells_all_but_the_text(history: Path, run: Run) -> None:
    shown = run("replay", "--store", history, "--account", ME, "3.PNM", "--dry-run", "--json")
    assert shown.objects == [
        {
            "account": ME,
            "key": "3.PNM",
            "conversation": "70000000011",
            "arrived": NOW,
            "handled": NOW + HOUR,
            "returns": 0,
            "kind": "ChatMessage",
            "size": len(chat(3)),
        }
    ]


def test_only_what_was_handled_is_replayed(history: Path, run: Run) -> None:
    replay = ["replay", "--store", history, "--account", ME]
    shown = run(*replay, "1.PNM", "5.PNM", "dead")
    assert (shown.code, shown.out.partition(":")[0]) == (1, "replayed 1")
    assert shown.err.splitlines() == [
        "xyfast replay: there is no such handled message: 5.PNM",
        "xyfast replay: there is no such handled message: dead",
    ]
    for options in (["--kind", "Typing"], ["--since", str(NOW + 9 * HOUR), "--dry-run"]):
        shown = run(*replay, *options)
        assert (shown.code, shown.out) == (1, "")
        assert shown.err == "xyfast replay: nothing was found to replay\n"
    assert run("replay", "--store", history, "--account", "123", "--since", "0").code == 1


def test_more_than_a_page_handled_at_once_is_replayed(tmp_path: Path, run: Run) -> None:
    rows = [came(chat(number)) for number in range(250)]
    outcomes = [Outcome(row.account_id, row.key) for row in rows]
    path = tmp_path / "x.db"
    with_store(path, lambda store: store.commit(rows, outcomes))
    shown = run("replay", "--store", path, "--account", ME, "--since", "0", "--json")
    assert shown.objects == [{"replayed": 250}]


# --- the page ---------------------------------------------------------------------------


def test_the_commands_of_the_page_print_what_it_shows(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clock = Clock()

    async def fill() -> None:
        store = SqliteStore("xyfast.db", synchronous="normal", clock=clock)
        await store.open()
        letters = [came(BAD), came(chat(5000000000001)), came(chat(5000000000002))]
        failed = DeadLetter(reason=FAILED)
        await store.commit(letters, [Outcome(ME, row.key, failed) for row in letters[1:]])
        rows = [came(chat(5000000000003)), came(samples.unknown(NOW).payload, key="digest:77")]
        for row in rows:
            clock.now += 600
            await store.commit([row], [Outcome(ME, row.key)])
        await store.close()

    asyncio.run(fill())
    text = (Path(__file__).parent.parent / "docs" / "howto" / "dead-letters.md").read_text("utf-8")
    sessions = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    steps = [step for session in sessions for step in session.split("$ ")[1:]]
    assert len(steps) == 9
    with shanghai(monkeypatch):
        for step in steps:
            line, expected = step.split("\n", 1)
            shown = run(*shlex.split(line)[1:])
            assert (shown.code, shown.out, shown.err) == (0, expected, ""), line


# --- wrong use, wrong files -------------------------------------------------------------


def test_nothing_is_replayed_unless_it_is_said_what(history: Path, run: Run) -> None:
    shown = run("replay", "--store", history, "--account", ME)
    assert (shown.code, shown.out) == (2, "")
    assert "say which" in shown.err
    assert replayed(history) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead"],
        ["dead", "list", "--store", "x.db", "--limit", "0"],
        ["dead", "show", "--store", "x.db"],
        ["replay", "--store", "x.db", "1.PNM"],
        ["replay", "--store", "x.db", "--account", ME, "--since", "soon"],
        ["replay", "--store", "x.db", "--account", ME, "--since", "9" * 30],
        ["replay", "--store", "x.db", "--account", ME, "--kind", "Chat"],
        ["replay", "--store", "x.db", "--account", ME, "--expired", "--expiry", "nan"],
    ],
)
def test_wrong_use_is_exit_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_files_that_are_no_store_of_now_are_told(tmp_path: Path, run: Run) -> None:
    old, foreign = tmp_path / "old.db", tmp_path / "foreign.db"
    for path, script in ((old, "PRAGMA user_version = 1"), (foreign, "CREATE TABLE t (x)")):
        db = sqlite3.connect(path)
        db.executescript(script)
        db.close()
    (tmp_path / "text.db").write_text("no database, but text that is long enough\n" * 100)
    for name, reason in (
        ("old.db", "is of version 1; start the bot once"),
        ("foreign.db", "is not an inbox of xyfast"),
        ("text.db", "cannot be read"),
    ):
        for command in (["dead", "list"], ["replay", "--account", ME, "--since", "0"]):
            shown = run(*command, "--store", tmp_path / name)
            assert (shown.code, shown.out) == (1, "")
            assert shown.err.startswith("xyfast ")
            assert reason in shown.err


# --- beside a running bot ---------------------------------------------------------------


async def command(*arguments: object) -> list[Any]:
    """What a command of its own process prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "xyfast", *map(str, arguments), "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


async def test_dead_letters_and_handled_messages_are_replayed_while_the_bot_runs(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    settings = {"handler_retries": 0, "revived_every": 0.05}
    undecodable: list[Undecodable] = []
    broken = True
    facts: list[Fact] = []

    def ended(key: str) -> int:
        """How often it was recorded that the handlers of a message have ended."""
        return sum(isinstance(fact, Finished) and fact.key == key for fact in facts)

    async with running(server, store=path, settings=settings, hooks=[facts.append]) as world:

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if broken:
                raise ValueError
            await message.reply("在的")

        @world.client.on(Undecodable)
        async def note(message: Undecodable) -> None:
            undecodable.append(message)

        await world.connect()
        server.push(ME, [samples.bad_msgpack()])
        key = server.push_text(ME, "在吗")
        await world.until(lambda: ended(key) == 1 and undecodable)
        dead = await command("dead", "list", "--store", path)
        assert {each["stage"] for each in dead} == {"msgpack", "handler"}
        [failed] = [each for each in dead if each["key"] == key]
        assert failed["reason"].endswith("answer raised ValueError")

        broken = False
        assert await command("dead", "replay", "--store", path, key) == [{"replayed": 1}]
        await world.until(lambda: ended(key) == 2)
        assert [sent.text for sent in server.ledger(ME).sent] == ["在的"]
        [left] = await command("dead", "list", "--store", path)
        assert left["stage"] == "msgpack"

        assert await command("dead", "replay", "--store", path, "--all") == [{"replayed": 1}]
        await world.until(lambda: ended(left["key"]) == 1)
        assert [message.redelivered for message in undecodable] == [0, 1]

        replay = ("replay", "--store", path, "--account", ME, key, "--kind", "ChatMessage")
        assert await command(*replay) == [{"replayed": 1}]
        await world.until(lambda: ended(key) == 3)
        assert [message.redelivered for message in world.chats] == [0, 1, 2]
        assert len(server.ledger(ME).sent) == 2
