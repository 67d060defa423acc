"""What a link brought is written down, and the fake server brings it again."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from world import ME, OTHER
from xyfast import (
    ChatMessage,
    Client,
    ConfigError,
    Marker,
    OrderNotice,
    ReadReceipt,
    SessionOpened,
    State,
    SystemNotice,
    Typing,
    Undecodable,
    Unknown,
)
from xyfast.recording import Recorder
from xyfast.testing import FakeServer, Kit, fast_settings, play, samples
from xyfast.transport import RustTransport

KINDS = (
    ChatMessage,
    OrderNotice,
    SystemNotice,
    ReadReceipt,
    Typing,
    SessionOpened,
    Marker,
    Unknown,
    Undecodable,
)


class Heard:
    """A bot that notes what it is given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, client: Client) -> None:
        for kind in KINDS:
            client.on(kind, own=True)(self.note)  # type: ignore[type-var]

    async def note(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def kinds(self) -> list[str]:
        return sorted(type(message).__name__ for message in self.messages)


def recorder(kit: Kit, path: Path, **options: Any) -> Recorder:
    return Recorder(path, RustTransport(fast_settings(kit.server)), **options)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def mode_and_text(path: Path) -> tuple[int, str]:
    return path.stat().st_mode & 0o777, path.read_text("utf-8")


async def live(kit: Kit, path: Path, **options: Any) -> Heard:
    """A run with one of everything, recorded."""
    heard = Heard()
    client = await kit.start(heard, transport=recorder(kit, path, **options))
    buyer = kit.buyer()
    now = kit.server.clock()
    buyer.say("我的地址是某路三号")
    buyer.show()
    buyer.order()
    buyer.remind()
    buyer.tip("对方已开启安全保障")
    buyer.type()
    buyer.open()
    buyer.read(["5000000000009.PNM"])
    kit.server.push(ME, [samples.unknown(now), samples.bad_base64(), samples.bad_msgpack()])
    await kit.until(lambda: len(heard.messages) == 11)
    await client.close()
    return heard


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "traffic.jsonl"


async def test_a_recording_plays_back_as_what_it_was(file: Path, tmp_path: Path) -> None:
    async with Kit() as kit:
        was = await live(kit, file)
    again = Heard()
    async with Kit() as kit:
        await kit.start(again)
        pushed = await play(kit.server, file)
        await kit.until(lambda: len(again.messages) >= len(was.messages))
        await kit.until(lambda: not kit.server.ledger(ME).unacked)
        assert kit.server.ledger(ME).pushed == pushed
        # The same store again: it is news, not known already.
        await play(kit.server, file)
        await kit.until(lambda: len(again.messages) >= 2 * len(was.messages) - 2)
    first = again.messages[: len(was.messages)]
    assert sorted(type(message).__name__ for message in first) == was.kinds
    [before] = [m for m in was.messages if isinstance(m, ChatMessage) and m.content == "text"]
    [after] = [m for m in first if isinstance(m, ChatMessage) and m.content == "text"]
    assert after.origin == before.origin
    assert after.text.startswith("text-")
    assert after.conversation_id != before.conversation_id
    [order] = [m for m in first if isinstance(m, OrderNotice) and m.order_id]
    assert order.text == "[我已付款，等待你发货]"
    assert order.conversation_id == after.conversation_id


async def test_the_file_says_nothing_of_people_and_secrets(file: Path) -> None:
    async with Kit() as kit:
        await live(kit, file)
        cookies = kit.server.cookies(ME)
    mode, text = mode_and_text(file)
    for secret in ("某路", "安全保障", "测试", "synthetic-sid", "synthetic%2B", "synthetic+"):
        assert secret not in text
    for cookie in cookies.split("; "):
        name, _, value = cookie.partition("=")
        assert name == "unb" or value not in text
    assert "reg-sid" not in text
    assert mode == 0o600
    assert lines(file)[0] == {"recording": 1, "texts": False}
    assert {line["account"] for line in lines(file)[1:]} == {"9000000000001"}


async def test_texts_are_kept_when_asked_for(file: Path) -> None:
    async with Kit() as kit:
        await live(kit, file, texts=True)
    again = Heard()
    async with Kit(FakeServer([OTHER])) as kit:
        await kit.start(again)
        await play(kit.server, file)
        await kit.until(lambda: any(isinstance(m, ChatMessage) for m in again.messages))
    assert "我的地址是某路三号" in {
        message.text for message in again.messages if isinstance(message, ChatMessage)
    }
    assert {message.account_id for message in again.messages} == {OTHER}


async def test_ends_gaps_and_kicks_are_played_too(file: Path) -> None:
    async with Kit() as kit:
        heard = Heard()
        client = await kit.start(heard, transport=recorder(kit, file))
        for end in (lambda: kit.server.close_links(ME, 1001), kit.server.reset):
            registered = len(kit.server.ledger(ME).registrations)
            end()
            await kit.until(
                lambda count=registered: (
                    len(kit.server.ledger(ME).registrations) > count
                    and client.state(ME) is State.CONNECTED
                )
            )
        kit.server.announce_gap(ME)
        kit.server.kick(ME)
        await kit.until(lambda: client.state(ME) is State.KICKED)
        await client.close()
    said = [line for line in lines(file) if line.keys() & {"closed", "gap", "kick"}]
    assert [line.get("closed", "-") for line in said] == [1001, None, "-", "-"]
    assert [line.get("gap", False) for line in said] == [False, False, True, False]
    assert said[-1]["kick"] == "/push/kickout"

    async with Kit() as kit:
        client = await kit.start()
        await play(kit.server, file)
        await kit.until(lambda: client.state(ME) is State.KICKED)
        assert len(kit.server.ledger(ME).registrations) == 3
        await client.close()
        with pytest.raises(TimeoutError):
            await play(kit.server, file, timeout=0.01)


OLD = """\
{"recording": 1, "texts": true}
{"at": 0.1, "account": "9000000000001", "time": 1767225601000, "lwp": "/s/para", "entries": [\
{"type": 40000, "tree": {"1": {"1": {"1": "8000000000002@goofish"}, "2": "8000000000003@goofish", \
"3": "8000000000004.PNM", "5": 1767225600500, "6": {"1": 101, "3": {"4": 1, \
"5": "{\\"contentType\\":1,\\"text\\":{\\"text\\":\\"在吗\\"}}"}}, \
"10": {"reminderContent": "在吗", "senderUserId": "8000000000002", "sessionType": "1"}}}}, \
{"type": 40103, "tree": {"1": ["8000000000004.PNM"], "2": 2, "3": "8000000000003@goofish", \
"5": 1767225600900}}, {"type": 40000, "bad": "base64"}, \
{"type": 40000, "tree": {"1": {"2": "8000000000003@goofish", "5": 1767225600800, \
"10": {"reminderContent": "在的", "senderUserId": "9000000000001", "sessionType": "1"}}}}]}
"""


async def test_a_recording_of_version_1_plays_whenever_it_was_made(file: Path) -> None:
    await asyncio.to_thread(file.write_text, OLD, "utf-8")
    heard = Heard()
    async with Kit(FakeServer([OTHER])) as kit:
        await kit.start(heard)
        began = kit.server.clock()
        key, *_ = await play(kit.server, file)
        await kit.until(lambda: len(heard.messages) == 4)
        now = kit.server.clock()
    assert heard.kinds == ["ChatMessage", "ChatMessage", "ReadReceipt", "Undecodable"]
    chat, own = [message for message in heard.messages if isinstance(message, ChatMessage)]
    assert (chat.origin, own.origin) == ("peer", "seller")
    [read] = [message for message in heard.messages if isinstance(message, ReadReceipt)]
    assert (chat.key, chat.text, chat.account_id) == (key, "在吗", OTHER)
    assert key != "8000000000004.PNM"
    assert read.message_ids == (key,)
    assert chat.time is not None
    assert read.time is not None
    assert 0 < now - chat.time < 60_000
    # The clock goes on between two lines.
    assert 400 <= read.time - chat.time <= 400 + now - began


async def test_two_accounts_stay_two(file: Path) -> None:
    async with Kit(FakeServer([ME, OTHER])) as kit:
        heard = Heard()
        await kit.start(heard, transport=recorder(kit, file))
        kit.buyer(OTHER).say("在吗")
        kit.buyer(ME).say("在吗")
        await kit.until(lambda: len(heard.messages) == 2)
    assert len({line["account"] for line in lines(file) if line.get("entries")}) == 2
    async with Kit(FakeServer([OTHER, ME])) as kit:
        again = Heard()
        await kit.start(again)
        await play(kit.server, file)
        await kit.until(lambda: len(again.messages) == 2)
        assert {message.account_id for message in again.messages} == {ME, OTHER}
    async with Kit() as kit:
        with pytest.raises(ValueError, match=r"line \d+: one account more than the 1 of"):
            await play(kit.server, file)


async def test_a_second_run_adds_to_the_file(file: Path) -> None:
    for _ in range(2):
        async with Kit() as kit:
            await live(kit, file)
    assert [line.get("recording") for line in lines(file)].count(1) == 2


async def test_a_full_recording_ends_and_the_bot_goes_on(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with Kit() as kit:
        await live(kit, file, most=600)
    assert len(mode_and_text(file)[1].encode()) <= 600
    assert "recording ended, it is full" in caplog.text


async def test_a_recording_that_fails_ends_and_the_bot_goes_on(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Recorder, event: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "_line", broken)
    async with Kit() as kit:
        await live(kit, file)
    assert "recording ended, it cannot be written" in caplog.text


async def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    async with Kit() as kit:
        with pytest.raises(ConfigError, match="cannot be opened: "):
            await kit.start(transport=recorder(kit, tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("{}", "line 1: is not a recording"),
        ('{"recording": 2}', "line 1: version 2 is not known"),
        ('{"recording": 1}\n{"entries": 7}', "line 2: is no line"),
        ('{"recording": 1}\n{"account": "1", "entries": [{}]}', "line 2: is no line"),
        ('{"recording": 1}\nnonsense', "line 2: "),
    ],
)
async def test_what_is_no_recording_is_refused(file: Path, text: str, reason: str) -> None:
    await asyncio.to_thread(file.write_text, text, "utf-8")
    server = FakeServer([ME])
    with pytest.raises(ValueError, match=reason):
        await play(server, file)
    assert server.ledger(ME).pushed == []
