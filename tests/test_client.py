"""The whole client on real sockets, against the fake server."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from world import ME, OTHER, ThreadedServer, World, fast_settings, running
from xyfast import (
    Account,
    ChatMessage,
    Expired,
    Gap,
    LoginRequired,
    MemoryStore,
    OrderNotice,
    PlatformTokens,
    SendRefused,
    Settings,
    SqliteStore,
    State,
    StateError,
    StoreError,
    Token,
    Undecodable,
)
from xyfast.instrumentation import Committed, Fact, StateChanged
from xyfast.messages import Message
from xyfast.store import Row
from xyfast.testing import FakeServer, Fault, Replay, ServerSettings, samples


async def test_a_message_is_handled_acknowledged_and_answered(server: FakeServer) -> None:
    async with running(server) as world:

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            sent = await message.reply("在的")
            assert sent.message_id == server.ledger(ME).sent[0].message_id

        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: server.ledger(ME).sent and not server.ledger(ME).unacked)
    [sent] = server.ledger(ME).sent
    assert (sent.text, sent.conversation) == ("在的", "70000000011")
    assert world.texts == ["在吗"]


async def test_every_payload_of_a_package_is_a_message(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.push(ME, [server.message(ME, str(n)) for n in range(32)])
        await world.until(lambda: len(world.chats) == 32)
    assert world.texts == [str(n) for n in range(32)]


async def test_accounts_are_kept_apart(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect(ME, OTHER)
        server.push_text(ME, "to me")
        server.push_text(OTHER, "to the other")
        await world.until(lambda: len(world.chats) == 2)
        with pytest.raises(StateError, match="added already"):
            await world.client.add(Account.from_cookies(server.cookies(ME)))
        with pytest.raises(StateError, match="never added"):
            world.client.state("1")
    assert {(m.account_id, m.text) for m in world.chats} == {
        (ME, "to me"),
        (OTHER, "to the other"),
    }


class GatedStore(MemoryStore):
    """A store whose commits wait at a gate, or fail for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.failures = 0
        self.tries = 0

    async def append(self, rows: Sequence[Row]) -> Collection[tuple[str, str]]:
        self.tries += 1
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise StoreError("the disk is full")
        return await super().append(rows)


async def test_nothing_is_acknowledged_or_handled_before_its_commit(server: FakeServer) -> None:
    store = GatedStore()
    async with running(server, store=store) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: store.tries == 1)
        beats = server.ledger(ME).heartbeats
        await world.until(lambda: server.ledger(ME).heartbeats > beats)
        assert server.ledger(ME).unacked
        assert world.chats == []
        store.gate.set()
        await world.until(lambda: not server.ledger(ME).unacked and world.chats)


async def test_a_store_that_fails_acknowledges_nothing_and_loses_nothing(
    server: FakeServer,
) -> None:
    store = GatedStore()
    store.gate.set()
    store.failures = 1
    async with running(server, store=store) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: store.tries == 1)
        assert server.ledger(ME).unacked
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
    assert world.texts == ["在吗"]


async def test_a_message_pushed_twice_is_handled_once(server: FakeServer) -> None:
    server.fault(None, Fault.DUPLICATE)
    facts: list[Fact] = []
    async with running(server, hooks=[facts.append]) as world:
        await world.connect()
        for number in range(20):
            server.push_text(ME, str(number))
        await world.until(lambda: sum(f.known for f in facts if isinstance(f, Committed)) >= 20)
        await world.until(lambda: len(world.chats) >= 20)
    assert world.texts == [str(n) for n in range(20)]


async def test_an_undecodable_payload_is_a_dead_letter_and_costs_its_neighbours_nothing(
    server: FakeServer, tmp_path: Path
) -> None:
    seen: list[Undecodable] = []
    async with running(server, store=tmp_path / "x.db") as world:

        @world.client.on(Undecodable)
        async def note(message: Undecodable) -> None:
            seen.append(message)

        await world.connect()
        batch = [server.message(ME, "一"), samples.bad_msgpack(), server.message(ME, "三")]
        server.push(ME, batch)
        await world.until(lambda: len(world.chats) == 2 and seen)
        await world.until(lambda: not server.ledger(ME).unacked)
        server.push(ME, [samples.bad_base64()])
        await world.until(lambda: len(seen) == 2 and not server.ledger(ME).unacked)
    assert world.texts == ["一", "三"]
    assert [message.stage for message in seen] == ["msgpack", "base64"]
    assert len(server.ledger(ME).registrations) == 1


