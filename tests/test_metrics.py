"""What is counted, timed and measured of a client at work with a server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import pytest

from world import ME, OTHER, World, running
from xyfast import ChatMessage, Gap, MemoryStore, SqliteStore, State, StoreError
from xyfast.instrumentation import (
    AccountMeasured,
    Committed,
    Fact,
    Finished,
    HandlerRan,
    LinkEnded,
    Recovered,
    SendFinished,
    SendOutcome,
    StateChanged,
    Troubled,
)
from xyfast.instrumentation.histogram import BOUNDS, SHOWN, Histogram
from xyfast.instrumentation.metrics import HOPS, OTHERS, Metrics
from xyfast.instrumentation.snapshot import AccountSnapshot
from xyfast.testing import FakeServer, Fault

FAST = {"measure_every": 0.05}
SENDS = dict.fromkeys(get_args(SendOutcome), 0)


@asynccontextmanager
async def watched(server: FakeServer, metrics: Metrics, **options: Any) -> AsyncIterator[World]:
    """A client whose account is caught up: the server repeats nothing that it pushes."""
    facts: list[Fact] = []
    settings = {**FAST, **options.pop("settings", {})}
    async with running(
        server, hooks=[metrics, facts.append], settings=settings, **options
    ) as world:
        await world.connect()
        await world.until(lambda: any(isinstance(fact, Recovered) for fact in facts))
        yield world


def one(metrics: Metrics, account: str = ME) -> AccountSnapshot:
    return metrics.snapshot().accounts[account]


async def until(world: World, metrics: Metrics, wanted: Callable[[AccountSnapshot], object]) -> Any:
    """Wait until an account's numbers are as wanted."""
    await world.until(lambda: ME in metrics.snapshot().accounts and wanted(one(metrics)))
    return one(metrics)


# --- histograms -----------------------------------------------------------------------


def test_bounds_rise_by_an_eighth_at_most_and_hold_what_is_shown() -> None:
    pairs = list(itertools.pairwise(BOUNDS))
    assert all(low < high <= low * 1.126 for low, high in pairs)
    assert (BOUNDS[0], BOUNDS[-1]) == (1e-6, 100.0)
    assert set(SHOWN) <= set(BOUNDS)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 0.1])
def test_quantiles_are_right_to_an_eighth(scale: float) -> None:
    histogram = Histogram()
    for number in range(1, 1001):
        histogram.observe(number * scale)
    read = histogram.read()
    assert read.count == 1000
    assert read.total == pytest.approx(500_500 * scale)
    for shown, real in ((read.ever.p50, 500), (read.ever.p90, 900), (read.ever.p99, 990)):
        assert shown == pytest.approx(min(real * scale, 100.0), rel=0.126)


def test_buckets_count_what_is_up_to_their_bound_and_no_duration_is_lost() -> None:
    histogram = Histogram()
    values = [0.0, 1e-7, 0.001, 0.0010001, 0.05, 99.0, 100.0, 101.0, 1e9]
    for value in values:
        histogram.observe(value)
    read = histogram.read()
    assert dict(read.buckets) == {bound: sum(value <= bound for value in values) for bound in SHOWN}
    assert read.count == len(values)


def test_recent_quantiles_forget_what_is_long_ago() -> None:
    histogram = Histogram()
    assert histogram.read().recent.p50 is None
    for _ in range(100):
        histogram.observe(10.0)
    for _ in range(20):
        histogram.mark()
    histogram.observe(0.001)
    read = histogram.read()
    assert (read.ever.count, read.recent.count) == (101, 1)
    assert read.recent.p99 == pytest.approx(0.001, rel=0.126)
    assert read.ever.p50 == pytest.approx(10.0, rel=0.126)


# --- a client at work -----------------------------------------------------------------


async def test_every_hop_of_a_message_and_of_its_answer_is_timed(server: FakeServer) -> None:
    metrics = Metrics()
    async with watched(server, metrics) as world:

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            await message.reply("在的")

        for number in range(3):
            server.push_text(ME, f"{number}", conversation=f"7000000001{number}")
        shown = await until(world, metrics, lambda a: a.handled == 6)
    assert (shown.received, shown.known, shown.sends) == (6, 0, SENDS | {"sent": 3})  # echoes too
    hops = metrics.snapshot().hops
    assert list(hops) == list(HOPS)
    counts = [latency.count for latency in hops.values()]
    assert counts == [6, 6, 6, 3, 3, 3]
    assert all(0.0 < latency.total < 60.0 for latency in hops.values())


