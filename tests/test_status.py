"""The status page of a client at work: what it tells, when it begins and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from visits import PAGES, SAID, Viewer, dial, status_of, until, visit, watched
from world import ME, OTHER, World, running
from xyfast import (
    Account,
    ChatMessage,
    Client,
    ConfigError,
    MemoryStore,
    Settings,
    SqliteStore,
    State,
    StoreError,
)
from xyfast.instrumentation import AccountMeasured, Recovered, StateChanged
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.otel import OpenTelemetry
from xyfast.instrumentation.prometheus import CONTENT_TYPE
from xyfast.status import AccountStatus, Status, Totals
from xyfast.status.gather import SHOWN, Gathering, ready
from xyfast.store import Page
from xyfast.testing import FakeServer


def has(shape: Any, value: Any) -> bool:
    """Whether a dict has the keys of a TypedDict, and no others."""
    return get_type_hints(shape).keys() == value.keys()


# --- what it tells ------------------------------------------------------------------------


async def test_it_tells_how_the_client_stands(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect(ME, OTHER)

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            await message.reply("在的")

        server.push_text(ME, "在吗")
        shown = await until(
            world, lambda s: s["totals"]["sent"] and s["accounts"][0]["link_age"] is not None
        )
        assert has(Status, shown)
        assert has(Totals, shown["totals"])
        assert all(has(AccountStatus, each) for each in shown["accounts"])
        assert (shown["ready"], shown["reason"]) == (True, "2 of 2 accounts are connected")
        assert (shown["totals"]["accounts"], shown["matching"]) == (2, 2)
        assert shown["totals"]["states"]["connected"] == 2
        assert [each["account"] for each in shown["accounts"]] == [ME, OTHER]
        assert [each["received"] >= 1 for each in shown["accounts"]] == [True, False]
        assert shown["hops"]["answered"]["count"] == 1
        assert {move["new"] for move in shown["moves"]} == {"connecting", "connected"}


async def test_what_changes_comes_as_an_event(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect(ME, OTHER)
        viewer = await Viewer.come(world.client.status_url, f"/events?query={ME}")
        await viewer.head()
        first = await viewer.event()
        assert [each["state"] for each in first["accounts"]] == ["connected"]
        world.client.pause(ME)
        while (event := await viewer.event())["accounts"][0]["state"] != "disconnected":
            pass
        assert (event["ready"], event["reason"]) == (
            True,
            "1 of 1 accounts are connected, 1 paused",
        )
        viewer.go()


async def test_the_page_is_small_and_comes_from_nowhere_else(server: FakeServer) -> None:
    async with watched(server) as world:
        parts = {path: await visit(world.client.status_url, path) for path in PAGES}
        icon = await visit(world.client.status_url, "/favicon.ico")
    assert [part.status for part in parts.values()] == [200] * 4
    assert sum(len(part.body) for part in parts.values()) < 30_000
    text = "".join(part.text for part in parts.values())
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    page = parts["/"].text
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script src="page.js"') == 1
    assert "innerHTML" not in parts["/page.js"].text
    assert icon.status == 404


async def test_metrics_are_those_of_the_exporter(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect()
        found = await visit(world.client.status_url, "/metrics")
    assert (found.status, found.fields["content-type"]) == (200, CONTENT_TYPE)
    assert f'xyfast_account_state{{account="{ME}",state="connected"}} 1\n' in found.text


async def test_what_is_counted_already_is_not_counted_twice(server: FakeServer) -> None:
    for metrics in (Metrics(), OpenTelemetry(Metrics())):
        facts: list[Any] = []
        async with watched(server, hooks=[facts.append, metrics]) as world:
            await world.connect()
            assert len(world.client._hooks._hooks) == 2
            assert (await status_of(world))["totals"]["registered"] == 1
    async with running(server) as world:
        assert world.client._hooks._hooks == ()
        assert world.client.status_url is None


@pytest.mark.parametrize("path", ["/nothing", "/status.json/", "//", "/%2e%2e/page.py", "/dead/1"])
async def test_there_is_nothing_else(server: FakeServer, path: str) -> None:
    async with watched(server) as world:
        assert (await visit(world.client.status_url, path)).status == 404


@pytest.mark.parametrize("path", [*PAGES, *SAID, "/events"])
async def test_what_is_read_is_not_written(server: FakeServer, path: str) -> None:
    async with watched(server) as world:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
            found = await visit(world.client.status_url, path, method)
            assert (found.status, found.fields["allow"]) == (405, "GET")


# --- many accounts ------------------------------------------------------------------------


def crowd(states: dict[str, State]) -> tuple[Metrics, dict[str, Any]]:
    """Accounts in some states, that a client would have told of."""
    metrics, drivers = Metrics(), {}
    for name, state in states.items():
        account = SimpleNamespace(id=name, name=f"店 {name}")
        drivers[name] = SimpleNamespace(account=account, state=state)
        metrics(StateChanged(name, State.DISCONNECTED, state, "for a test"))
    return metrics, drivers


async def test_trouble_comes_first_and_the_rest_is_summed_up() -> None:
    odd = {"0007": State.NEEDS_LOGIN, "0005": State.KICKED, "0009": State.RECONNECTING}
    states = {f"{n:04}": odd.get(f"{n:04}", State.CONNECTED) for n in range(5000)}
    metrics, drivers = crowd(states)
    level: dict[str, Any] = dict.fromkeys(("beats", "good", "known", "in_memory", "sending"), 0)
    level |= {"state": State.CONNECTED, "link_age": 1.0, "round_trip": 0.1, "unhandled": 2}
    metrics(AccountMeasured(account_id="0042", dead=3, gaps=0, lag=1.5, **level))
    gathering = Gathering(metrics, drivers, {"4999"}, actions=False)
    laps = 0

    async def others() -> None:
        nonlocal laps
        while True:
            laps += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(others())
    look = await gathering.look()
    task.cancel()
    assert laps >= 50  # others have had the event loop all the while
    status = gathering.status(look, "")
    names = [each["account"] for each in status["accounts"]]
    assert names[:5] == ["0005", "0007", "0009", "0042", "0000"]
    assert (len(names), status["matching"], status["totals"]["accounts"]) == (SHOWN, 4999, 4999)
    assert status["totals"]["states"]["connected"] == 4996
    assert (status["totals"]["dead_letters"], status["totals"]["lag"]) == (3, 1.5)
    assert (status["ready"], status["reason"]) == (False, "4996 of 4999 accounts are connected")


@pytest.mark.parametrize(
    ("query", "names"),
    [("0042", ["0042"]), ("店 0042", ["0042"]), ("Kicked", ["0005"]), ("nobody", [])],
)
async def test_a_query_finds_ids_names_and_states(query: str, names: list[str]) -> None:
    states = {f"{n:04}": State.CONNECTED for n in range(100)} | {"0005": State.KICKED}
    gathering = Gathering(*crowd(states), (), actions=False)
    status = gathering.status(await gathering.look(), query)
    assert [each["account"] for each in status["accounts"]] == names
    assert (status["matching"], status["totals"]["accounts"]) == (len(names), 100)


# --- whether it is well -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "good"),
    [
        ({}, False),
        ({State.CONNECTED: 2}, True),
        ({State.CONNECTED: 1, State.DISCONNECTED: 1}, True),
        ({State.DISCONNECTED: 1}, True),
        *(({State.CONNECTED: 1, state: 1}, False) for state in (State.KICKED, State.FAILED)),
        ({State.CONNECTED: 1, State.NEEDS_LOGIN: 1}, False),
        ({State.CONNECTED: 1, State.RECONNECTING: 1}, False),
        ({State.CONNECTED: 1, State.DRAINING: 1}, False),
    ],
)
def test_ready_is_who_has_everybody_connected_that_should_be(
    counts: dict[State, int], good: bool
) -> None:
    assert ready({state.value: counts.get(state, 0) for state in State})[0] is good


async def test_readiness_follows_the_accounts(server: FakeServer) -> None:
    async with watched(server) as world:
        first = await visit(world.client.status_url, "/readyz")
        assert (first.status, first.text) == (503, "there are no accounts\n")
        await world.connect()
        assert (await until(world, lambda s: s["ready"]))["ready"]
        assert (await visit(world.client.status_url, "/readyz")).status == 200
        server.kick(ME)
        await until(world, lambda s: not s["ready"])
        last = await visit(world.client.status_url, "/readyz")
        assert (last.status, last.text) == (503, "0 of 1 accounts are connected\n")


class Moody(MemoryStore):
    """A store that fails or hangs, to read, to write or to hand out, as it is told."""

    reads = writes = takes = "well"
    taken = 0

    async def dead_letters(self, *arguments: Any, **options: Any) -> Any:
        await self._mind(self.reads)
        return await super().dead_letters(*arguments, **options)

    async def commit(self, *arguments: Any, **options: Any) -> Collection[tuple[str, str]]:
        await self._mind(self.writes)
        return await super().commit(*arguments, **options)

    async def take(self, *arguments: Any, **options: Any) -> Page:
        self.taken += 1
        await self._mind(self.takes)
        return await super().take(*arguments, **options)

    async def _mind(self, mood: str) -> None:
        if mood == "fails":
            raise StoreError("the disk is gone")
        if mood == "odd":
            raise KeyError("canary")
        if mood == "hangs":
            await asyncio.Event().wait()


async def test_health_is_that_of_the_store(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Moody()
    async with watched(server, store=store, settings={"store_retry": 0.01}) as world:
        await world.connect()
        url = world.client.status_url
        assert ((await visit(url, "/healthz")).status, store.reads) == (200, "well")
        monkeypatch.setattr(world.client._status._asking, "_within", 0.1)
        for mood, words in (("fails", "the disk is gone"), ("odd", "KeyError"), ("hangs", "0.1 s")):
            store.reads = mood
            found = await visit(url, "/healthz")
            assert found.status == 503, mood
            assert words in found.text
            assert "canary" not in found.text
            assert (await visit(url, "/dead.json")).status == 503
        store.reads, store.writes = "well", "fails"
        server.push_text(ME, "在吗")
        await world.until(lambda: world.client._intake.failing)
        found = await visit(url, "/healthz")
        assert (found.status, "not acknowledged" in found.text) == (503, True)
        store.writes = "well"
        await world.until(lambda: world.texts)
        assert (await visit(url, "/healthz")).text == "ok\n"


async def test_a_failure_that_left_nothing_waiting_is_forgotten(server: FakeServer) -> None:
    store, facts = Moody(), list[object]()
    settings = {"store_retry": 0.01}
    async with watched(server, store=store, settings=settings, hooks=[facts.append]) as world:
        await world.connect()
        # What it does afterwards commits nothing.
        await world.until(lambda: any(isinstance(fact, Recovered) for fact in facts))
        store.takes, before = "fails", store.taken
        world.client._intake.behind([ME])
        await world.until(lambda: store.taken > before)
        store.takes, before = "well", store.taken
        await world.until(lambda: store.taken > before)
        assert (await visit(world.client.status_url, "/healthz")).text == "ok\n"


# --- its beginning and its end ------------------------------------------------------------


async def test_a_page_that_cannot_be_served_is_an_error_that_starting_raises(
    server: FakeServer, tmp_path: Path
) -> None:
    async with watched(server) as world:
        assert world.client.status_url is not None
        place = world.client.status_url[7:-1]
        settings = Settings(url=server.url, token_url=server.token_url, status=place)
        other = Client(settings=settings, store=tmp_path / "x.db")
        account = Account.from_cookies(server.cookies(ME))
        with pytest.raises(ConfigError, match=rf"Settings\.status: .*{place}"):
            await other.add(account)
        store = SqliteStore(tmp_path / "x.db")
        await store.open()  # it was let go of
        await store.close()
    assert other.status_url is None
    await other.close()


async def test_when_the_place_is_free_again_it_starts(server: FakeServer) -> None:
    async with watched(server) as world:
        assert world.client.status_url is not None
        place = world.client.status_url[7:-1]
        other = World(server, settings={"status": place})
        with pytest.raises(ConfigError):
            await other.client.__aenter__()
    async with other.client:
        assert (await visit(other.client.status_url, "/healthz")).status == 200


async def test_the_page_ends_with_the_client(server: FakeServer) -> None:
    async with watched(server) as world:
        url = world.client.status_url
        viewer = await Viewer.come(url)
        await viewer.head()
    await viewer.rest()
    viewer.go()
    assert world.client.status_url is None
    with pytest.raises(ConnectionError):
        await dial(url)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert [task for task in left if "status" in repr(task.get_coro())] == []


async def test_each_client_has_its_own(server: FakeServer) -> None:
    async with watched(server) as one, watched(server) as other:
        await one.connect(ME)
        await other.connect(OTHER)
        assert one.client.status_url != other.client.status_url
        for world, account in ((one, ME), (other, OTHER)):
            shown = await status_of(world)
            assert [each["account"] for each in shown["accounts"]] == [account]


async def test_an_account_that_is_removed_is_shown_no_more(server: FakeServer) -> None:
    async with watched(server) as world:
        await world.connect(ME, OTHER)
        await world.client.remove(ME)
        shown = await until(world, lambda s: s["totals"]["accounts"] == 1)
        assert [each["account"] for each in shown["accounts"]] == [OTHER]
        assert shown["ready"]
