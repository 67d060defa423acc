"""``xyfast dead`` and ``xyfast replay`` on real stores, alone and beside a running bot."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stores import ME, OTHER, Clock, keys
from world import running
from xyfast import ChatMessage, Undecodable
from xyfast.__main__ import main
from xyfast._core import read_payload
from xyfast.entries import Entry
from xyfast.instrumentation import Fact, Finished
from xyfast.store import DeadLetter, Outcome, Row, SqliteStore
from xyfast.store.schema import WAITING
from xyfast.testing import FakeServer, samples

NOW = 1_767_225_600_000
FAILED = "answer raised ValueError"


def came(payload: str, account: str = ME, **changes: Any) -> Row:
    """A row, as a push of this payload makes it."""
    row = Entry.pushed(account, read_payload(payload), NOW * 1000, NOW).row()
    return replace(row, **changes)


def chat(number: int, text: str = "在吗", time: int = NOW) -> str:
    return samples.chat(
        samples.Message(
            id=f"{number}.PNM",
            conversation="70000000011",
            sender="9000000000077",
            peer="9000000000077",
            time=time,
            content=samples.text_content(text),
        )
    ).payload


BAD = samples.bad_msgpack().payload
LETTERS = [
    came(BAD),
    came(chat(1)),
    came(chat(2), OTHER),
    came(samples.bad_base64().payload, OTHER, conversation_id="70000000012"),
]


def with_store(path: Path, work: Callable[[SqliteStore], Awaitable[Any]]) -> Any:
    """What ``work`` returns, given the store as its owner has it."""

    async def run() -> Any:
        store = SqliteStore(path, synchronous="normal")
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def replayed(path: Path) -> list[tuple[str, str]]:
    """Account and key of what waits once more, in order."""
    db = sqlite3.connect(path)
    found = db.execute(
        "SELECT account.account, key FROM inbox JOIN account ON account.id = inbox.account"
        f" WHERE state = {WAITING} AND redelivered = 1 ORDER BY account.account, key"
    ).fetchall()
    db.close()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with letters 1 to 4: 1 and 4 cannot be decoded, handlers failed on 2 and 3."""
    path = tmp_path / "x.db"

    async def fill(store: SqliteStore) -> None:
        failed = DeadLetter(reason=FAILED)
        outcomes = [Outcome(ME, "1.PNM", failed), Outcome(OTHER, "2.PNM", failed)]
        await store.commit(LETTERS, outcomes)
        await store.commit([came(chat(9))])

    with_store(path, fill)
    return path


