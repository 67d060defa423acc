"""The command line, run as users run it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import xyfast
from xyfast.__main__ import main
from xyfast.commands import FAULTS
from xyfast.testing import PLANS

VECTORS = Path(__file__).parent / "vectors"
PUSHES = {v["name"]: v for v in json.loads((VECTORS / "pushes.json").read_text("utf-8"))["vectors"]}
GOOD = "ggGhYQKhYg=="


def xyfast_run(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "xyfast", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"xyfast {xyfast.__version__}\n"


@pytest.mark.parametrize(
    "fault", ["none", "reset", "close", "half-open", "duplicate", "bad-payload"]
)
def test_the_demo_loses_and_doubles_nothing(fault: str) -> None:
    done = xyfast_run("demo", "--messages", "120", "--fault", fault, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "pushed": 120,
        "acked": 120,
        "handled": 120,
        "replied": 120,
        "duplicates": 0,
        "lost": 0,
    }


def test_the_demo_shows_what_happens() -> None:
    done = xyfast_run("demo", "--messages", "10")
    assert done.returncode == 0, done.stderr
    assert "9000000000001: connected (registered)" in done.stdout
    assert "links lost 0, repeated deliveries dropped 0, " in done.stdout
    assert done.stderr == ""
    assert done.stdout.rstrip().endswith("duplicates 0, lost 0")


def test_the_demo_knows_its_faults() -> None:
    assert tuple(PLANS) == FAULTS
    done = xyfast_run("demo", "--fault", "resets")
    assert done.returncode == 2
    assert "invalid choice: 'resets'" in done.stderr
    assert xyfast_run("demo", "--messages", "0").returncode == 2


def decoded(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[Any], str]:
    code = main(["decode", "--compact", *arguments])
    shown = capsys.readouterr()
    return code, [json.loads(line) for line in shown.out.splitlines()], shown.err


def test_decodes_a_payload(capsys: pytest.CaptureFixture[str]) -> None:
    assert decoded(capsys, GOOD) == (0, [{"1": "a", "2": "b"}], "")


def test_decodes_plain_json_payloads(capsys: pytest.CaptureFixture[str]) -> None:
    assert decoded(capsys, '{"a": "b"}') == (0, [{"a": "b"}], "")


def test_pretty_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "ggGm5Zyo5ZCXAqFi"]) == 0
    assert capsys.readouterr().out == '{\n  "1": "在吗",\n  "2": "b"\n}\n'


def test_decodes_a_frame_with_its_payloads(capsys: pytest.CaptureFixture[str]) -> None:
    code, [frame], errors = decoded(capsys, PUSHES["package/three"]["frame"])
    assert (code, errors) == (0, "")
    assert (frame["kind"], frame["lwp"]) == ("push", "/s/vulcan")
    assert len(frame["payloads"]) == 3
    assert frame["payloads"][0]["1"]["3"].endswith(".PNM")


def test_decodes_an_answer_with_its_body(capsys: pytest.CaptureFixture[str]) -> None:
    code, [frame], _ = decoded(capsys, PUSHES["answer/send-ok"]["frame"])
    assert (code, frame["kind"], frame["code"]) == (0, "answer", 200)
    assert frame["body"]["messageId"] == "5000000000070.PNM"


def test_a_bad_entry_is_told_and_its_neighbours_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, [frame], errors = decoded(capsys, PUSHES["package/one-bad"]["frame"])
    assert code == 1
    assert [tree is None for tree in frame["payloads"]] == [False, True, False]
    assert errors.startswith("xyfast decode: argument: payload 1: msgpack: ")


def test_errors_say_where(capsys: pytest.CaptureFixture[str]) -> None:
    code, values, errors = decoded(capsys, "ggGhYQ==")
    assert (code, values) == (1, [])
    assert "byte" in errors
    code, _, errors = decoded(capsys, '{"headers":{},"lwp":"/s/sync","body":{"x"')
    assert code == 1
    assert "argument" in errors


def test_what_a_terminal_might_obey_is_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    payload = r'{"a": "\u009b2J\u202e\ud800\u001b在　吗"}'
    for options in ([], ["--json"]):
        assert main(["decode", *options, payload]) == 0
        out = capsys.readouterr().out
        assert out.replace("\n", "").replace("　", "").isprintable()
        assert json.loads(out) == json.loads(payload)
        assert "在　吗" in out


def test_decodes_a_file_line_by_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "payloads.txt"
    path.write_text(f"{GOOD}\n\nggGh\n{GOOD}\n", "utf-8")
    code, values, errors = decoded(capsys, "--file", str(path))
    assert (code, len(values)) == (1, 2)
    assert f"{path}, line 3: " in errors
    assert decoded(capsys, "--file", str(tmp_path / "missing"))[0] == 2


@pytest.mark.parametrize("nothing", ["", "!!!", "，"])
def test_what_holds_no_base64_is_told_so(nothing: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, values, errors = decoded(capsys, nothing)
    assert (code, values) == (1, [])
    assert errors == "xyfast decode: argument: is neither base64 nor JSON\n"


def test_wrong_use_is_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    assert decoded(capsys, "--file", str(path)) == (
        2,
        [],
        f"xyfast decode: {path}: is not UTF-8 text\n",
    )
    for arguments in (
        ["decode", "--file", "x", GOOD],
        ["fake-server", "--port", "80000"],
        ["fake-server", "--account", "abc"],
        ["fake-server", "--seconds", "-1"],
        [],
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("fake-server --port x", "--port: must be a number from 0 to 65535, not 'x'"),
        ("fake-server --seconds nan", "--seconds: must be a number of seconds above 0, not 'nan'"),
        ("demo --messages 1e3", "--messages: must be a number from 1 to 1000000, not '1e3'"),
        ("dead list --limit 0", "--limit: must be a number above 0, not '0'"),
        ("replay --account 1 --expiry inf", "--expiry: must be a number of seconds above 0, not"),
        ("bench --seconds 1h", "--seconds: must be above 0, and 3600 at most, not '1h'"),
        ("top --interval x", "--interval: must be 0.1 seconds or more, not 'x'"),
    ],
)
def test_a_number_that_is_none_is_told_in_words(
    arguments: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments.split())
    assert caught.value.code == 2
    assert f"error: argument {words}" in capsys.readouterr().err


def test_standard_input_that_is_no_text_is_told_so() -> None:
    command = [sys.executable, "-m", "xyfast", "decode", "--compact"]
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    lines = f"{GOOD}\n".encode() + b"\xff\n"
    done = subprocess.run(command, env=environ, input=lines, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"xyfast decode: standard input: is not UTF-8 text\n"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_that_can_be_opened_and_not_read_is_told_so() -> None:
    path = "/proc/self/mem"  # nothing is mapped where it begins
    with open(path, encoding="utf-8") as stdin:
        for arguments, name in ((["--file", path], path), ([], "standard input")):
            command = [sys.executable, "-m", "xyfast", "decode", *arguments]
            done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr == f"xyfast decode: {name}: Input/output error\n"


def test_whoever_has_seen_enough_of_a_file_is_no_fault_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "payloads.txt"
    path.write_text(f"{GOOD}\n" * 20_000, "utf-8")
    command = [sys.executable, "-m", "xyfast", "decode", "--compact", "--file", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (141, b"")


def test_decodes_standard_input() -> None:
    done = xyfast_run("decode", "--compact", stdin=f"{GOOD}\n{GOOD}\n")
    assert done.returncode == 0
    assert done.stdout == '{"1": "a", "2": "b"}\n' * 2


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "xyfast", *arguments, stdout=asyncio.subprocess.PIPE
    )


async def line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.wait_for(process.stdout.readline(), 30))


async def test_the_fake_server_serves_other_bots_and_tells_its_ledger(tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"text": "second", "after": 0.01}\n', "utf-8")
    process = await start("fake-server", "--push", "在吗", "--script", str(script))
    addresses = await line(process)
    [(account_id, cookies)] = addresses["cookies"].items()
    settings = xyfast.Settings(url=addresses["url"], token_url=addresses["token_url"])
    answered = asyncio.Event()
    async with xyfast.Client(settings=settings) as client:

        @client.on(xyfast.ChatMessage)
        async def answer(message: xyfast.ChatMessage) -> None:
            await message.reply(f"re: {message.text}")
            if message.text == "second":
                answered.set()

        await client.add(xyfast.Account.from_cookies(cookies))
        await asyncio.wait_for(answered.wait(), 30)
    process.send_signal(signal.SIGTERM)
    ledger = await line(process)
    assert await process.wait() == 0
    assert ledger["pushed"] == ledger["acked"] == 2
    sent = [item["text"] for item in ledger["accounts"][account_id]["sent"]]
    assert sent == ["re: 在吗", "re: second"]


async def test_the_fake_server_writes_what_a_bot_needs(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    process = await start("fake-server", "--write", str(folder), "--account", "123")
    told = await line(process)
    process.terminate()
    await process.communicate()
    account = xyfast.Account.from_file(folder / "123.toml")
    assert account == xyfast.Account.from_cookies(told["cookies"]["123"])
    config = xyfast.Config.load(folder / "xyfast.toml", environ={})
    assert config.accounts() == (account,)
    assert (config.settings.url, config.settings.token_url) == (told["url"], told["token_url"])
    assert config.store == folder / "xyfast.db"
    assert stat.S_IMODE((folder / "xyfast.toml").stat().st_mode) == 0o600
    environment = (folder / "environment").read_text("utf-8")
    assert environment == f"XYFAST_URL={told['url']}\nXYFAST_TOKEN_URL={told['token_url']}\n"


async def test_the_fake_server_takes_ports_and_stops_by_itself() -> None:
    first = await start("fake-server")
    taken = (await line(first))["url"].rstrip("/").rpartition(":")[2]
    second = await asyncio.to_thread(xyfast_run, "fake-server", "--port", taken)
    assert second.returncode == 2
    assert second.stderr == (
        f"xyfast fake-server: it cannot listen at --port {taken}, --http-port 0: "
        f"{os.strerror(errno.EADDRINUSE)}; give others, or 0 for any that are free\n"
    )
    first.terminate()
    await first.communicate()
    third = await asyncio.to_thread(
        xyfast_run, "fake-server", "--port", taken, "--seconds", "0.01", "--account", "123"
    )
    assert third.returncode == 0
    addresses = json.loads(third.stdout.splitlines()[0])
    assert addresses["url"].endswith(f":{taken}/")
    assert list(addresses["cookies"]) == ["123"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"txt": "x"}', "line 1"),
        ('{"text": "x"}\nnonsense', "line 2"),
        ('{"text": "x", "after": -1}', "`after`"),
        ('{"text": 5}', "`text` must be a string"),
        ('{"text": "x", "txt": 1}', "unknown key `txt`; known: text"),
        ("[]", "must be a JSON object"),
        ('{"text": "x", "account": "77"}', "add --account 77"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "script.jsonl"
    path.write_text(content, "utf-8")
    assert main(["fake-server", "--script", str(path)]) == 2
    assert reason in capsys.readouterr().err


BOT = """
import asyncio, sys
from xyfast import Account, ChatMessage, Client, Settings

