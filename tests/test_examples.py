"""Every file of examples/ does what its first lines say."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import xyfast
from xyfast import Client, State
from xyfast.testing import FakeServer, Fault, Kit

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
TEN = [f"90000000000{number:02d}" for number in range(1, 11)]

pytest_plugins = ["xyfast.testing.plugin"]


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", ROOT / "examples" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_who_forgets_an_argument_is_told_which(name: str) -> None:
    path = str(ROOT / "examples" / f"{name}.py")
    environ = {**os.environ, "PYTHONPATH": str(Path(xyfast.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, path], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"usage: python {path} (ACCOUNT\.toml( URL)?|FOLDER)\n", done.stderr)


class Webhook:
    """A server that hears notices, or answers with another code than 200."""

    def __init__(self, port: int = 0) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.codes: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.heard.append((self.headers["Idempotency-Key"], body))
                code = hook.codes.pop(0) if hook.codes else 200
                if not code:
                    self.wfile.write(b"what is no HTTP\r\n\r\n")
                    return
                self.send_response(code)
                if 300 <= code < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


# As programs, as their first lines show


def write_accounts(folder: Path, server: FakeServer) -> None:
    folder.mkdir(exist_ok=True)
    for account in server.accounts:
        (folder / f"{account}.toml").write_text(f'cookies = "{server.cookies(account)}"\n', "utf-8")


@contextlib.asynccontextmanager
async def program(kit: Kit, folder: Path, name: str, *more: str) -> AsyncIterator[Any]:
    """An example that runs on its own, and stops with exit code 0 unless it was killed."""
    [first, *_] = kit.server.accounts
    what = "fake" if name == "many_accounts" else f"fake/{first}.toml"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / f"{name}.py"),
        what,
        *more,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(xyfast.__file__).parent.parent),
            "XYFAST_URL": kit.server.url,
            "XYFAST_TOKEN_URL": kit.server.token_url,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        # What was written before an account's first link is not the bot's to answer.
        await kit.until(kit.server.links, timeout=60)
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        _, said = await process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said.decode()
    assert b"Traceback" not in said, said.decode()


@pytest.mark.parametrize(
    ("name", "question", "answer"),
    [
        ("echo", "在吗", "在吗"),
        ("keywords", "包邮吗", "全国包邮，偏远地区补运费。"),
        ("assistant", "便宜点", "您好，关于“便宜点”，我记得我们已经聊了 1 句。"),
        ("many_accounts", "在吗", "在的"),
    ],
)
async def test_it_runs_as_a_program(
    kit: Kit, tmp_path: Path, name: str, question: str, answer: str
) -> None:
    write_accounts(tmp_path / "fake", kit.server)
    async with program(kit, tmp_path, name):
        assert await kit.buyer().ask(question) == answer


async def test_orders_run_as_a_program(kit: Kit, tmp_path: Path, webhook: Webhook) -> None:
    write_accounts(tmp_path / "fake", kit.server)
    buyer = kit.buyer()
    async with program(kit, tmp_path, "orders", webhook.url):
        buyer.order()
        await kit.until(lambda: webhook.heard)
    assert webhook.heard[0][1]["order"] == buyer.order_id


async def test_the_echo_is_killed_and_loses_and_doubles_nothing(kit: Kit, tmp_path: Path) -> None:
    write_accounts(tmp_path / "fake", kit.server)
    buyer = kit.buyer()
    async with program(kit, tmp_path, "echo") as process:
        assert await buyer.ask("一") == "一"
        process.kill()
        await process.wait()
    buyer.say("二")
    async with program(kit, tmp_path, "echo"):
        assert (await buyer.answer()).text == "二"
        assert await buyer.ask("三") == "三"
    assert [sent.text for sent in buyer.answers] == ["一", "二", "三"]


def test_all_examples_are_tested_and_shown() -> None:
    assert NAMES == ["assistant", "echo", "keywords", "many_accounts", "orders"]
    for page in ("README.md", "README.zh-CN.md"):
        text = (ROOT / page).read_text("utf-8")
        assert all(f"](examples/{name}.py)" in text for name in NAMES)


# Keywords


async def test_keywords_are_answered_until_a_human_is_asked_for(
    kit: Kit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keywords = load("keywords")

    def setup(client: Client) -> None:
        keywords.add_handlers(client, keywords.Desk(str(tmp_path / "desk.db")))

    client = await kit.start(setup)
    buyer, other = kit.buyer(), kit.buyer()
    assert await buyer.ask("包邮吗，哪天发货") == "\n".join(
        [keywords.ANSWERS["包邮"], keywords.ANSWERS["发货"]]
    )
    assert await buyer.ask("在吗？转人工") == keywords.HAND_OVER
    await kit.handled(buyer.say("在吗"))
    assert f"conversation {buyer.conversation_id} needs a human" in caplog.text
    await client.close()
    await kit.start(setup)  # a restart forgets no hand-over
    await kit.handled(buyer.say("还在吗"))
    assert len(buyer.answers) == 2
    assert await other.ask("在吗") == keywords.ANSWERS["在吗"]
    assert await other.ask("能开发票么") == keywords.HAND_OVER


async def test_keywords_step_back_where_the_owner_answers(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keywords = load("keywords")
    monkeypatch.setattr(keywords, "PAUSE", 100_000)
    await kit.start(lambda c: keywords.add_handlers(c, keywords.Desk(str(tmp_path / "desk.db"))))
    buyer = kit.buyer()
    await kit.handled(buyer.seller("我来回答", age=200.0))
    await kit.handled(buyer.say("在吗", age=150.0))
    assert buyer.answers == []
    assert await buyer.ask("在吗") == keywords.ANSWERS["在吗"]  # the pause is over
    await kit.handled(buyer.seller("我又来了"))
    await kit.handled(buyer.say("在吗"))
    assert len(buyer.answers) == 1


# Orders


@contextlib.asynccontextmanager
async def telling(queue: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    yield
    task.cancel()
    await asyncio.wait([task])
    queue._db.close()


async def test_orders_wait_for_a_webhook_that_is_down(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    orders = load("orders")
    monkeypatch.setattr(orders, "FIRST_WAIT", 0.01)
    gone = Webhook()
    gone.close()
    file = str(tmp_path / "queue.db")
    queue = orders.Queue(file, gone.url)
    buyer = kit.buyer()
    async with telling(queue):
        client = await kit.start(lambda client: orders.add_handlers(client, queue))
        keys = [buyer.order(), buyer.remind("交易关闭")]
        for key in keys:
            assert await kit.handled(key) is None  # the bot goes on
        await kit.until(lambda: caplog.text.count("webhook did not take") >= 2)
        await client.close()
    webhook = Webhook(gone.port)
    queue = orders.Queue(file, webhook.url)  # the next run
    async with telling(queue):
        await kit.until(lambda: len(webhook.heard) == 2)
    webhook.close()
    account = kit.server.accounts[0]
    assert [key for key, _ in webhook.heard] == [f"{account}:{key}" for key in keys]
    assert [body["text"] for _, body in webhook.heard] == ["[我已付款，等待你发货]", "交易关闭"]
    assert [body["order"] for _, body in webhook.heard] == [buyer.order_id, None]


async def test_orders_are_told_once_unless_the_webhook_wants_another_try(
    kit: Kit, tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = load("orders")
    monkeypatch.setattr(orders, "FIRST_WAIT", 0.01)
    queue = orders.Queue(str(tmp_path / "queue.db"), webhook.url)
    webhook.codes += [500, 0, 200, 400, 200]
    notices = []

    def setup(client: Client) -> None:
        orders.add_handlers(client, queue)

        @client.on(xyfast.OrderNotice)
        async def again(notice: xyfast.OrderNotice) -> None:
            notices.append(notice)

    async with telling(queue):
        await kit.start(setup)
        buyer = kit.buyer()
        names = [await told(kit, buyer.order()) for _ in range(3)]
        queue.put(notices[0])  # the handler runs again
        await kit.until(lambda: len(webhook.heard) == 5)
        queue.put(notices[1])
        names.append(await told(kit, buyer.order()))
        await kit.until(lambda: len(webhook.heard) == 6)
    first, refused, third, last = names
    heard = [key.partition(":")[2] for key, _ in webhook.heard]
    assert heard == [first, first, first, refused, third, last]


@pytest.mark.parametrize("code", [301, 302, 303, 307])
async def test_an_order_is_not_taken_elsewhere(
    code: int, kit: Kit, tmp_path: Path, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    orders = load("orders")
    queue = orders.Queue(str(tmp_path / "queue.db"), webhook.url)
    webhook.codes += [code]
    buyer = kit.buyer()
    async with telling(queue):
        await kit.start(lambda client: orders.add_handlers(client, queue))
        await told(kit, buyer.order())
        await kit.until(lambda: "for good" in caplog.text)
        await told(kit, buyer.order())
        await kit.until(lambda: len(webhook.heard) == 2)
        states = queue._db.execute("SELECT state FROM notice ORDER BY number").fetchall()
    assert states[0] == ("refused",)


@pytest.mark.parametrize("url", ["", "127.0.0.1:9000", "ftp://h/", "http://", "http://h/a b"])
def test_orders_want_a_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no http"):
        load("orders").Queue(str(tmp_path / "queue.db"), url)


async def test_orders_stop_when_they_cannot_be_told(
    kit: Kit, tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = load("orders")
    write_accounts(tmp_path / "fake", kit.server)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XYFAST_URL", kit.server.url)
    monkeypatch.setenv("XYFAST_TOKEN_URL", kit.server.token_url)
    with sqlite3.connect("orders-queue.db") as db:
        db.execute("CREATE TABLE notice (number)")  # not as it is to be
    db.close()
    file = f"fake/{kit.server.accounts[0]}.toml"
    with pytest.raises(sqlite3.OperationalError):
        await asyncio.wait_for(orders.main(file, webhook.url), 30)


async def told(kit: Kit, key: str) -> str:
    assert await kit.handled(key) is None
    return key


# The assistant


class Scripted:
    """A model that answers, fails or thinks for ever, and notes what it was asked."""

    def __init__(self, *answers: str | Exception | None) -> None:
        self._answers = list(answers)
        self.asked: list[list[tuple[str, str]]] = []

    async def answer(self, turns: list[Any]) -> str:
        self.asked.append([tuple(turn) for turn in turns])
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        assert isinstance(answer, str)
        return answer


async def test_the_assistant_knows_what_was_said(kit: Kit) -> None:
    assistant = load("assistant")
    model = Scripted("九十", "包邮", "您好")
    await kit.start(lambda client: assistant.add_handlers(client, model))
    buyer = kit.buyer()
    assert await buyer.ask("多少钱") == "九十"
    await kit.handled(buyer.seller("可以再少五块"))
    assert await buyer.ask("包邮吗") == "包邮"
    assert await kit.buyer().ask("在吗") == "您好"
    said = [("user", "多少钱"), ("assistant", "九十"), ("assistant", "可以再少五块")]
    assert model.asked == [said[:1], [*said, ("user", "包邮吗")], [("user", "在吗")]]


@pytest.mark.parametrize("failure", [ValueError("我的地址"), None, "  "], ids=str)
async def test_the_assistant_hands_over_when_the_model_fails(
    kit: Kit,
    failure: str | Exception | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assistant = load("assistant")
    monkeypatch.setattr(assistant, "TIME_LIMIT", 0.01)
    model = Scripted(failure, "九十")
    await kit.start(lambda client: assistant.add_handlers(client, model))
    buyer = kit.buyer()
    assert await buyer.ask("多少钱") == assistant.HAND_OVER
    assert "needs a human, the model failed" in caplog.text
    assert "我的地址" not in caplog.text
    await kit.handled(buyer.say("有人吗"))
    assert len(buyer.answers) == 1
    await kit.handled(buyer.seller("一百"))  # the owner has answered: the bot goes on
    monkeypatch.setattr(assistant, "TIME_LIMIT", 10.0)
    assert await buyer.ask("少点") == "九十"
    assert [text for _, text in model.asked[1]][2:] == ["有人吗", "一百", "少点"]


async def test_the_assistant_remembers_a_bounded_number(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant = load("assistant")
    monkeypatch.setattr(assistant, "CONVERSATIONS", 1)
    model = Scripted("一", "二", "三")
    await kit.start(lambda client: assistant.add_handlers(client, model))
    first, second = kit.buyer(), kit.buyer()
    for buyer in (first, second, first):
        await kit.handled(buyer.say("在吗"))
    assert [len(turns) for turns in model.asked] == [1, 1, 1]


# Ten accounts


async def test_nine_accounts_go_on_while_one_waits_for_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    many = load("many_accounts")
    monkeypatch.setattr(many, "LOOK", 0.01)
    async with Kit(FakeServer(TEN), folder=tmp_path) as kit:
        fake = tmp_path / "fake"
        write_accounts(fake, kit.server)
        for name, text in (
            ("broken", "cookies = 7"),
            ("twice", f'cookies = "unb={TEN[0]}; cookie2=1"'),
        ):
            (fake / f"{name}.toml").write_text(text, "utf-8")
        (fake / "xyfast.toml").write_text("[settings]", "utf-8")
        folder = many.Folder(fake)
        found = folder.accounts()
        assert [account.id for account in found] == TEN
        assert caplog.text.count("left out: ") == 2

        out = TEN[6]
        kit.server.fault(out, Fault.SESSION_EXPIRED)
        client = await kit.start(
            many.add_handlers, accounts=[], credentials=folder, hooks=[many.watch]
        )
        for account in found:
            await client.add(account)
        for name in TEN:
            if name != out:
                assert await kit.buyer(name).ask("在吗") == "在的"
        await kit.until(lambda: client.state(out) is State.NEEDS_LOGIN)
        await kit.until(lambda: "put the new cookies into" in caplog.text)
        assert f"account {out} is out" in caplog.text

        kit.server.log_in(out)
        write_accounts(fake, kit.server)
        await kit.until(lambda: client.state(out) is State.CONNECTED)
        assert await kit.buyer(out).ask("在吗") == "在的"
        assert all(client.state(name) is State.CONNECTED for name in TEN)
