"""``xyfast run``: bots in files, run as users run them, against the fake server."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot_files import CLIENT, ROUTER, Place, Ran
from visits import visit
from world import ME
from xyfast.store.schema import HANDLED
from xyfast.testing import Fault

# --- what is run ------------------------------------------------------------------------

MAKER = CLIENT.replace("client = Client()", "").replace("@client", "").replace(".on(ChatM", "# ")
MAKERS = {
    "with the config": """
def make_client(config):
    client = Client(store=config.make_store(), settings=config.settings)
    client.on(ChatMessage)(answer)
    return client
""",
    "by itself": """
import os
def make_client():
    from xyfast import Settings
    client = Client(store="own.db", settings=Settings.load("xyfast.toml"))
    client.on(ChatMessage)(answer)
    return client
""",
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_router_is_run_with_store_settings_and_accounts_of_the_configuration(
    number: int, place: Place
) -> None:
    place.configure('store = "kept.db"')
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py") as ran:
        await place.answers("在吗", "WORD 在吗")
        assert await ran.end(number=number) == 0
    assert "connected (account=9000000000001" in ran.err
    assert re.search(r"^\d\d\d\d-\d\d-\d\d .+ INFO +\S", ran.err, re.MULTILINE)
    assert "在吗" not in ran.err
    db = sqlite3.connect(place.folder / "kept.db")
    assert set(db.execute("SELECT state FROM inbox")) == {(HANDLED,)}
    db.close()


@pytest.mark.parametrize("which", MAKERS)
async def test_a_function_makes_the_client(which: str, place: Place) -> None:
    place.configure('store = "kept.db"')
    place.write("bot.py", MAKER + MAKERS[which])
    async with place.ran("bot.py", "--config", "xyfast.toml", "--log-level", "error") as ran:
        await place.answers("a", "WORD a")
        assert await ran.end(number=signal.SIGTERM) == 0
    by_itself = which == "by itself"
    assert (place.folder / ("own.db" if by_itself else "kept.db")).exists()
    assert (place.folder / "kept.db").exists() != by_itself
    expected = (
        "xyfast run: bot.py makes its Client by itself, so this has no effect: "
        "xyfast.toml: `settings.url`, xyfast.toml: `settings.token_url`, "
        "xyfast.toml: `settings.grace`, xyfast.toml: `store`\n"
    )
    assert ran.err == (expected if by_itself else "")


async def test_a_client_is_run_as_it_is(place: Place) -> None:
    settings = 'Client(settings=Settings.load("xyfast.toml"), router=router)'
    (place.folder / "bots").mkdir()
    place.write("bots/words.py", "WORD = 'beside'")
    place.write(
        "bots/bot.py",
        "from xyfast import Client, Settings\nimport words\n"
        + ROUTER.replace('"WORD "', "words.WORD")
        + f"client = {settings}\nsame = client\n",
    )
    async with place.ran("bots/bot.py") as ran:
        await place.answers("a", "besidea")
        assert await ran.end(number=signal.SIGTERM) == 0
    assert "makes its Client by itself" in ran.err


# --- what cannot be run -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (
            "x = 1",
            "bot.py has no `client = Client(...)`, `router = Router()` or `def make_client(co",
        ),
        (ROUTER + "other = Router()", "more than one thing to run: `router`, `other`; leave one"),
        (CLIENT + "def make_client(): ...", "more than one thing to run: `client`, `make_client`"),
        ("import nothing_of_that_name", "bot.py raises ModuleNotFoundError when it is imported"),
        ("def f(:", "bot.py raises SyntaxError when it is imported"),
        ("raise SystemExit(5)", "bot.py raises SystemExit when it is imported"),
        ("def make_client(): return 1 / 0", "bot.py raises ZeroDivisionError in `make_client`"),
        ("def make_client(config): return 5", "`make_client` must return a Client, not int"),
        ("async def make_client(): ...", "`make_client` must be a function that is not async"),
    ],
)
async def test_a_file_that_cannot_be_run_is_told_why(
    code: str, complaint: str, place: Place
) -> None:
    place.write("bot.py", code)
    async with place.ran("bot.py") as ran:
        assert await ran.end() == 2
    assert complaint in ran.err.splitlines()[-1]
    assert "commands/bot.py" not in ran.err  # only lines of the user


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.py", "there is no such file: none.py"),
        ("xyfast.toml", "xyfast.toml is no Python file"),
        (".", ". is no Python file"),
    ],
)
async def test_what_is_no_python_file_is_refused(name: str, words: str, place: Place) -> None:
    async with place.ran(name) as ran:
        assert await ran.end() == 2
    assert words in ran.err


async def test_a_file_that_hides_a_module_is_refused(place: Place) -> None:
    place.write("wave.py", ROUTER)
    async with place.ran("wave.py") as ran:
        assert await ran.end() == 2
    assert "wave.py has the name of a module that others import; rename it" in ran.err


async def test_without_accounts_nothing_is_run(place: Place) -> None:
    place.write("bot.py", ROUTER)
    place.write("empty.toml", "")
    async with place.ran("bot.py", "--config", "empty.toml") as ran:
        assert await ran.end() == 2
    assert "there are no accounts: add [[accounts]] to empty.toml; see the page" in ran.err
    (place.folder / "xyfast.toml").unlink()
    async with place.ran("bot.py") as ran:
        assert await ran.end() == 2
    place_of_none = f"there are no accounts: there is no xyfast.toml in {place.folder}; `xyfast"
    assert place_of_none in ran.err


async def test_a_store_in_use_is_exit_code_1(place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py"):
        await place.answers("a", "WORD a")
        async with place.ran("bot.py") as second:
            assert await second.end() == 1
    assert "in use by another process" in second.err


# --- while it is written ----------------------------------------------------------------


async def test_a_bot_whose_file_changes_is_stopped_and_started(place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", "--dev") as ran:
        await place.answers("a", "WORD a")
        place.write("bot.py", ROUTER.replace("WORD", "other"))
        await place.until(lambda: "bot.py changed: stopping, then starting again" in ran.err)
        await place.until(lambda: len(place.server.ledger(ME).registrations) == 2)
        await place.answers("b", "other b")
        assert await ran.end(number=signal.SIGTERM) == 0
    assert place.sent == ["WORD a", "other b"]


async def test_new_cookies_start_a_bot_anew_that_waits_for_them(place: Place) -> None:
    place.server.fault(ME, Fault.SESSION_EXPIRED)
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", "--dev") as ran:
        await place.until(lambda: "account needs login" in ran.err)
        place.write("me.cookies", place.server.log_in(ME))
        await place.until(lambda: "me.cookies changed: stopping" in ran.err)
        await place.answers("a", "WORD a")
        assert await ran.end(number=signal.SIGTERM) == 0


@pytest.mark.parametrize(("option", "shown"), [("--dev", True), ("--log-level=debug", False)])
async def test_who_develops_sees_what_handlers_raise(
    option: str, shown: bool, place: Place
) -> None:
    place.write("bot.py", ROUTER + "    raise KeyError(message.text)\n")
    async with place.ran("bot.py", option, XYFAST_HANDLER_RETRIES="0") as ran:
        await place.answers("words", "WORD words")
        await place.until(lambda: "dead letter, see" in ran.err)
        assert await ran.end(number=signal.SIGTERM) == 0
    assert ("KeyError: 'words'" in ran.err) == shown
    assert ("answer raised KeyError: 'words'" in ran.err) == shown
    assert ("words" in ran.err) == shown


async def test_a_handler_finishes_before_the_bot_starts_again(place: Place) -> None:
    slow = ROUTER.replace(
        "    await message",
        "    open('begun', 'x').close()\n"
        "    while not os.path.exists('go'): await asyncio.sleep(0.01)\n"
        "    await message",
    )
    place.write("bot.py", "import asyncio, os\n" + slow)
    async with place.ran("bot.py", "--dev") as ran:
        await place.until(lambda: place.server.links(ME))
        place.server.push_text(ME, "a")
        await place.until((place.folder / "begun").exists)
        place.write("bot.py", ROUTER.replace("WORD", "other"))
        await place.until(lambda: "changed: stopping" in ran.err)
        place.server.push_text(ME, "b")  # kept for the next one, or fetched by it
        place.write("go", "")
        await place.until(lambda: len(place.sent) == 2)
        assert await ran.end(number=signal.SIGINT) == 0
    assert place.sent == ["WORD a", "other b"]


async def test_a_bot_that_is_broken_waits_for_a_change(place: Place) -> None:
    place.write("words.py", "import nothing_of_that_name")
    place.write("bot.py", "import words\n" + ROUTER)
    async with place.ran("bot.py", "--dev") as ran:
        await place.until(lambda: "exit code 2; waiting for a change" in ran.err)
        assert "No module named 'nothing_of_that_name'" in ran.err
        place.write("words.py", "")
        await place.answers("a", "WORD a")
        place.configure("[retention]\nkeeep = 1")
        await place.until(lambda: "xyfast.toml changed" in ran.err)
        await place.until(lambda: ran.err.count("exit code 2; waiting for a change") == 2)
        assert await ran.end(number=signal.SIGTERM) == 0


async def test_a_second_signal_cuts_handlers_off(place: Place) -> None:
    place.write(
        "bot.py",
        "import asyncio\n"
        + ROUTER.replace(
            "    await", "    open('begun', 'w')\n    await asyncio.sleep(1e9)\n    await"
        ),
    )
    async with place.ran("bot.py", "--dev") as ran:
        await place.until(lambda: place.server.links(ME))
        place.server.push_text(ME, "a")
        await place.until((place.folder / "begun").exists)
        ran.process.send_signal(signal.SIGINT)
        await place.until(lambda: "waiting for handlers" in ran.err)
        assert await ran.end(number=signal.SIGINT) == 0
    assert "handlers cut off (count=1)" in ran.err


@pytest.fixture
def hangups() -> Iterator[None]:
    """Hang-ups are heard, as in a terminal, though whoever runs the tests may ignore them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("option", [[], ["--dev"]])