class Shown:
    """A command that has run in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: object) -> None:
        self.code = main([str(argument) for argument in arguments])
        self.out, self.err = capsys.readouterr()

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Shown]


@contextmanager
def shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is eight hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CST-8")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: Shown(capsys, *arguments)


# --- dead list --------------------------------------------------------------------------


def test_letters_are_listed_oldest_first_without_their_texts(path: Path, run: Run) -> None:
    shown = run("dead", "list", "--store", path, "--json")
    assert (shown.code, shown.err) == (0, "")
    assert shown.objects[0] == {
        "number": 1,
        "account": ME,
        "key": LETTERS[0].key,
        "conversation": None,
        "arrived": NOW,
        "redelivered": 0,
        "stage": "msgpack",
        "reason": "msgpack: input ends inside a value at byte 2",
        "offset": 2,
        "size": len(BAD),
    }
    facts = [(each["number"], each["stage"], each["offset"]) for each in shown.objects]
    assert facts == [
        (1, "msgpack", 2),
        (2, "handler", None),
        (3, "handler", None),
        (4, "base64", 18),
    ]
    assert shown.objects[1]["reason"] == FAILED
    lines = run("dead", "list", "--store", path).out.splitlines()
    assert [line.split()[0] for line in lines] == ["NUMBER", "1", "2", "3", "4"]
    assert lines[2].endswith(FAILED)
    assert "在吗" not in shown.out + "".join(lines)


def test_times_are_local_for_people(path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with shanghai(monkeypatch):
        assert "2026-01-01 08:00:00" in run("dead", "list", "--store", path).out
        assert f"2026-01-01 08:00:00 ({NOW})" in run("dead", "show", "--store", path, 1).out


def test_the_list_can_be_narrowed(path: Path, run: Run) -> None:
    def numbers(*options: object) -> list[int]:
        shown = run("dead", "list", "--store", path, "--json", *options)
        assert shown.code == 0
        return [each["number"] for each in shown.objects]

    assert numbers("--account", OTHER) == [3, 4]
    assert numbers("--limit", 3) == [1, 2, 3]
    assert numbers("--account", ME, "--limit", 1) == [1]
    assert numbers("--limit", 9) == [1, 2, 3, 4]


def test_more_letters_than_a_page_are_listed_and_replayed(path: Path, run: Run) -> None:
    many = [came(BAD, key=f"b{number}") for number in range(250)]
    with_store(path, lambda store: store.commit(many))
    listed = run("dead", "list", "--store", path, "--json").objects
    assert [each["key"] for each in listed[4:]] == keys(many)
    assert run("dead", "replay", "--store", path, "--all", "--json").objects == [{"replayed": 254}]
    assert run("dead", "list", "--store", path, "--json").objects == []


def test_an_empty_list_is_no_failure(path: Path, run: Run) -> None:
    shown = run("dead", "list", "--store", path, "--account", "123")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == "xyfast dead list: there are no dead letters\n"


def test_odd_times_and_a_strangers_escapes_are_shown_harmlessly(path: Path, run: Run) -> None:
    rows = [
        came(BAD, key="a\x1b[2J\u202e\ud800", arrived=2**60),
        came(BAD, key="b", arrived=None, dead=DeadLetter(reason="\x9b", offset=1)),
    ]
    with_store(path, lambda store: store.commit(rows))
    for command in (["list"], ["list", "--json"]):
        out = run("dead", *command, "--store", path).out
        assert out.replace("\n", "").isprintable()
        assert "a\\u001b[2J\\u202e\\ud800" in out
        assert str(2**60) in out
    row = came('{"1": "\x9b"}', key="c", dead=DeadLetter(reason=FAILED))
    with_store(path, lambda store: store.commit([row]))
    out = run("dead", "show", "--store", path, "c", "--payload").out
    assert out.replace("\n", "").isprintable()
    assert '{\n  "1": "\\u009b"\n}\n' in out


# --- dead show --------------------------------------------------------------------------


def test_a_letter_is_shown_by_number_or_key_without_its_text(path: Path, run: Run) -> None:
    by_number, by_key = (run("dead", "show", "--store", path, w, "--json") for w in (2, "1.PNM"))
    assert (by_number.code, by_number.objects) == (0, by_key.objects)
    [facts] = by_key.objects
    assert (facts["number"], facts["conversation"]) == (2, "70000000011")
    assert "payload" not in facts
    shown = run("dead", "show", "--store", path, 2).out
    assert f"reason        {FAILED}\n" in shown
    assert "offset        -\n" in shown
    assert "在吗" not in shown


def test_with_payload_the_tree_of_a_handlers_failure_is_shown(path: Path, run: Run) -> None:
    [facts] = run("dead", "show", "--store", path, 2, "--payload", "--json").objects
    assert facts["payload"] == LETTERS[1].payload
    assert facts["tree"]["1"]["3"] == "1.PNM"
    assert "window" not in facts
    assert '"detailNotice": "在吗"' in run("dead", "show", "--store", path, 2, "--payload").out


def test_with_payload_the_bytes_around_the_place_are_shown(path: Path, run: Run) -> None:
    [facts] = run("dead", "show", "--store", path, 1, "--payload", "--json").objects
    assert facts["window"] == {"start": 0, "offset": 2, "hex": b"\x82\x01\xda\xff\xffcut".hex()}
    shown = run("dead", "show", "--store", path, 1, "--payload").out
    assert "00000000   82  01 [da] ff  ff  63  75  74 " in shown
    assert shown.endswith("  .....cut\n")
    # Of what is no base64, the text itself.
    [facts] = run("dead", "show", "--store", path, 4, "--payload", "--json").objects
    assert bytes.fromhex(facts["window"]["hex"]).decode() == samples.bad_base64().payload


def test_a_window_is_around_the_place_however_large_the_payload(path: Path, run: Run) -> None:
    payload = '{"a": "' + "x" * 1000 + '", oops' + " " * 1000 + "}"
    with_store(path, lambda store: store.commit([came(payload, key="json")]))
    [facts] = run("dead", "show", "--store", path, "json", "--payload", "--json").objects
    window = facts["window"]
    assert window["start"] % 16 == 0
    data = bytes.fromhex(window["hex"])
    assert data == payload.encode()[window["start"] : window["start"] + len(data)]
    assert payload[window["offset"]] == "o"
    assert len(data) < 160
    assert "[6f] 6f  70  73 " in run("dead", "show", "--store", path, "json", "--payload").out


def test_a_letter_that_does_not_exist_is_told(path: Path, run: Run) -> None:
    shown = run("dead", "show", "--store", path, "77")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "xyfast dead show: there is no dead letter 77\n"


# --- dead replay ------------------------------------------------------------------------

D1, D4 = LETTERS[0].key, LETTERS[3].key


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--all"], [(ME, D1), (ME, "1.PNM"), (OTHER, "2.PNM"), (OTHER, D4)]),
        (["1.PNM"], [(ME, "1.PNM")]),
        (["1", "2.PNM"], [(ME, D1), (OTHER, "2.PNM")]),
        (["--account", OTHER], [(OTHER, "2.PNM"), (OTHER, D4)]),
        (["--reason", "ValueError"], [(ME, "1.PNM"), (OTHER, "2.PNM")]),
        (["--reason", "raised", "--account", ME], [(ME, "1.PNM")]),
        (["--reason", "base64: "], [(OTHER, D4)]),
    ],
)
def test_letters_that_are_chosen_wait_again(
    options: list[str], expected: list[tuple[str, str]], path: Path, run: Run
) -> None:
    shown = run("dead", "replay", "--store", path, *options)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"replayed {len(expected)}: ")
    assert replayed(path) == sorted(expected)


def test_what_is_not_found_is_told_and_the_rest_is_replayed(path: Path, run: Run) -> None:
    shown = run("dead", "replay", "--store", path, "1.PNM", "9.PNM", "5", "--json")
    assert (shown.code, shown.objects) == (1, [{"replayed": 1}])
    assert shown.err.splitlines() == [
        "xyfast dead replay: there is no such dead letter: 5",
        "xyfast dead replay: there is no such dead letter: 9.PNM",
    ]
    shown = run("dead", "replay", "--store", path, "--reason", "KeyError")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err == "xyfast dead replay: nothing was found to replay\n"


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
            "redelivered": 0,
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
    assert len(steps) == 8
    with shanghai(monkeypatch):
        for step in steps:
            line, expected = step.split("\n", 1)
            shown = run(*shlex.split(line)[1:])
            assert (shown.code, shown.out, shown.err) == (0, expected, ""), line


# --- wrong use, wrong files -------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["dead", "replay"], "say which"),
        (["dead", "replay", "--all", "--account", ME], "say which"),
        (["replay", "--account", ME], "say which"),
    ],
)
def test_nothing_is_replayed_unless_it_is_said_what(
    arguments: list[str], reason: str, path: Path, run: Run
) -> None:
    shown = run(*arguments, "--store", path)
    assert (shown.code, shown.out) == (2, "")
    assert reason in shown.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["dead"],
        ["dead", "list"],
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
        ("missing.db", "No such file"),
        ("old.db", "is of version 1; start the bot once"),
        ("foreign.db", "is not an inbox of xyfast"),
        ("text.db", "cannot be read"),
    ):
        for command in (["dead", "list"], ["replay", "--account", ME, "--since", "0"]):
            shown = run(*command, "--store", tmp_path / name)
            assert (shown.code, shown.out) == (1, "")
            assert shown.err.startswith("xyfast ")
            assert reason in shown.err
    assert not (tmp_path / "missing.db").exists()


def test_output_may_go_to_a_pipe_that_closes(path: Path) -> None:
    many = [came(BAD, key=f"b{number}") for number in range(2000)]
    with_store(path, lambda store: store.commit(many))
    command = [sys.executable, "-m", "xyfast", "dead", "list", "--store", str(path)]
    whole = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert len(whole.stdout) > 2 * 65_536  # more than a pipe holds
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as cut:
        assert cut.stdout is not None
        assert cut.stderr is not None
        os.read(cut.stdout.fileno(), 10)
        cut.stdout.close()
        assert cut.stderr.read() == b""
    assert cut.returncode == 141


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
