"""``xyfast dead`` on real stores."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inboxes import BAD, FAILED, NOW, Run, came, chat, replayed, shanghai, with_store
from stores import ME, OTHER, keys
from xyfast.store import DeadLetter, Outcome, SqliteStore
from xyfast.testing import samples

LETTERS = [
    came(BAD),
    came(chat(1)),
    came(chat(2), OTHER),
    came(samples.bad_base64().payload, OTHER, conversation_id="70000000012"),
]


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
        "returns": 0,
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


@pytest.mark.parametrize("options", [[], ["--all", "--account", ME], ["--all", "1.PNM"]])
def test_nothing_is_replayed_unless_it_is_said_what(
    options: list[str], path: Path, run: Run
) -> None:
    shown = run("dead", "replay", "--store", path, *options)
    assert (shown.code, shown.out) == (2, "")
    assert "say which" in shown.err
    assert replayed(path) == []


# --- dead drop --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--all"], []),
        (["1.PNM", "4"], [D1, "2.PNM"]),
        (["--account", OTHER, "--reason", "base64"], [D1, "1.PNM", "2.PNM"]),
    ],
)
def test_letters_that_are_dropped_count_as_handled(
    options: list[str], left: list[str], path: Path, run: Run
) -> None:
    shown = run("dead", "drop", "--store", path, *options)
    gone = [each for each in LETTERS if each.key not in left]
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == f"dropped {len(gone)}: they count as handled\n"
    listed = run("dead", "list", "--store", path, "--json").objects
    assert [each["key"] for each in listed] == left

    async def look(store: SqliteStore) -> None:
        assert not await store.commit(LETTERS)
        found = []
        for account in (ME, OTHER):
            found += await store.handled(account, after=(0, 0), until=2**62)
        assert keys([each for _, each in found]) == keys(gone)
        assert [each.dead for _, each in found] == [None] * len(gone)
        [waits] = (await store.take(ME, 9)).rows
        assert waits.key == "9.PNM"

    with_store(path, look)


def test_what_is_not_found_is_told_and_the_rest_is_dropped(path: Path, run: Run) -> None:
    # One that waits is no dead letter.
    shown = run("dead", "drop", "--store", path, "1.PNM", "9.PNM", "--json")
    assert (shown.code, shown.objects) == (1, [{"dropped": 1}])
    assert shown.err == "xyfast dead drop: there is no such dead letter: 9.PNM\n"
    shown = run("dead", "drop", "--store", path, "1.PNM", "--reason", "ValueError")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.endswith("xyfast dead drop: nothing was found to drop\n")


def test_nothing_is_dropped_unless_it_is_said_what(path: Path, run: Run) -> None:
    shown = run("dead", "drop", "--store", path)
    assert (shown.code, shown.out) == (2, "")
    assert "say which" in shown.err
    assert len(run("dead", "list", "--store", path, "--json").objects) == 4


def test_letters_are_dropped_while_the_bot_runs(path: Path, run: Run) -> None:
    async def own(store: SqliteStore) -> None:
        shown = await asyncio.to_thread(run, "dead", "drop", "--store", path, "--all")
        assert shown.out.startswith("dropped 4: ")
        assert not await store.dead_letters()
        assert await store.commit([came(chat(10))])

    with_store(path, own)


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