async def test_what_was_not_handled_comes_again_after_a_restart_and_says_so(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    entered = asyncio.Event()
    async with running(server, store=path, settings={"grace": 0.01}) as world:

        @world.client.on(ChatMessage)
        async def hang(message: ChatMessage) -> None:
            entered.set()
            await asyncio.Event().wait()

        await world.connect()
        server.push_text(ME, "在吗")
        await entered.wait()
        await world.until(lambda: not server.ledger(ME).unacked)
    async with running(server, store=path) as world:
        await world.connect()
        await world.until(lambda: world.chats)
        server.push_text(ME, "new")
        await world.until(lambda: len(world.chats) == 2)
    assert [(m.text, m.redelivered) for m in world.chats] == [("在吗", 1), ("new", 0)]
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "last")
        await world.until(lambda: world.chats)
    assert world.texts == ["last"]


async def test_what_came_while_the_account_was_away_is_delivered(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
    for number in range(40):
        server.push_text(ME, str(number))
    async with running(server, store=path) as world:
        await world.connect()
        await world.until(lambda: len(world.chats) == 40)
    assert world.texts == [str(n) for n in range(40)]


@pytest.mark.parametrize("replay", [Replay.PUSHES, Replay.ANSWER])
async def test_what_came_between_two_links_is_delivered_wherever_the_server_puts_it(
    replay: Replay,
) -> None:
    assumed = ServerSettings(replay=replay)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.reset()
        server.push_text(ME, "between")
        await world.until(lambda: len(world.chats) == 2)
    assert world.texts == ["before", "between"]


async def test_a_gap_that_the_server_cannot_fill_is_reported() -> None:
    gaps: list[Gap] = []
    assumed = ServerSettings(kept=5)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:

        @world.client.on(Gap)
        async def note(gap: Gap) -> None:
            gaps.append(gap)

        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        await server.down()
        for number in range(50):
            server.push_text(ME, str(number))
        await server.up()
        await world.until(lambda: gaps)
        for _ in range(2):  # it is told once, not after every reconnect
            registrations = len(server.ledger(ME).registrations)
            server.reset()
            await world.until(lambda n=registrations: len(server.ledger(ME).registrations) > n)
            count = len(world.chats)
            server.push_text(ME, "after")
            await world.until(lambda n=count: len(world.chats) > n)
    [gap] = gaps
    assert gap.account_id == ME
    assert gap.start < gap.end


async def test_a_live_push_does_not_overtake_what_the_server_replays(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(3):
            server.push_text(ME, f"{number} before")
            await world.until(lambda n=number: len(world.chats) == 3 * n + 1)
            server.reset()
            server.push_text(ME, f"{number} missed")
            registrations = len(server.ledger(ME).registrations)
            await world.until(lambda n=registrations: len(server.ledger(ME).registrations) > n)
            server.push_text(ME, f"{number} live")  # before the client has sent its cursor
            await world.until(lambda n=number: len(world.chats) == 3 * n + 3)
    said = [f"{number} {what}" for number in range(3) for what in ("before", "missed", "live")]
    assert world.texts == said


async def test_live_pushes_are_handed_on_when_the_server_never_answers_the_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("xyfast.sync._REPLAY_COMES", 0.05)
    assumed = ServerSettings(quiet_time=60.0)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.connect()
        server.push_text(ME, "live")
        await world.until(lambda: world.chats)


async def test_a_server_that_tells_no_time_is_asked_for_its_position() -> None:
    assumed = ServerSettings(registration_time=False)
    ahead = time.time() + 600.0
    clock = {"clock": lambda: ahead}
    async with FakeServer([ME], settings=assumed) as server, running(server, **clock) as world:
        await world.connect()
        await world.until(lambda: len(server.ledger(ME).received) >= 3)
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.reset()
        server.push_text(ME, "between")
        await world.until(lambda: len(world.chats) == 2)
    assert not server.ledger(ME).skipped


async def test_a_link_that_is_registered_as_another_account_is_not_ours() -> None:
    assumed = ServerSettings(registered_as="123@goofish")
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: server.ledger(ME).registrations)
        server.push_text(ME, "not for us")
        await world.until(lambda: world.client.state(ME) is State.FAILED)
    assert world.chats == []
    assert server.ledger(ME).unacked


async def test_the_cursor_is_stored_as_messages_are_handled(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:
        await world.connect()
        store = SqliteStore(path)
        server.push_text(ME, "one")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
        links = len(server.ledger(ME).received)
        server.reset()
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        await world.until(lambda: len(server.ledger(ME).received) > links + 1)
        server.push_text(ME, "two")
        await world.until(lambda: len(world.chats) == 2 and not server.ledger(ME).unacked)
    await store.open()
    cursor = await store.cursor(ME)
    await store.close()
    delivered = len(server.ledger(ME).delivered)
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "three")
        await world.until(lambda: world.chats)
    assert world.texts == ["three"]
    assert cursor is not None
    assert len(server.ledger(ME).delivered) == delivered + 1


async def test_a_handler_that_takes_its_time_opens_no_gap() -> None:
    gaps: list[Gap] = []
    gate = asyncio.Event()
    assumed = ServerSettings(kept=20)
    async with FakeServer([ME], settings=assumed) as server, running(server) as world:

        @world.client.on(Gap)
        async def note(gap: Gap) -> None:
            gaps.append(gap)

        @world.client.on(ChatMessage)
        async def slow(message: ChatMessage) -> None:
            if message.conversation_id == "1":
                await gate.wait()

        await world.connect()
        server.push_text(ME, "slow", conversation="1")
        for number in range(60):
            server.push_text(ME, str(number), conversation="2")
            await world.until(lambda n=number: len(world.chats) > n)
        server.reset()
        server.push_text(ME, "between", conversation="2")
        await world.until(lambda: len(world.chats) == 62)
        gate.set()
    assert gaps == []
    assert world.texts[-1] == "between"


@pytest.mark.parametrize("ending", ["reset", "close 1000", "close 1011", "cut", "half-open"])
async def test_every_end_of_a_link_is_followed_by_a_new_one_and_loses_nothing(
    server: FakeServer, ending: str
) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(30):
            server.push_text(ME, str(number))
            if number % 10 == 5:
                match ending.split():
                    case ["reset"]:
                        server.reset()
                    case ["close", code]:
                        server.close_links(code=int(code))
                    case ["cut"]:
                        server.cut()
                    case _:
                        server.half_open()
                await world.until(lambda: not server.links(ME) or ending == "half-open")
                links = len(server.ledger(ME).registrations)
                await world.until(lambda n=links: len(server.ledger(ME).registrations) > n)
        await world.until(lambda: len(world.chats) == 30 and not server.ledger(ME).unacked)
    assert sorted(map(int, world.texts)) == list(range(30))


async def test_a_message_that_is_old_on_arrival_goes_its_own_way(server: FakeServer) -> None:
    late: list[Expired] = []
    async with running(server) as world:

        @world.client.on(Expired)
        async def note(expired: Expired) -> None:
            late.append(expired)

        await world.connect()
        message = server.message(ME, "from yesterday")
        server.push(ME, [dataclasses.replace(message, time=message.time - 86_400_000)])
        server.push_text(ME, "now")
        await world.until(lambda: late and world.chats)
    assert world.texts == ["now"]
    [expired] = late
    assert isinstance(expired.message, ChatMessage)
    assert expired.message.text == "from yesterday"


async def test_own_echoes_are_for_those_who_ask_and_tell_who_wrote(server: FakeServer) -> None:
    own: list[ChatMessage] = []
    async with running(server) as world:

        @world.client.on(ChatMessage, own=True)
        async def note(message: ChatMessage) -> None:
            own.append(message)

        await world.connect()
        await world.client.send_text(ME, "70000000011", "by the client", peer_id="9000000000102")
        server.push(ME, [server.message(ME, "by the seller", sender=ME)])
        await world.until(lambda: len(own) == 2)
    assert {(m.text, m.origin) for m in own} == {
        ("by the client", "client"),
        ("by the seller", "seller"),
    }
    assert world.chats == []


async def test_history_and_conversations_can_be_asked_for(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        for number in range(3):
            server.push_text(ME, str(number))
        await world.client.send_text(ME, "70000000011", "mine", peer_id="9000000000102")
        page = await world.client.history(ME, "70000000011", limit=3)
        texts = [m.text for m in page if isinstance(m, ChatMessage)]
        assert texts[:3] == ["mine", "2", "1"]
        assert page[-1].time is not None
        older = await world.client.history(ME, "70000000011", before=page[-1].time)
        assert all(message.time < page[-1].time for message in older if message.time)
        [conversation] = await world.client.conversations(ME)
        assert conversation.conversation_id == "70000000011"
        assert conversation.peer_id == "9000000000102"
        with pytest.raises(SendRefused):
            await world.client.request(ME, "/r/No/such", [])


async def test_a_kick_stops_the_account_until_the_user_reconnects_it(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.kick(ME)
        await world.until(lambda: world.client.state(ME) is State.KICKED)
        received = len(server.ledger(ME).received)
        await world.until(lambda: server.links(ME) == 0)
        assert all('"code":200' not in text for text in server.ledger(ME).received[received:])
        assert len(server.ledger(ME).registrations) == 1
        world.client.reconnect(ME)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)


class Human:
    """A credential source that logs in when it is asked."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server
        self.asked: list[tuple[str, bool, str | None]] = []

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        self.asked.append((reason, human, url))
        return Account.from_cookies(self.server.log_in(account.id))


@pytest.mark.parametrize("fault", [Fault.RISK_CONTROL, Fault.SESSION_EXPIRED])
async def test_a_platform_that_asks_for_a_human_is_asked_nothing_until_he_has_acted(
    server: FakeServer, fault: Fault
) -> None:
    server.fault(ME, fault)
    human = Human(server)
    async with running(server, credentials=human) as world:
        await world.connect()
    [(reason, asked_for_human, _)] = human.asked
    assert asked_for_human
    assert "new cookies" in reason
    refused = [call for call in server.ledger(ME).calls if call.code.startswith("FAIL")]
    assert len(refused) == 1


class Parrot:
    """A credential source that always gives the same cookies."""

    def __init__(self, cookies: str) -> None:
        self.cookies = cookies
        self.asked = 0

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        self.asked += 1
        return Account.from_cookies(self.cookies)


async def test_a_hook_with_nothing_new_to_say_does_not_make_us_ask_the_platform_again(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.RISK_CONTROL)
    parrot = Parrot(server.cookies(ME))
    async with running(server, credentials=parrot) as world:
        await world.client.add(Account.from_cookies(parrot.cookies))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN and parrot.asked)
        await world.client.close()
    assert parrot.asked == 1
    assert len(server.ledger(ME).calls) == 1


class BrokenTokens:
    """A token provider that raises something of its own, and then works."""

    def __init__(self, server: FakeServer, settings: Settings) -> None:
        self.failures = 2
        self.inner = PlatformTokens(settings)

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("as planned")
        return await self.inner.token(account, keep)


async def test_a_token_provider_may_raise_anything_and_is_asked_again(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = BrokenTokens(server, fast_settings(server))
    async with running(server, tokens=tokens) as world:
        await world.connect()
    assert "token provider raised" in caplog.text


async def test_without_a_human_the_account_waits_for_new_cookies(server: FakeServer) -> None:
    server.fault(ME, Fault.RISK_CONTROL)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)
        world.client.replace_credentials(Account.from_cookies(server.log_in(ME)))
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        with pytest.raises(StateError, match="never added"):
            world.client.replace_credentials(Account.from_cookies("unb=1"))


async def test_a_due_token_is_renewed_without_losing_a_push(server: FakeServer) -> None:
    settings = {"token_refresh": 0.2, "token_retry": 0.1}
    async with running(server, settings=settings) as world:
        await world.connect()
        for number in range(60):
            server.push_text(ME, str(number))
            await asyncio.sleep(0)
            if number % 20 == 10:
                links = len(server.ledger(ME).registrations)
                await world.until(lambda n=links: len(server.ledger(ME).registrations) > n)
        await world.until(lambda: len(world.chats) == 60)
    assert sorted(map(int, world.texts)) == list(range(60))


async def test_refused_registrations_fail_the_account_after_one_new_token(
    server: FakeServer,
) -> None:
    server.fault(ME, Fault.REGISTRATION_REFUSED)
    async with running(server) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.FAILED)
        assert [r.code for r in server.ledger(ME).registrations] == [401, 401]


async def test_a_session_that_is_gone_gets_a_new_token_and_link(server: FakeServer) -> None:
    async with running(server) as world:
        await world.connect()
        server.fault(ME, Fault.UNAUTHORISED)
        await world.until(lambda: world.client.state(ME) is State.RECONNECTING)
        server.heal(ME)
        calls = len(server.ledger(ME).calls)
        await world.until(lambda: world.client.state(ME) is State.CONNECTED)
        assert len(server.ledger(ME).calls) > calls


async def test_the_device_id_and_rotated_cookies_outlive_a_restart(
    server: FakeServer, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    cookies = server.cookies(ME)
    for _ in range(2):
        async with running(server, store=path) as world:
            server.expire_signatures(ME)
            await world.client.add(Account.from_cookies(cookies))
            await world.until(lambda: world.client.state(ME) is State.CONNECTED)
            [account] = world.client.accounts
            signing = account.cookies["_m_h5_tk"]
    devices = {registration.device_id for registration in server.ledger(ME).registrations}
    assert len(devices) == 1
    store = SqliteStore(path)
    await store.open()
    assert signing in (await store.load_session(ME) or "")
    await store.close()


async def test_one_conversation_is_answered_in_order_and_others_beside_it(
    server: FakeServer,
) -> None:
    async with running(server) as world:
        gate = asyncio.Event()

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if message.conversation_id == "1":
                await gate.wait()
            await message.reply(message.text)

        await world.connect()
        for number in range(5):
            server.push_text(ME, f"slow {number}", conversation="1")
            server.push_text(ME, f"fast {number}", conversation="2")
        await world.until(lambda: len(server.ledger(ME).sent) == 5)
        gate.set()
        await world.until(lambda: len(server.ledger(ME).sent) == 10)
    sent = [item.text for item in server.ledger(ME).sent]
    assert sent == [f"fast {n}" for n in range(5)] + [f"slow {n}" for n in range(5)]


def beats_while(threaded: ThreadedServer, block: Callable[[], None]) -> tuple[int, int]:
    """Heartbeats and links that the server saw while a handler blocked the event loop."""
    server, seen = threaded.server, 0

    def heartbeats() -> int:
        return threaded.call(lambda: server.ledger(ME).heartbeats)

    async def main() -> None:
        nonlocal seen
        connected, done = asyncio.Event(), asyncio.Event()

        def watch(fact: Fact) -> None:
            if isinstance(fact, StateChanged) and fact.new is State.CONNECTED:
                connected.set()

        async with running(server, hooks=[watch]) as world:

            @world.client.on(ChatMessage)
            async def handler(message: ChatMessage) -> None:
                nonlocal seen
                before = heartbeats()
                block()
                seen = heartbeats() - before
                done.set()

            await world.client.add(Account.from_cookies(server.cookies(ME)))
            await connected.wait()
            threaded.call(lambda: server.push_text(ME, "在吗"))
            await done.wait()

    asyncio.run(asyncio.wait_for(main(), 60.0))
    return seen, len(server.ledger(ME).registrations)


def test_a_handler_that_blocks_the_event_loop_costs_no_heartbeat(
    threaded_server: ThreadedServer,
) -> None:
    # Twice the time after which a silent link is given up.
    beats, links = beats_while(threaded_server, lambda: time.sleep(2.0))
    assert beats >= 8  # one in 0.2 s, had the machine nothing else to do
    assert links == 1


def test_a_handler_that_never_yields_costs_no_heartbeat(threaded_server: ThreadedServer) -> None:
    def spin() -> None:
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            pass

    beats, links = beats_while(threaded_server, spin)
    assert beats >= 8
    assert links == 1


async def test_a_handler_that_raises_or_hangs_costs_neither_link_nor_other_messages(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"handler_timeout": 0.1}
    async with running(server, settings=settings) as world:

        @world.client.on(ChatMessage)
        async def handler(message: ChatMessage) -> None:
            if message.text == "raise":
                raise RuntimeError("as planned")
            if message.text == "hang":
                await asyncio.Event().wait()
            await message.reply(message.text)

        await world.connect()
        with caplog.at_level(logging.CRITICAL, "xyfast.dispatch"):
            for text in ("raise", "hang", "fine"):
                server.push_text(ME, text)
            await world.until(lambda: server.ledger(ME).sent)
    assert [sent.text for sent in server.ledger(ME).sent] == ["fine"]
    assert len(server.ledger(ME).registrations) == 1


async def test_notices_and_events_reach_their_handlers(server: FakeServer) -> None:
    seen: list[Message] = []
    async with running(server) as world:

        @world.client.on(Message)
        async def note(message: Message) -> None:
            seen.append(message)

        await world.connect()
        now = int(time.time() * 1000)
        order = server.message(ME, samples.order_content("[我已付款，等待你发货]", "6" * 19))
        server.push(
            ME,
            [
                order,
                samples.red_reminder("70000000011", "等待卖家发货", now),
                samples.typing("70000000011", "9000000000102", now),
                samples.read("70000000011", ["5000000000001.PNM"], now),
                samples.session("70000000011", ME, "9000000000102", "800000000031", now),
                samples.unknown(now),
            ],
        )
        await world.until(lambda: len(seen) == 6)
    kinds = [type(message).__name__ for message in seen]
    assert sorted(kinds) == sorted(
        ["OrderNotice", "OrderNotice", "Typing", "ReadReceipt", "SessionOpened", "Unknown"]
    )
    assert any(
        isinstance(message, OrderNotice) and message.order_id == "6" * 19 for message in seen
    )


async def test_closing_lets_handlers_finish_and_their_answers_go_out(server: FakeServer) -> None:
    async with running(server) as world:
        entered = asyncio.Event()

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            entered.set()
            await asyncio.sleep(0.05)
            await message.reply("done")

        await world.connect()
        server.push_text(ME, "在吗")
        await entered.wait()
    assert [sent.text for sent in server.ledger(ME).sent] == ["done"]
    assert world.client.state(ME) is State.CLOSED
    await world.until(lambda: server.links() == 0)


async def test_a_handler_may_close_the_client(server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    async with running(server, store=path) as world:

        @world.client.on(ChatMessage)
        async def stop(message: ChatMessage) -> None:
            await world.client.close()

        await world.connect()
        server.push_text(ME, "stop")
        await asyncio.wait_for(world.client.run(), 10.0)
    async with running(server, store=path) as world:
        await world.connect()
        server.push_text(ME, "next")
        await world.until(lambda: world.chats)
    assert world.texts == ["next"]


async def test_closing_while_an_account_is_added_leaves_nothing_behind(
    server: FakeServer, tmp_path: Path
) -> None:
    world = World(server, store=tmp_path / "x.db")
    adding = asyncio.ensure_future(world.client.add(Account.from_cookies(server.cookies(ME))))
    await asyncio.sleep(0)
    await world.client.close()
    with pytest.raises(StateError, match="closed"):
        await adding
    assert asyncio.all_tasks() == {asyncio.current_task()}


class OddStore(MemoryStore):
    """A store that raises what no store should, once."""

    broken = True

    async def append(self, rows: Sequence[Row]) -> Collection[tuple[str, str]]:
        if self.broken:
            self.broken = False
            raise OSError("as planned")
        return await super().append(rows)


async def test_a_store_that_raises_anything_loses_nothing(server: FakeServer) -> None:
    async with running(server, store=OddStore()) as world:
        await world.connect()
        server.push_text(ME, "在吗")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)


async def test_closing_works_in_every_state_and_twice(server: FakeServer) -> None:
    for wait_for in (None, State.CONNECTING, State.CONNECTED):
        async with running(server) as world:
            if wait_for is not None:
                await world.client.add(Account.from_cookies(server.cookies(ME)))
                await world.until(lambda s=wait_for: world.client.state(ME) is s)
            await world.client.close()
        with pytest.raises(StateError, match="closed"):
            await world.client.add(Account.from_cookies(server.cookies(ME)))


async def test_a_store_that_cannot_be_opened_is_told_to_whoever_adds(
    server: FakeServer, tmp_path: Path
) -> None:
    world = World(server, store=tmp_path / "missing" / "x.db")
    with pytest.raises(StoreError):
        await world.client.add(Account.from_cookies(server.cookies(ME)))
    await world.client.close()


class OwnTokens:
    """A token provider of the user's."""

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        raise LoginRequired("ask the user", "OWN")


async def test_a_token_provider_of_the_user_is_used(server: FakeServer) -> None:
    async with running(server, tokens=OwnTokens()) as world:
        await world.client.add(Account.from_cookies(server.cookies(ME)))
        await world.until(lambda: world.client.state(ME) is State.NEEDS_LOGIN)


async def test_states_are_told_in_order_to_hooks_and_a_hook_that_raises_stops_nobody(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    states: list[State] = []

    def broken(fact: Fact) -> None:
        raise RuntimeError("hook")

    def note(fact: Fact) -> None:
        if isinstance(fact, StateChanged):
            states.append(fact.new)

    with caplog.at_level(logging.CRITICAL, "xyfast.instrumentation"):
        async with running(server, hooks=[broken, note]) as world:
            await world.connect()
    assert states == [State.CONNECTING, State.CONNECTED, State.DRAINING, State.CLOSED]


async def test_no_secret_and_no_text_is_logged(
    server: FakeServer, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    async with running(server, store=tmp_path / "x.db") as world:
        await world.connect()
        server.push(ME, [server.message(ME, "canary-text"), samples.bad_msgpack()])
        await world.until(lambda: world.chats)
        server.reset()
        await world.until(lambda: len(server.ledger(ME).registrations) == 2)
        server.fault(ME, Fault.SEND_REFUSED)
        with pytest.raises(SendRefused):
            await world.client.send_text(ME, "70000000011", "canary-sent", peer_id="1")
        [account] = world.client.accounts
        secrets = [value for name, value in account.cookies.items() if name != "unb"]
        secrets += [account.device_id or "", "canary-text", "canary-sent"]
        shown = repr((account, world.chats, world.client.__dict__))
    records = [record for record in caplog.records if record.name.startswith("xyfast")]
    assert records
    logged = " ".join(str(record.__dict__) for record in records) + shown
    assert [secret for secret in secrets if secret in logged] == []


def test_settings_refuse_what_makes_no_sense() -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"heartbeat": 0}, "heartbeat must be above zero"),
        ({"heartbeat": float("nan")}, "heartbeat must be above zero"),
        ({"max_handlers": 1.5}, "max_handlers must be a whole number"),
        ({"grace": "10"}, "grace must be a number"),
        ({"max_frame": True}, "max_frame must be a whole number"),
        ({"url": "ws://example.invalid/"}, "in clear"),
        ({"url": "https://example.invalid/"}, "must start with wss://"),
    ]
    for change, reason in changes:
        with pytest.raises(ValueError, match=reason):
            Settings(**change)
    assert Settings(url="ws://example.invalid/", allow_plain=True).allow_plain
    assert Settings(url="ws://[::1]:80/").url