async def test_links_heartbeats_and_states_are_counted(server: FakeServer) -> None:
    metrics = Metrics()
    async with watched(server, metrics, settings={"heartbeat": 0.05}) as world:
        up = await until(world, metrics, lambda a: a.good >= 3 and a.link_age is not None)
        assert (up.state, up.registered, up.dedup) == ("connected", 1, 0)
        assert 0.0 < up.round_trip < 5.0
        assert up.good <= up.beats
        server.reset(ME)
        await until(world, metrics, lambda a: a.registered == 2 and a.state == "connected")
        world.client.replace_link(ME)
        await until(world, metrics, lambda a: a.replaced == 1 and a.ended.get("closed"))
    over = one(metrics)
    assert over.ended == {"link": 1, "closed": 2}
    assert +Counter(over.errors) == {"link": 1}
    assert (over.state, over.link_age) == ("closed", None)
    assert [move.new for move in over.transitions] == [
        "connecting",
        "connected",
        "reconnecting",
        "connecting",
        "connected",
        "draining",
        "closed",
    ]
    assert over.entered["connected"] == 2
    assert metrics.snapshot().heartbeat.count >= 1


async def test_heartbeats_of_a_link_are_told_once_however_it_ends(server: FakeServer) -> None:
    metrics = Metrics()
    facts: list[Fact] = []
    settings = {"heartbeat": 0.02, "measure_every": 0.03}
    async with running(server, hooks=[metrics, facts.append], settings=settings) as world:
        await world.connect()
        await until(world, metrics, lambda a: a.good >= 10)
    told = [fact for fact in facts if isinstance(fact, (AccountMeasured, LinkEnded))]
    beats = sum(fact.beats for fact in told)
    assert beats == one(metrics).beats
    assert beats - one(metrics).good <= 1  # one may be on its way
    assert server.ledger(ME).heartbeats in (beats - 1, beats)


async def test_dead_letters_failures_and_retries_are_counted_without_a_text(
    server: FakeServer, tmp_path: Path
) -> None:
    metrics = Metrics()
    store = SqliteStore(tmp_path / "inbox.db")
    async with watched(server, metrics, store=store, settings={"handler_retries": 1}) as world:

        @world.client.on(ChatMessage)
        async def fail(message: ChatMessage) -> None:
            raise ValueError(message.text)

        server.fault(ME, Fault.BAD_PAYLOAD)
        server.push_text(ME, "canary")
        shown = await until(world, metrics, lambda a: a.dead_letters == 2)
    assert shown.dead == {"handler": 1, "payload": 1}
    assert (shown.failures, shown.retries, shown.handled) == (2, 1, 0)
    letters = {letter.cause: letter for letter in metrics.snapshot().dead_letters}
    assert letters["handler"].reason.endswith("raised ValueError")
    assert letters["payload"].reason.startswith(("base64: ", "msgpack: "))
    assert "canary" not in json.dumps(metrics.snapshot().as_json())


@pytest.mark.parametrize("disk", [True, False])
async def test_what_waits_is_measured_and_how_far_handling_is_behind(
    server: FakeServer, tmp_path: Path, disk: bool
) -> None:
    metrics, gate = Metrics(), asyncio.Event()
    store = SqliteStore(tmp_path / "inbox.db") if disk else MemoryStore()
    settings = {"backlog": 2, "max_handlers": 1}
    async with watched(server, metrics, store=store, settings=settings) as world:

        @world.client.on(ChatMessage)
        async def wait(message: ChatMessage) -> None:
            await gate.wait()

        for number in range(6):
            server.push_text(ME, f"{number}", conversation=f"7000000001{number}")
        server.jump(ME, 5.0)
        server.push_text(ME, "the last")

        def measured(account: AccountSnapshot) -> bool:
            """A store that is slow is not measured in every round, and the client after that."""
            client = metrics.snapshot().client
            if client is None or account.lag is None:
                return False
            working = (client.running, client.running + client.waiting)
            return (account.unhandled, *working) == (7, 1, account.in_memory) and account.lag > 4.0

        behind = await until(world, metrics, measured)
        assert behind.in_memory <= 2
        gate.set()
        after = await until(world, metrics, lambda a: a.unhandled == 0)
    assert 5.0 <= behind.lag < 60.0
    assert (after.lag, after.in_memory, after.handled) == (0.0, 0, 7)


