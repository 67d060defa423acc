"""``xyfast outbox`` on real stores."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from inboxes import NOW, Run, shanghai, with_store
from stores import ME, OTHER, letter
from xyfast.store import SqliteStore

CONTENT = '{"contentType":1,"text":{"text":"在的"}}'


@pytest.fixture
def path(path: Path) -> Path:
    """A store in which messages 1, 3 and 4 wait, number 3 maybe at the server."""

    async def fill(store: SqliteStore) -> None:
        await store.post(letter("a", content=CONTENT, created=NOW))
        await store.post(letter("sent"))
        await store.mark(ME, "sent", "sent", message_id="m")
        await store.post(letter("-17672256000001"))
        await store.mark(ME, "-17672256000001", "out")
        await store.post(letter("a", account_id=OTHER))

    with_store(path, fill)
    return path


def waiting(path: Path) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    async def look(store: SqliteStore) -> None:
        found.extend((post.account_id, post.name) for _, post in await store.waiting())

    with_store(path, look)
    return found


def test_what_waits_is_listed_in_its_order_without_its_texts(path: Path, run: Run) -> None:
    shown = run("outbox", "list", "--store", path, "--json")
    assert (shown.code, shown.err) == (0, "")
    assert shown.objects[0] == {
        "number": 1,
        "account": ME,
        "asked": NOW,
        "state": "queued",
        "size": len(CONTENT.encode()),
        "conversation": letter("a").conversation_id,
        "name": "a",
    }
    assert [(each["number"], each["state"]) for each in shown.objects] == [
        (1, "queued"),
        (3, "out"),
        (4, "queued"),
    ]
    lines = run("outbox", "list", "--store", path, "--account", ME).out
    assert [line.split()[0] for line in lines.splitlines()] == ["NUMBER", "1", "3"]
    assert "在的" not in lines


def test_times_are_local_for_people(path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with shanghai(monkeypatch):
        assert "2026-01-01 08:00:00" in run("outbox", "list", "--store", path).out


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["1"], [(ME, "-17672256000001"), (OTHER, "a")]),
        (["1", "4"], [(ME, "-17672256000001")]),
        (["--name", "a", "--account", OTHER], [(ME, "a"), (ME, "-17672256000001")]),
        (["--name", "-17672256000001", "--account", ME], [(ME, "a"), (OTHER, "a")]),
        (["1", "--name", "-17672256000001", "--account", ME], [(OTHER, "a")]),
        (["--account", ME], [(OTHER, "a")]),
        (["--all"], []),
    ],
)
def test_what_is_dropped_waits_no_more(
    options: list[str], left: list[tuple[str, str]], path: Path, run: Run
) -> None:
    shown = run("outbox", "drop", "--store", path, *options)
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == f"dropped {3 - len(left)}: they will not go out\n"
    assert waiting(path) == left


def test_a_number_is_no_name_and_a_name_no_number(path: Path, run: Run) -> None:
    async def name(store: SqliteStore) -> None:
        await store.post(letter("1"))

    with_store(path, name)
    assert run("outbox", "drop", "--store", path, "1").out.startswith("dropped 1:")
    assert (ME, "1") in waiting(path)
    shown = run("outbox", "drop", "--store", path, "--name", "3", "--account", ME)
    assert (shown.code, len(waiting(path))) == (1, 3)


def test_what_was_dropped_counts_as_refused(path: Path, run: Run) -> None:
    run("outbox", "drop", "--store", path, "1")

    async def ask(store: SqliteStore) -> None:
        assert (await store.post(letter("a"))).state == "refused"

    with_store(path, ask)


def test_what_is_not_there_is_named(path: Path, run: Run) -> None:
    shown = run("outbox", "drop", "--store", path, "1", "2", "--json")
    assert (shown.code, shown.objects) == (1, [{"dropped": 1}])
    assert shown.err == "xyfast outbox drop: nothing waits by that number or name: 2\n"
    assert run("outbox", "drop", "--store", path, "--account", "7").code == 1
    assert run("outbox", "list", "--store", path, "--account", "7").code == 0


@pytest.mark.parametrize(
    "options",
    [[], ["--all", "1"], ["--all", "--account", ME], ["--name", "a"], ["1", "--name", "a"]],
)
def test_it_must_be_said_what_is_dropped(options: list[str], path: Path, run: Run) -> None:
    shown = run("outbox", "drop", "--store", path, *options)
    assert shown.code == 2
    assert len(waiting(path)) == 3


def test_beside_a_running_bot_messages_are_listed_and_none_is_dropped(path: Path, run: Run) -> None:
    owner = SqliteStore(path)
    asyncio.run(owner.open())
    try:
        assert len(run("outbox", "list", "--store", path, "--json").objects) == 3
        shown = run("outbox", "drop", "--store", path, "--all")
        assert (shown.code, shown.out) == (1, "")
        assert "in use by another process" in shown.err
    finally:
        asyncio.run(owner.close())
    assert len(waiting(path)) == 3
