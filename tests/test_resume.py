"""No silent gap: whatever the server does about what was missed, it is handled or told of."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from world import ME, World, rising, running
from xyfast import ChatMessage, Expired, Gap, Marker, MemoryStore
from xyfast.instrumentation import Fact, Recovered
from xyfast.position import believable
from xyfast.testing import FakeServer, Fault, Redelivery, Replay, ServerSettings, samples

SILENT = ServerSettings(replay=Replay.NOTHING, redelivery=Redelivery.NEVER)


def sequence(world: World) -> dict[str | None, list[str | None]]:
    """Message ids as the handlers saw them, by conversation."""
    seen: dict[str | None, list[str | None]] = {}
    for chat in world.chats:
        seen.setdefault(chat.conversation_id, []).append(chat.message_id)
    return seen


async def away(server: FakeServer, push: Callable[[], object]) -> None:
    """Cut the link, let ``push`` happen while no link is there, and push more at once after."""
    registrations = len(server.ledger(ME).registrations)
    await server.down()
    push()
    await server.up()
    await server.wait(lambda: len(server.ledger(ME).registrations) > registrations, 20.0)


async def missed(assumed: ServerSettings, long_ago: int) -> None:
    """Miss messages between two links and between two runs; check that all are handled once.

    ``long_ago`` is the time (milliseconds) from the last of them to the next link.
    """
    store = MemoryStore()
    sent: dict[str | None, list[str | None]] = {}

    def push(count: int, conversation: str, **options: Any) -> None:
        for number in range(count):
            name = server.push_text(ME, str(number), conversation=conversation, **options)
            sent.setdefault(conversation, []).append(name)

    def burst() -> None:
        push(22, "1")
        push(3, "2")
        push(1, "2", sender=ME)
        push(2, "new")

    def burst_long_ago() -> None:
        nonlocal later
        burst()
        later += long_ago

    time_of_day, later = rising(), 0
    seen: dict[str | None, list[str | None]] = {}
    gaps: list[Gap] = []
    async with FakeServer([ME], settings=assumed, clock=lambda: time_of_day() + later) as server:
        for run in range(2):
            async with running(server, store=store, own=True) as world:

                @world.client.on(Gap)
                async def note(gap: Gap) -> None:
                    gaps.append(gap)

                await world.connect()
                push(2, "1")
                push(2, "3")
                wanted = sum(map(len, sent.values()))
                await world.until(lambda w=world, n=wanted: count(seen, w) >= n)
                await away(server, burst_long_ago)
                push(2, "1")
                wanted = sum(map(len, sent.values()))
                await world.until(lambda w=world, n=wanted: count(seen, w) >= n)
            for name, ids in sequence(world).items():
                seen.setdefault(name, []).extend(ids)
            if not run:
                burst_long_ago()
    assert seen == sent
    assert gaps == []


def count(before: dict[str | None, list[str | None]], world: World) -> int:
    return sum(map(len, before.values())) + len(world.chats)


@pytest.mark.parametrize("kept", [500, 5], ids=["kept", "too long"])
@pytest.mark.parametrize("replay", Replay)
async def test_what_was_missed_is_handled_once_and_in_order(replay: Replay, kept: int) -> None:
    await asyncio.gather(
        *(
            missed(
                ServerSettings(
                    replay=replay,
                    kept=kept,
                    redelivery=redelivery,
                    redelivery_after=0.5,
                    quiet_time=quiet,
                    push_before_ack_diff=early,
                ),
                long_ago,
            )
            for redelivery, (quiet, early, long_ago) in product(
                Redelivery, [(0.0, True, 60_000), (0.2, False, 0)]
            )
        )
    )


@pytest.mark.parametrize("replay", [Replay.PUSHES, Replay.ANSWER])
async def test_what_a_replay_leaves_out_at_its_old_end_is_fetched(replay: Replay) -> None:
    """It brings the last message of a conversation and not those before it."""
    assumed = ServerSettings(
        replay=replay, kept=3, tells_too_long=False, redelivery=Redelivery.NEVER
    )
    time_of_day, later = rising(), 0

    def push() -> None:
        nonlocal later
        for number in range(9):
            server.push_text(ME, str(number))
        later = 60_000

    async with (
        FakeServer([ME], settings=assumed, clock=lambda: time_of_day() + later) as server,
        running(server) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)  # so this link is caught up
        await away(server, push)
        await world.until(lambda: "8" in world.texts)
    assert world.texts == ["before", *map(str, range(9))]


@pytest.mark.parametrize("kept", [500, 60], ids=["whole", "too late"])
@pytest.mark.parametrize("replay", [Replay.PUSHES, Replay.ANSWER])
async def test_a_long_replay_is_a_gap_only_if_something_may_be_missing(
    replay: Replay, kept: int
) -> None:
    """More is replayed than history is read of, from our position on or from too late."""
    assumed = ServerSettings(
        replay=replay, kept=kept, tells_too_long=False, redelivery=Redelivery.NEVER
    )
    time_of_day, later = rising(), 0

    def push() -> None:
        nonlocal later
        for number in range(130):
            server.push_text(ME, str(number))
        later = 60_000

    async with (
        FakeServer([ME], settings=assumed, clock=lambda: time_of_day() + later) as server,
        running(server, settings={"history_pages": 2}) as world,
    ):
        watched = Watched(world)
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        await away(server, push)
        await world.until(lambda: "129" in world.texts)
        if kept == 60:
            await world.until(lambda: watched.gaps)
    missing = 130 - (len(world.texts) - 1)
    assert world.texts == ["before", *map(str, range(missing, 130))]
    if kept == 500:
        assert (missing, watched.gaps) == (0, [])
        return
    [gap] = watched.gaps
    assert 0 < missing < 70
    assert gap.start < gap.end == world.chats[1].time


class Watched:
    """A world's gaps, facts and what came too late."""

    def __init__(self, world: World) -> None:
        self.gaps: list[Gap] = []
        self.markers: list[Marker] = []
        self.expired: list[Expired] = []
        world.client.on(Gap)(self._gap)
        world.client.on(Marker)(self._marker)
        world.client.on(Expired)(self._late)

    async def _gap(self, gap: Gap) -> None:
        self.gaps.append(gap)

    async def _marker(self, marker: Marker) -> None:
        self.markers.append(marker)

    async def _late(self, expired: Expired) -> None:
        self.expired.append(expired)