async def test_a_bot_ends_with_its_terminal(option: list[str], place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", *option) as ran:
        await place.answers("a", "WORD a")
        assert await ran.end(number=signal.SIGHUP) == 0
    await place.until(lambda: not place.server.links(ME))


async def test_a_bot_ends_if_what_watches_it_fails(place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", "--dev") as ran:
        await place.answers("a", "WORD a")
        ran.process._transport.get_pipe_transport(2).close()  # type: ignore[attr-defined]
        await asyncio.sleep(0)  # now it is closed
        place.write("bot.py", ROUTER.replace("WORD", "other"))
        assert await ran.end() == 141  # as of a program that SIGPIPE ends
    await place.until(lambda: not place.server.links(ME))


TELLING = (
    "import logging\nfrom xyfast import Secret\nKEY = Secret('synthetic-canary')\n"
    + ROUTER.replace(
        "    await",
        "    logging.getLogger('bot').warning('has %s\\x9b', KEY.reveal(), extra={'of': 'shop'})\n"
        "    await",
    )
)


async def test_what_any_logger_says_holds_no_secret(place: Place) -> None:
    place.write("bot.py", TELLING)
    async with place.ran("bot.py") as ran:
        await place.answers("a", "WORD a")
        assert await ran.end(number=signal.SIGTERM) == 0
    assert "has <secret>\\u009b\n" in ran.err
    assert "synthetic-canary" not in ran.err


async def test_the_log_may_be_lines_of_json(place: Place) -> None:
    place.write("bot.py", TELLING + "    raise ValueError(KEY.reveal())\n")
    async with place.ran("bot.py", "--log-json", "--log-level", "debug") as ran:
        await place.answers("a", "WORD a")
        await place.until(lambda: "handler raised" in ran.err)
        assert await ran.end(number=signal.SIGTERM) == 0
    lines = [json.loads(line) for line in ran.err.splitlines()]
    said = {(line["logger"], line["message"]): line for line in lines}
    assert said["bot", "has <secret>\x9b"]["of"] == "shop"
    assert said["xyfast.driver", "account is connected"]["account"] == ME
    assert any(line["logger"] == "asyncio" for line in lines)
    assert "synthetic-canary" not in ran.err


async def test_a_bot_that_sets_up_its_log_is_told_that_json_is_not_written(place: Place) -> None:
    place.write("bot.py", "import logging\nlogging.basicConfig()\n" + ROUTER)
    async with place.ran("bot.py", "--log-json") as ran:
        await place.until(lambda: place.server.links(ME))
        assert await ran.end(number=signal.SIGTERM) == 0
    assert ran.err == "xyfast run: bot.py sets up logging itself: --log-json has no effect\n"


async def test_json_is_written_while_it_is_developed_too(place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", "--dev", "--log-json") as ran:
        await place.answers("a", "WORD a")
        assert await ran.end(number=signal.SIGTERM) == 0
    assert "account is connected" in {json.loads(line)["message"] for line in ran.err.splitlines()}


async def test_what_a_file_raises_is_shown_without_secrets(place: Place) -> None:
    secret = "from xyfast import Secret\nKEY = Secret('synthetic-canary')\n"
    place.write("bot.py", f"{secret}raise ValueError(KEY.reveal())")
    async with place.ran("bot.py") as ran:
        assert await ran.end() == 2
    assert "ValueError: <secret>" in ran.err
    assert 'bot.py", line 3' in ran.err
    assert "synthetic-canary" not in ran.err


# --- the status page --------------------------------------------------------------------


async def served(place: Place, ran: Ran) -> str:
    """Where the status page is, by the log."""
    found: list[str] = []

    def told() -> bool:
        found[:] = re.findall(r"status page is served \(url=(\S+)\)", ran.err)
        return bool(found)

    await place.until(told)
    return found[-1]


@pytest.mark.parametrize("option", [[], ["--dev"]])
async def test_the_status_page_is_where_the_option_says(option: list[str], place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", "--status", "127.0.0.1:0", *option) as ran:
        url = await served(place, ran)
        await place.answers("a", "WORD a")
        assert (await visit(url, "/readyz")).text == "1 of 1 accounts are connected\n"
        assert await ran.end(number=signal.SIGTERM) == 0


async def test_where_a_status_page_cannot_be_the_bot_does_not_run(place: Place) -> None:
    place.write("bot.py", ROUTER)
    async with place.ran("bot.py", XYFAST_STATUS="127.0.0.1:0") as ran:
        taken = (await served(place, ran))[7:-1]
        for wrong, words in ((taken, "give another port"), ("0.0.0.0:1", "ssh -L 1:")):
            place.write(
                "other.toml",
                'store = "other.db"\n' + (place.folder / "xyfast.toml").read_text("utf-8"),
            )
            options = ("bot.py", "--config", "other.toml", "--status", wrong)
            async with place.ran(*options) as other:
                assert await other.end() == 2
            assert f"Settings.status: nothing can be served at {wrong}" in other.err or (
                f"Settings.status '{wrong}' is not on loopback" in other.err
            )
            assert words in other.err
            assert "Traceback" not in other.err


# --- the page ---------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "answer"), [(0, "在的，拍下今天发货"), (1, "在的")])
async def test_the_bots_of_the_page_answer(number: int, answer: str, place: Place) -> None:
    text = (Path(__file__).parent.parent / "docs" / "howto" / "run.md").read_text("utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    place.write("bot.py", code[number])
    async with place.ran("bot.py") as ran:
        await place.answers("在吗", answer)
        assert await ran.end(number=signal.SIGTERM) == 0
    assert "has no effect" not in ran.err