async def test_a_gap_is_counted_and_open_until_its_handlers_have_ended(
    server: FakeServer,
) -> None:
    metrics, gate = Metrics(), asyncio.Event()
    async with watched(server, metrics) as world:

        @world.client.on(Gap)
        async def wait(gap: Gap) -> None:
            await gate.wait()

        server.write(ME, b"\x81\x01{")  # a text frame
        await until(world, metrics, lambda a: a.open_gaps == 1)
        gate.set()
        shown = await until(world, metrics, lambda a: a.open_gaps == 0)
    assert shown.gaps == 1
    [gap] = metrics.snapshot().gaps
    assert (gap.account, gap.reason) == (ME, "a frame could not be read")


async def test_errors_are_counted_by_their_row(server: FakeServer) -> None:
    metrics = Metrics()
    store = FailingStore()
    async with watched(server, metrics, store=store, settings={"store_retry": 0.02}) as world:
        store.error = StoreError("synthetic")
        server.push_text(ME, "later")
        await world.until(lambda: metrics.snapshot().errors.get("StoreError"))
        store.error = None
        await until(world, metrics, lambda a: a.handled == 1)
        server.kick(ME)
        shown = await until(world, metrics, lambda a: a.state == "kicked")
    assert shown.errors["kick"] == 1
    stored = metrics.snapshot().hops["stored"]
    assert stored.count == 1
    assert stored.total >= 0.02  # the tries that failed, and the waits between them