def requests_of(server: FakeServer, path: str) -> list[Any]:
    """The bodies of the requests of a path, as they came."""
    frames = [json.loads(text) for text in server.ledger(ME).received]
    return [frame["body"] for frame in frames if frame.get("lwp", "").endswith(path)]


async def test_observers_are_told_what_was_recovered() -> None:
    facts: list[Fact] = []
    async with (
        FakeServer([ME], settings=SILENT) as server,
        running(server, hooks=[facts.append]) as world,
    ):

        def recovered() -> list[Fact]:
            return [fact for fact in facts if isinstance(fact, Recovered)]

        await world.connect()
        await world.until(recovered)
        server.lose(ME, server.message(ME, "one", conversation="1"))
        server.lose(ME, server.message(ME, "two", conversation="1"))
        server.lose(ME, server.message(ME, "three", conversation="2"))
        server.reset()
        await world.until(lambda: len(recovered()) == 2)
    assert recovered() == [Recovered(ME, 0, 0), Recovered(ME, 3, 2)]
    assert sorted(world.texts) == ["one", "three", "two"]


async def test_after_an_honest_replay_a_page_of_each_conversation_is_read() -> None:
    time_of_day, later = rising(), 0

    def push() -> None:
        nonlocal later
        for number in range(100):
            server.push_text(ME, str(number), conversation=str(number % 10))
        later = 60_000

    async with (
        FakeServer([ME], clock=lambda: time_of_day() + later) as server,
        running(server) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)  # so this link is caught up
        read = len(requests_of(server, "listUserMessages"))
        await away(server, push)
        await world.until(lambda: len(world.chats) == 101)
        assert len(requests_of(server, "listNewestPagination")) == 2
        asked = [body[0] for body in requests_of(server, "listUserMessages")[read:]]
        assert len(asked) == len(set(asked)) == 11