url, token_url, cookies = sys.argv[1:]
client = Client(settings=Settings(url=url, token_url=token_url))

@client.on(ChatMessage)
async def answer(message):
    print("entered", flush=True)
    await asyncio.sleep(0.2)
    await message.reply("done")

async def main():
    await client.add(Account.from_cookies(cookies))
    await client.run()
    print("stopped", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_a_bot_cleanly(number: signal.Signals, server: Any) -> None:
    account = server.accounts[0]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        BOT,
        server.url,
        server.token_url,
        server.cookies(account),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    await server.wait(lambda: server.links(account), timeout=30)
    server.push_text(account, "在吗")
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"entered\n"
    process.send_signal(number)
    rest, _ = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, rest) == (0, b"stopped\n")
    assert [sent.text for sent in server.ledger(account).sent] == ["done"]


async def test_a_second_signal_cuts_the_handlers_off(server: Any) -> None:
    account = server.accounts[0]
    stuck = BOT.replace("sleep(0.2)", "sleep(1000)").replace("(url=", "(grace=99.0, url=")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        stuck,
        server.url,
        server.token_url,
        server.cookies(account),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    await server.wait(lambda: server.links(account), timeout=30)
    server.push_text(account, "在吗")
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"entered\n"
    process.send_signal(signal.SIGINT)
    told = await asyncio.wait_for(process.stderr.readline(), 30)
    assert told.startswith(b"waiting for handlers; a second signal cuts them off")
    assert told.endswith(b"(count=1, most=99 s)\n")
    process.send_signal(signal.SIGINT)
    rest, said = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, rest) == (0, b"stopped\n")
    assert said == b"handlers cut off (count=1)\n"