class FailingStore(MemoryStore):
    error: StoreError | None = None

    async def commit(self, *args: Any, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        return await super().commit(*args, **options)


async def test_a_client_without_observers_measures_nothing(server: FakeServer) -> None:
    class Counting(MemoryStore):
        looks = 0

        async def depth(self) -> Any:
            self.looks += 1
            return await super().depth()

    store = Counting()
    async with running(server, store=store, settings={"measure_every": 0.01}) as world:
        await world.connect()
        server.push_text(ME, "hello")
        await world.until(lambda: world.texts)
        await asyncio.sleep(0.05)
    assert store.looks == 0


async def test_what_waits_to_be_sent_is_measured(server: FakeServer) -> None:
    metrics = Metrics()
    async with watched(server, metrics) as world:
        world.client.pause(ME)
        sending = asyncio.ensure_future(
            world.client.send_text(ME, "70000000011", "later", peer_id="9000000000077")
        )
        await until(world, metrics, lambda a: a.sending == 1)
        world.client.resume(ME)
        await sending
        shown = await until(world, metrics, lambda a: a.sending == 0)
    assert shown.sends == SENDS | {"sent": 1}


class Odd(MemoryStore):
    """A store of which some calls fail, or do not answer."""

    def __init__(self, *, hangs: bool, verb: str) -> None:
        super().__init__()
        self._hangs = hangs
        self.failing = verb

    async def depth(self) -> Any:
        await self._fail("depth")
        return await super().depth()

    async def load(self, account_id: str) -> Any:
        if account_id == ME:
            await self._fail("load")
        return await super().load(account_id)

    async def _fail(self, verb: str) -> None:
        if self.failing == verb:
            while self._hangs and self.failing:  # and does not hear that it is cancelled
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
            raise RuntimeError("canary")


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_fails_leaves_the_rest_measured_and_is_told_of_once(
    hangs: bool, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    metrics, store = Metrics(), Odd(hangs=hangs, verb="depth")
    async with watched(server, metrics, store=store) as world:
        shown = await until(world, metrics, lambda a: a.dedup is not None)
        assert (shown.unhandled, shown.dead_letters, shown.lag) == (None, None, None)
        store.failing = ""
        await until(world, metrics, lambda a: a.unhandled == 0)
    lines = [record for record in caplog.records if record.name == "xyfast.measuring"]
    assert [line.getMessage().splitlines()[0] for line in lines] == ["not all was measured ()"]
    last = lines[0].getMessage().splitlines()[-1]
    assert last == (
        "StoreError: the store did not answer within 0.05 s" if hangs else "RuntimeError"
    )


def looked(shown: AccountSnapshot) -> tuple[int | None, bool]:
    return shown.unhandled, shown.lag is None


@pytest.mark.parametrize("hangs", [False, True])
async def test_an_account_of_which_the_store_does_not_tell_leaves_the_others_measured(
    hangs: bool, server: FakeServer
) -> None:
    metrics, store, go = Metrics(), Odd(hangs=hangs, verb=""), asyncio.Event()
    async with watched(server, metrics, store=store) as world:
        await world.connect(OTHER)

        @world.client.on(ChatMessage)
        async def work(message: ChatMessage) -> None:
            await go.wait()

        server.push_text(ME, "hello")
        await until(world, metrics, lambda a: a.unhandled == 1 and a.lag is not None)
        store.failing = "load"
        server.push_text(OTHER, "hello")
        await until(world, metrics, lambda a: a.unhandled == 1 and a.lag is None)
        await world.until(lambda: looked(one(metrics, OTHER)) == (1, hangs))
        store.failing = ""
        go.set()


# --- what is kept ---------------------------------------------------------------------


def moved(old: State, new: State, account: str = ME) -> StateChanged:
    return StateChanged(account, old, new, "synthetic", 1.5)


def test_only_the_last_changes_of_state_are_kept_and_all_are_counted() -> None:
    times = iter(range(1000))
    metrics = Metrics(clock=lambda: float(next(times)))
    for _ in range(30):
        metrics(moved(State.CONNECTED, State.RECONNECTING))
        metrics(moved(State.RECONNECTING, State.CONNECTING))
    shown = one(metrics)
    assert len(shown.transitions) == 20
    assert shown.entered == {"reconnecting": 30, "connecting": 30}
    last = shown.transitions[-1]
    assert (last.time, last.old, last.new) == (60.0, "reconnecting", "connecting")
    assert (last.reason, last.wait, shown.since) == ("synthetic", 1.5, 60.0)


def test_accounts_beyond_the_bound_are_counted_together() -> None:
    metrics = Metrics(most_accounts=2)
    for number in range(10):
        metrics(Committed(str(number), 1, 0, 0))
        metrics(moved(State.DISCONNECTED, State.CONNECTING, str(number)))
    accounts = metrics.snapshot().accounts
    assert list(accounts) == ["0", "1", OTHERS]
    assert (accounts[OTHERS].received, accounts[OTHERS].entered) == (8, {"connecting": 8})
    assert accounts[OTHERS].state is None


def test_what_alerts_look_at_begins_at_zero() -> None:
    metrics = Metrics()
    metrics(moved(State.DISCONNECTED, State.CONNECTING))
    shown = metrics.snapshot()
    assert shown.accounts[ME].dead == {"payload": 0, "handler": 0}
    assert shown.accounts[ME].sends == SENDS
    alerts = (Path(__file__).parent.parent / "examples/monitoring/alerts.yml").read_text("utf-8")
    named = re.findall(r'xyfast_errors_total\{class=~"(.+?)"\}', alerts)
    assert len(named) == 2
    assert {name for names in named for name in names.split("|")} == {
        name
        for errors in (shown.errors, shown.accounts[ME].errors)
        for name, count in errors.items()
        if count == 0
    }


def test_rates_are_of_the_last_looks() -> None:
    now = 0.0
    metrics = Metrics(clock=lambda: now)
    for _ in range(40):  # five seconds between two looks
        metrics(look())
        for _ in range(10):
            metrics(Committed(ME, 2, 0, 0))
            metrics(Finished(ME, "key"))
        metrics(SendFinished(ME, "sent", 0.1))
        now += 5.0
    shown = one(metrics)
    assert (shown.received_rate, shown.handled_rate, shown.sent_rate) == (4.0, 2.0, 0.2)
    metrics(moved(State.DRAINING, State.CLOSED))
    shown = one(metrics)
    assert (shown.received_rate, shown.dedup) == (None, None)


def look(**changes: Any) -> AccountMeasured:
    values: dict[str, Any] = {
        "account_id": ME,
        "state": State.CONNECTED,
        "link_age": 1.0,
        "round_trip": 0.05,
        "beats": 1,
        "good": 1,
        "known": 3,
        "in_memory": 2,
        "unhandled": 2,
        "dead": 0,
        "lag": 0.5,
        "gaps": 0,
        "sending": 0,
    }
    return AccountMeasured(**{**values, **changes})


def test_a_snapshot_is_json_and_any_thread_may_take_it() -> None:
    metrics, stop = Metrics(), threading.Event()
    failed: list[Exception] = []

    def read() -> None:
        try:
            while not stop.is_set():
                json.dumps(metrics.snapshot().as_json())
        except Exception as error:
            failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3000):
        account = str(number % 700)
        metrics(Committed(account, 1, 0, 0, 0.1, 0.1, 0.1))
        metrics(Troubled(account, f"row {number % 13}"))
        metrics(moved(State.CONNECTED, State.RECONNECTING, account))
        metrics(HandlerRan(account, "key", 0.1, 0.1, ok=True))
    stop.set()
    reader.join()
    assert not failed
    assert sum(one.received for one in metrics.snapshot().accounts.values()) == 3000