async def test_what_came_before_the_account_is_never_fetched() -> None:
    facts: list[Fact] = []
    store = MemoryStore()
    async with FakeServer([ME], settings=SILENT, clock=rising()) as server:
        server.push_text(ME, "before")
        for run in range(2):
            async with running(server, store=store, hooks=[facts.append]) as world:
                await world.connect()
                await world.until(
                    lambda n=run + 1: sum(isinstance(fact, Recovered) for fact in facts) == n
                )
                assert world.chats == []


async def test_what_is_fetched_late_is_expired_and_ones_own_words_keep_their_origin() -> None:
    now = time.time_ns() // 1_000_000
    async with (
        FakeServer([ME], settings=SILENT, clock=lambda: now) as server,
        running(server, own=True, clock=lambda: now / 1000) as world,
    ):
        watched = Watched(world)
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        await server.down()
        now += 1000
        server.lose(ME, server.message(ME, "old"))
        now += 400_000
        server.lose(ME, server.message(ME, "typed on a phone", sender=ME))
        await server.up()
        await world.until(lambda: len(world.chats) == 2 and watched.expired)
    assert [chat.origin for chat in world.chats] == ["peer", "seller"]
    [expired] = watched.expired
    assert isinstance(expired.message, ChatMessage)
    assert expired.message.text == "old"


@pytest.mark.parametrize("compensates", [True, False])
async def test_a_gap_too_long_is_filled_before_the_server_is_moved_on(compensates: bool) -> None:
    assumed = ServerSettings(replay=Replay.NOTHING, kept=2, state_compensates=compensates)
    time_of_day, later = rising(), 0

    def push() -> None:
        nonlocal later
        for number in range(9):
            server.push_text(ME, str(number))
        later = 60_000

    async with (
        FakeServer([ME], settings=assumed, clock=lambda: time_of_day() + later) as server,
        running(server) as world,
    ):
        watched = Watched(world)
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
        await away(server, push)
        await world.until(lambda: len(world.chats) == 10)
        await world.until(lambda: len(requests_of(server, "ackDiff")) >= 3)
        paths = [json.loads(text).get("lwp", "") for text in server.ledger(ME).received]
        state = max(i for i, path in enumerate(paths) if path.endswith("getState"))
        tail = [path.rpartition("/")[2] for path in paths[state:] if path.startswith("/r/")]
        [moved] = requests_of(server, "ackDiff")[-1]
    assert world.texts == ["before", *map(str, range(9))]
    assert watched.gaps == []
    assert tail == ["getState", "listNewestPagination", "listUserMessages", "ackDiff"]
    assert ("syncPushPackage" in moved) == compensates


async def test_a_gap_is_announced_again_and_again() -> None:
    async with FakeServer([ME]) as server, running(server) as world:
        watched = Watched(world)
        await world.connect()
        for number in range(5):
            server.announce_gap(ME)
            server.push_text(ME, str(number))
        await world.until(lambda: len(world.chats) == 5)
        server.announce_gap(ME)
        server.reset()
        server.push_text(ME, "after")
        await world.until(lambda: len(world.chats) == 6)
    assert world.texts == ["0", "1", "2", "3", "4", "after"]
    assert watched.gaps == []


async def test_a_message_that_was_announced_and_does_not_come_is_fetched(
    server: FakeServer,
) -> None:
    async with running(server, settings={"marker_wait": 0.1}) as world:
        watched = Watched(world)
        await world.connect()
        message = server.message(ME, "在吗")
        server.lose(ME, message)
        server.push(ME, [samples.marker(message.conversation, message.id, message.time)])
        await world.until(lambda: world.chats)
    assert [chat.message_id for chat in world.chats] == [message.id]
    assert [marker.message_id for marker in watched.markers] == [message.id]
    assert watched.gaps == []


async def test_a_message_that_was_announced_and_cannot_be_found_is_a_gap(
    server: FakeServer,
) -> None:
    async with running(server, settings={"marker_wait": 0.1}) as world:
        watched = Watched(world)
        await world.connect()
        message = server.message(ME, "在吗")
        server.push(ME, [samples.marker(message.conversation, message.id, message.time)])
        await world.until(lambda: watched.gaps)
    [gap] = watched.gaps
    assert gap.conversation_id == message.conversation
    assert gap.start <= message.time <= gap.end


async def test_a_message_that_comes_after_its_marker_is_not_asked_for(server: FakeServer) -> None:
    async with running(server, settings={"marker_wait": 0.1}) as world:
        watched = Watched(world)
        await world.connect()
        await world.until(lambda: requests_of(server, "listNewestPagination"))
        first, lost = server.message(ME, "one"), server.message(ME, "two", conversation="2")
        server.push(ME, [samples.marker(first.conversation, first.id, first.time)])
        server.push(ME, [first])
        server.push(ME, [samples.marker(lost.conversation, lost.id, lost.time)])
        await world.until(lambda: watched.gaps)
    asked = [body[0] for body in requests_of(server, "listUserMessages")]
    assert f"{first.conversation}@goofish" not in asked
    assert world.texts == ["one"]


async def test_a_position_far_in_the_future_does_not_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeServer([ME]) as server, running(server) as world:
        await world.connect()
        server.jump(ME, 7200.0)
        server.push_text(ME, "ahead")
        server.push_text(ME, "ahead too")
        await world.until(lambda: len(world.chats) == 2 and not server.ledger(ME).unacked)
        server.reset()
        server.lose(ME, server.message(ME, "missed"))
        await world.until(lambda: len(world.chats) == 3)
        [told] = requests_of(server, "ackDiff")[-1]
    assert told["pts"] < server.clock() * 1000
    lines = [record for record in caplog.records if "far in the future" in record.message]
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("pts", "told", "believed"),
    [
        (1_000 * 1000, 1_000, True),
        ((1_000 + 3_600_000) * 1000, 1_000, True),
        ((1_000 + 3_600_000) * 1000 + 1, 1_000, False),
        ((5_000 + 86_400_000) * 1000, None, True),
        ((5_000 + 86_400_000) * 1000 + 1, None, False),
    ],
)
def test_positions_are_believed_within_reason(pts: int, told: int | None, believed: bool) -> None:
    assert believable(pts, told, 5_000) == believed


async def test_no_position_counts_while_something_may_be_missing() -> None:
    time_of_day, later = rising(), 0
    async with (
        FakeServer([ME], settings=SILENT, clock=lambda: time_of_day() + later) as server,
        running(server) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats and not server.ledger(ME).unacked)
        server.fault(ME, Fault.LISTS_THROTTLED)
        await away(server, lambda: server.push_text(ME, "missed"))
        await world.until(lambda: len(requests_of(server, "listNewestPagination")) >= 2)
        later = 60_000
        server.push_text(ME, "live")
        await world.until(lambda: server.ledger(ME).acked >= {server.ledger(ME).pushed[-1]})
        server.heal(ME)
        await away(server, lambda: None)
        await world.until(lambda: len(world.chats) == 3)
    assert world.texts == ["before", "missed", "live"]


async def test_an_account_is_held_for_so_long_and_no_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    patience = {"hold_most": 0.3}
    async with (
        FakeServer([ME], settings=SILENT, clock=rising()) as server,
        running(server, settings=patience) as world,
    ):
        await world.connect()
        server.push_text(ME, "before")
        await world.until(lambda: world.chats)
        server.fault(ME, Fault.LISTS_THROTTLED)
        await away(server, lambda: server.push_text(ME, "missed"))
        server.push_text(ME, "live")
        await world.until(lambda: len(world.chats) == 2)
        assert any("still catching up" in record.message for record in caplog.records)
        server.heal(ME)
        await world.until(lambda: len(world.chats) == 3)
    assert world.texts == ["before", "live", "missed"]
