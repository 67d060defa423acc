"""The outbox on the virtual clock: pace, waits, and what becomes of sends without an answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from simulation.loop import simulate
from simulation.sends import LATENCY, ME, PEER, REFUSED, THROTTLED, Fate, Platform
from xyfast import MemoryStore, NotSent, SendRefused, SendUnknown, Sent, Settings
from xyfast.calls import Calls
from xyfast.errors import ConfigError, RequestError, StoreError
from xyfast.instrumentation import Fact, Hooks, SendFinished
from xyfast.outbox import Outbox
from xyfast.requests import Mids, image_content, text_content
from xyfast.store import Store

CID, OTHER = "70000000011", "70000000012"
UNHURRIED = {"send_rate": 100.0, "send_burst": 100, "conversation_burst": 100}


class World:
    """One account's outbox with a link to a platform, which comes back a second after a loss."""

    def __init__(
        self,
        *,
        store: Store | None = None,
        clock_ahead: float = 0.0,
        told: bool = True,
        **options: Any,
    ) -> None:
        self.settings = Settings(**options.pop("settings", UNHURRIED))
        self.store = store or MemoryStore()
        self.loop = asyncio.get_running_loop()
        self.facts: list[SendFinished] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.platform = Platform(self._answered, self.lose, **options)
        self.clock = lambda: self.platform.clock_ms() / 1000 + clock_ahead
        mids = Mids(random.Random(0))
        self.calls = Calls(
            ME,
            self.platform,  # type: ignore[arg-type]
            lambda: mids.next(int(self.clock() * 1000)),
            self.settings.request_timeout,
        )
        if told:
            self.calls.told(self.platform.clock_ms())
        self.outbox = Outbox(
            ME,
            self.calls,
            self.store,
            self.settings,
            spawn=self._spawn,
            clock=self.clock,
            hooks=Hooks([self._note]),
        )
        self.link = 0

    async def start(self) -> World:
        await self.outbox.load()
        self.connect()
        return self

    def connect(self) -> None:
        self.link += 1
        self.platform.up = True
        self.calls.use(self.link)
        self.outbox.pump()

    def lose(self, back_after: float | None = 1.0) -> None:
        self.platform.up = False
        self.calls.lost(self.link)
        if back_after is not None:
            self.loop.call_later(back_after, self.connect)

    async def stop(self) -> None:
        self.outbox.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def text(self, text: str, conversation: str = CID, **options: Any) -> asyncio.Task[Sent]:
        sending = self.outbox.send(conversation, PEER, text_content(text), **options)
        return self.loop.create_task(sending)

    def _answered(self, frame: Any) -> None:
        if self.platform.up:
            self.calls.answered(frame)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def _note(self, fact: Fact) -> None:
        assert isinstance(fact, SendFinished)
        self.facts.append(fact)

    @property
    def written(self) -> list[tuple[float, str]]:
        return [(round(at, 3), text) for at, _, text in self.platform.written]

    @property
    def outcomes(self) -> list[str]:
        return [fact.outcome for fact in self.facts]


def fates(*those: Fate) -> Any:
    """Each send meets the next of these; all further ones are answered."""
    left = list(those)
    return lambda: left.pop(0) if left else "ok"


# --- order and pace -------------------------------------------------------------------


def test_a_conversation_is_written_to_in_order_and_one_after_the_other() -> None:
    async def main() -> None:
        world = await World().start()
        await asyncio.gather(*(world.text(str(number)) for number in range(5)))
        assert [text for _, text in world.written] == ["0", "1", "2", "3", "4"]
        times = [at for at, _ in world.written]
        assert times == [0.0, 0.02, 0.04, 0.06, 0.08]

    simulate(main())


def test_a_conversation_without_an_answer_holds_up_no_other() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent")).start()
        first, second = world.text("unanswered"), world.text("behind it")
        await world.text("elsewhere", OTHER)
        assert world.loop.time() == 2 * LATENCY
        await asyncio.gather(first, second)
        assert [text for _, text in world.written] == ["unanswered", "elsewhere", "behind it"]

    simulate(main())


def test_the_pace_of_an_account_is_thirty_at_once_and_one_a_second() -> None:
    async def main() -> None:
        world = await World(settings={"send_timeout": 100.0}).start()
        await asyncio.gather(*(world.text("x", str(number)) for number in range(40)))
        assert [at for at, _ in world.written] == [0.0] * 30 + [float(n) for n in range(1, 11)]

    simulate(main())


def test_the_pace_of_a_conversation_is_five_at_once_and_one_a_second() -> None:
    async def main() -> None:
        world = await World(settings={}).start()
        await asyncio.gather(*(world.text(str(number)) for number in range(10)))
        times = [at for at, _ in world.written]
        assert times[4] < 1.0
        assert times[5:] == [1.0, 2.0, 3.0, 4.0, 5.0]

    simulate(main())


# --- surely not sent ------------------------------------------------------------------


def test_without_a_link_a_send_is_given_up_after_the_timeout() -> None:
    async def main() -> None:
        world = World()
        with pytest.raises(NotSent, match="no link within 30 s"):
            await world.text("x")
        assert world.loop.time() == 30.0
        await world.start()
        await world.text("y")
        assert [text for _, text in world.written] == ["y"]
        assert world.facts[0] == SendFinished(ME, "not sent", 30.0)

    simulate(main())


def test_a_turn_that_does_not_come_is_given_up_too() -> None:
    async def main() -> None:
        world = await World(settings={"send_burst": 1, "send_rate": 0.02}).start()
        await world.text("x")
        with pytest.raises(NotSent, match="turn did not come within 30 s"):
            await world.text("y")

    simulate(main())


def test_what_is_cancelled_before_its_turn_is_never_written() -> None:
    async def main() -> None:
        world = await World().start()
        first, second, third = (world.text(text) for text in "123")
        await asyncio.sleep(LATENCY / 2)
        second.cancel()
        await asyncio.gather(first, second, third, return_exceptions=True)
        assert [text for _, text in world.written] == ["1", "3"]
        assert sorted(world.outcomes) == ["cancelled", "sent", "sent"]

    simulate(main())


def test_what_is_cancelled_in_the_moment_of_its_turn_is_never_written() -> None:
    async def main() -> None:
        world = World()
        sending = world.text("x")
        await asyncio.sleep(0)
        await world.start()  # gives the turn; its task has not run yet
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await world.text("y")
        assert [text for _, text in world.written] == ["y"]

    simulate(main())


def test_a_link_that_is_lost_in_the_moment_of_the_turn_costs_nothing() -> None:
    async def main() -> None:
        world = World()
        sending = world.text("x")
        await asyncio.sleep(0)
        await world.start()
        world.lose()
        await sending
        assert world.written == [(1.0, "x")]

    simulate(main())


@pytest.mark.parametrize("after", [0.0, 1.0])  # before the first step of its task, and later
def test_closing_ends_every_wait(after: float) -> None:
    async def main() -> None:
        world = World()
        sending = world.text("x")
        await asyncio.sleep(after)
        await world.stop()
        with pytest.raises(NotSent, match="did not go out"):
            await sending
        with pytest.raises(NotSent, match="closed"):
            await world.text("y")
        assert world.loop.time() == after

    simulate(main())


# --- refusals -------------------------------------------------------------------------


def test_a_refusal_is_final_at_once() -> None:
    async def main() -> None:
        world = await World(fate=fates("refused")).start()
        with pytest.raises(SendRefused) as caught:
            await world.text("x")
        assert (caught.value.code, caught.value.error) == (200, "rejected")
        assert len(world.written) == 1
        assert world.outcomes == ["refused"]

    simulate(main())


def test_flow_control_is_waited_out_with_the_same_uuid() -> None:
    async def main() -> None:
        world = await World(fate=fates(*["throttled"] * 3)).start()  # type: ignore[arg-type]
        await world.text("x")
        gaps = [after - before for (before, _), (after, _) in pairwise(world.written)]
        assert gaps == pytest.approx([2.02, 4.02, 6.02])
        assert len({uuid for _, uuid, _ in world.platform.written}) == 1
        assert len(world.platform.taken) == 1

    simulate(main())


def test_flow_control_without_end_is_a_refusal() -> None:
    async def main() -> None:
        world = await World(fate=lambda: "throttled").start()
        first, second = world.text("1"), world.text("2")
        with pytest.raises(SendRefused) as caught:
            await first
        assert caught.value.error == "throttled"
        assert [text for _, text in world.written] == ["1"] * 4  # nobody overtakes
        second.cancel()

    simulate(main())


# --- no answer ------------------------------------------------------------------------


def test_a_send_whose_link_is_lost_is_found_in_the_history_by_the_next_link() -> None:
    async def main() -> None:
        world = await World(fate=fates("cut")).start()
        sent = await world.text("x")
        [taken] = world.platform.taken
        assert sent == Sent(message_id=taken.message_id, uuid=taken.uuid, time=taken.time)
        assert world.platform.asked == [2.0]  # not earlier than two seconds after the write
        assert world.outbox.claims(world.platform.echo(taken))

    simulate(main())


def test_a_send_that_is_not_answered_in_time_is_found_in_the_history() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent")).start()
        sent = await world.text("x")
        assert sent.message_id == world.platform.taken[0].message_id
        assert world.platform.asked == [20.0]

    simulate(main())


def test_a_send_that_history_does_not_have_twice_is_not_sent() -> None:
    async def main() -> None:
        world = await World(fate=fates("lost")).start()
        with pytest.raises(NotSent, match="has not taken it"):
            await world.text("x")
        assert world.platform.asked == pytest.approx([20.0, 22.0 + 2 * LATENCY])
        assert len(world.written) == 1

    simulate(main())


def test_a_history_that_shows_a_message_late_is_asked_again() -> None:
    async def main() -> None:
        world = await World(fate=fates("cut"), shows_after=3.0).start()
        assert (await world.text("x")).message_id == world.platform.taken[0].message_id
        assert len(world.platform.asked) == 2

    simulate(main())


def test_a_send_that_is_carried_out_after_its_link_was_lost_is_found() -> None:
    async def main() -> None:
        world = await World(fate=fates("late")).start()
        assert (await world.text("x")).message_id == world.platform.taken[0].message_id

    simulate(main())


@pytest.mark.parametrize("link", [True, False])
def test_without_a_readable_history_the_outcome_is_unknown(link: bool) -> None:
    async def main() -> None:
        world = await World(fate=fates("silent"), readable=lambda: False).start()
        sending = world.text("x")
        if not link:
            await asyncio.sleep(1.0)
            world.lose(back_after=None)
        with pytest.raises(SendUnknown, match="look at the history"):
            await sending
        # With a link: 20 s for the answer. Without: 2 s after the write. Then 20 s of trying.
        assert world.loop.time() == (40.0 if link else 22.0)
        assert world.outcomes == ["unknown"]
        [taken] = world.platform.taken
        assert world.outbox.claims(world.platform.echo(taken))  # we know it when it comes at last

    simulate(main())


@pytest.mark.parametrize("includes", [False, True])
def test_a_page_of_history_may_end_within_a_millisecond(includes: bool) -> None:
    async def main() -> None:
        world = await World(fate=fates("silent"), includes=includes).start()
        sending = world.text("x")
        await asyncio.sleep(LATENCY)
        for number in range(5):
            world.platform.say(f"in the same millisecond {number}")
        for number in range(17):
            await asyncio.sleep(0.1)
            world.platform.say(f"after {number}")
        assert (await sending).message_id == world.platform.taken[0].message_id
        assert world.platform.taken[0].time == world.platform.taken[5].time

    simulate(main())


@pytest.mark.parametrize("includes", [False, True])
def test_a_history_that_does_not_go_on_says_nothing_of_a_send(includes: bool) -> None:
    async def main() -> None:
        world = await World(fate=fates("lost"), includes=includes).start()
        sending = world.text("x")
        await asyncio.sleep(1.0)
        for number in range(50):
            world.platform.say(f"in one millisecond {number}")
        with pytest.raises(SendUnknown, match="does not go on"):
            await sending

    simulate(main())


@pytest.mark.parametrize("includes", [False, True])
def test_a_history_of_many_pages_is_read_back_to_the_send(includes: bool) -> None:
    async def main() -> None:
        world = await World(fate=fates("silent"), includes=includes).start()
        for number in range(30):
            world.platform.say(f"before {number}")
        sending = world.text("x")
        for number in range(50):
            await asyncio.sleep(0.1)
            world.platform.say(f"after {number}")
        sent = await sending
        assert [t.text for t in world.platform.taken if t.message_id == sent.message_id] == ["x"]
        assert len(world.platform.asked) == 3

    simulate(main())


@pytest.mark.parametrize("ahead", [-86_400.0, 86_400.0])
def test_an_earlier_message_of_the_same_words_is_not_taken_for_the_send(ahead: float) -> None:
    async def main() -> None:
        world = await World(fate=fates("ok", "lost"), clock_ahead=ahead).start()
        world.platform.say("在的")
        await asyncio.sleep(6.0)
        first = await world.text("在的")
        with pytest.raises(NotSent):  # the first one's message is the first one's
            await world.text("在的")
        assert first.message_id == world.platform.taken[1].message_id

    simulate(main())


def test_a_picture_is_found_by_its_address() -> None:
    async def main() -> None:
        world = await World(fate=fates("cut", "cut")).start()
        sent = [
            await world.outbox.send(CID, PEER, image_content(url, width=3, height=4))
            for url in ("https://img.example.invalid/1.jpg", "https://img.example.invalid/2.jpg")
        ]
        assert [each.message_id for each in sent] == [t.message_id for t in world.platform.taken]

    simulate(main())


# --- echoes ---------------------------------------------------------------------------


def test_an_echo_answers_a_send_that_is_out() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent")).start()
        sending = world.text("x")
        await asyncio.sleep(1.0)
        [taken] = world.platform.taken
        assert world.outbox.claims(world.platform.echo(taken))
        assert (await sending).message_id == taken.message_id
        assert world.loop.time() == 1.0
        assert world.platform.asked == []
        assert world.outbox.claims(world.platform.echo(taken))  # when it comes once more

    simulate(main())


def test_what_the_owner_writes_elsewhere_is_not_ours() -> None:
    async def main() -> None:
        world = await World(fate=fates("ok", "silent")).start()
        await world.text("x")
        sending = world.text("y")
        await asyncio.sleep(1.0)
        assert not world.outbox.claims(world.platform.say("x"))  # that one was answered
        assert not world.outbox.claims(world.platform.say("z"))
        assert not world.outbox.claims(world.platform.say("y", OTHER))
        assert not sending.done()
        sending.cancel()

    simulate(main())


def test_the_echo_of_a_send_that_was_cancelled_while_out_is_ours() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent")).start()
        sending = world.text("x")
        await asyncio.sleep(1.0)
        sending.cancel()
        await asyncio.wait({sending})
        assert world.outbox.claims(world.platform.echo(world.platform.taken[0]))
        await asyncio.sleep(0.0)
        assert not world.outbox.claims(world.platform.say("x"))  # once is enough

    simulate(main())


def test_what_is_cancelled_while_out_keeps_its_conversation_until_its_fate_is_known() -> None:
    async def main() -> None:
        world = await World(fate=fates("late")).start()
        first, second = world.text("1"), world.text("2")
        await asyncio.sleep(LATENCY / 2)
        first.cancel()
        await second
        assert [taken.text for taken in world.platform.taken] == ["1", "2"]

    simulate(main())


def test_what_is_cancelled_while_out_is_not_tried_again() -> None:
    async def main() -> None:
        world = await World(fate=fates("throttled")).start()
        first, second = world.text("1"), world.text("2")
        await asyncio.sleep(LATENCY / 2)
        first.cancel()
        await second
        assert [text for _, text in world.written] == ["1", "2"]

    simulate(main())


def test_a_send_of_unknown_fate_is_not_looked_for_among_what_is_said_much_later() -> None:
    async def main() -> None:
        readable = False
        world = await World(fate=fates("lost"), readable=lambda: readable).start()
        with pytest.raises(SendUnknown):
            await world.text("x")
        await asyncio.sleep(60.0)
        assert not world.outbox.claims(world.platform.say("x"))

    simulate(main())


# --- durable sends --------------------------------------------------------------------


async def restarted(world: World, **options: Any) -> World:
    """The next run of the program with the same store and the same platform."""
    await world.stop()
    again = World(store=world.store, **options)
    again.platform.taken.extend(world.platform.taken)
    return await again.start()


async def states(world: World) -> list[str]:
    return [post.state for post in await world.store.unsent(ME)]


def test_a_durable_send_waits_for_a_link_longer_than_its_caller_and_a_restart() -> None:
    async def main() -> None:
        world = World()
        await world.outbox.load()
        with pytest.raises(NotSent, match="stays in the outbox"):
            await world.text("x", durable=True)
        assert world.loop.time() == 30.0
        assert await states(world) == ["queued"]
        again = await restarted(world)
        await asyncio.sleep(1.0)
        assert [text for _, text in again.written] == ["x"]
        assert await states(again) == []

    simulate(main())


def test_a_durable_send_that_is_cancelled_goes_out_all_the_same() -> None:
    async def main() -> None:
        world = World()
        await world.outbox.load()
        sending = world.text("x", durable=True)
        await asyncio.sleep(1.0)
        sending.cancel()
        world.connect()
        await asyncio.sleep(1.0)
        assert [text for _, text in world.written] == ["x"]

    simulate(main())


@pytest.mark.parametrize(("fate", "writes"), [("silent", 0), ("lost", 1)])
def test_after_a_restart_a_durable_send_that_was_out_is_looked_for_first(
    fate: Fate, writes: int
) -> None:
    async def main() -> None:
        world = await World(fate=fates(fate)).start()
        world.text("x", durable=True)
        await asyncio.sleep(1.0)
        assert await states(world) == ["out"]
        again = await restarted(world)
        await again.text("y")  # keeps its place behind it
        assert [text for _, text in again.written] == ["x"] * writes + ["y"]
        assert [taken.text for taken in again.platform.taken] == ["x", "y"]
        uuids = {uuid for _, uuid, text in again.platform.written if text == "x"}
        assert uuids <= {uuid for _, uuid, _ in world.platform.written}
        assert await states(again) == []

    simulate(main())


def test_after_a_restart_the_echo_of_a_durable_send_that_was_out_is_ours() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent")).start()
        world.text("x", durable=True)
        await asyncio.sleep(1.0)
        again = await restarted(world)
        assert again.outbox.claims(again.platform.echo(again.platform.taken[0]))
        await asyncio.sleep(1.0)
        assert again.written == []
        assert await states(again) == []

    simulate(main())


def test_after_a_restart_the_echo_of_a_durable_send_that_was_answered_is_ours() -> None:
    async def main() -> None:
        world = await World().start()
        await world.text("x", durable=True)
        again = await restarted(world)
        assert again.outbox.claims(again.platform.echo(again.platform.taken[0]))
        assert not again.outbox.claims(again.platform.say("x"))

    simulate(main())


def test_after_a_restart_a_message_of_the_same_words_is_the_one_that_it_was() -> None:
    async def main() -> None:
        world = await World(fate=fates("ok", "lost")).start()
        first = await world.text("在的", durable=True)
        world.text("在的", durable=True)
        await asyncio.sleep(1.0)
        again = await restarted(world)
        assert again.outbox.claims(again.platform.echo(again.platform.taken[0]))
        await asyncio.sleep(10.0)
        ids = [post.message_id for post in await again.store.settled(ME, 5)]
        assert ids == [taken.message_id for taken in again.platform.taken]
        assert ids[0] == first.message_id
        assert len(ids) == 2

    simulate(main())


def test_after_a_restart_a_send_is_looked_for_from_its_write_on() -> None:
    async def main() -> None:
        world = World(fate=fates("lost"))
        await world.outbox.load()
        world.text("在的", durable=True)
        await asyncio.sleep(10.0)
        world.platform.say("在的")  # typed elsewhere, while ours still waits for a link
        await asyncio.sleep(10.0)
        world.connect()
        await asyncio.sleep(1.0)
        again = await restarted(world)
        await asyncio.sleep(10.0)
        assert [text for _, text in again.written] == ["在的"]

    simulate(main())


def test_a_clock_that_was_ahead_before_the_first_link_does_not_hide_a_send() -> None:
    async def main() -> None:
        world = World(fate=fates("silent"), clock_ahead=86_400.0, told=False)
        await world.outbox.load()
        world.text("x", durable=True)
        await asyncio.sleep(1.0)
        world.calls.told(world.platform.clock_ms())
        world.connect()
        await asyncio.sleep(1.0)
        again = await restarted(world)
        await asyncio.sleep(10.0)
        assert again.written == []
        assert await states(again) == []

    simulate(main())


@pytest.mark.parametrize("fate", ["ok", "lost"])
def test_uuids_go_on_after_a_restart_with_a_clock_that_stepped_back(fate: Fate) -> None:
    async def main() -> None:
        world = await World(fate=fates(fate)).start()
        world.text("x", durable=True)
        await asyncio.sleep(1.0)
        again = await restarted(world, clock_ahead=-1.0)
        await again.text("y")
        uuids = {text: uuid for each in (world, again) for _, uuid, text in each.platform.written}
        assert len(set(uuids.values())) == 2

    simulate(main())


def test_a_durable_send_that_was_not_taken_goes_out_again_by_itself() -> None:
    async def main() -> None:
        world = await World(fate=fates("lost", "late", "lost")).start()
        sent = await world.text("x", durable=True)
        assert len(world.platform.taken) == 1
        assert sent.message_id == world.platform.taken[0].message_id
        assert {uuid for _, uuid, _ in world.platform.written} == {sent.uuid}

    simulate(main())


def test_a_durable_send_waits_flow_control_out() -> None:
    async def main() -> None:
        world = await World(fate=fates(*["throttled"] * 20)).start()  # type: ignore[arg-type]
        with pytest.raises(NotSent, match="stays in the outbox"):
            await world.text("x", durable=True)
        await asyncio.sleep(120.0)
        assert [taken.text for taken in world.platform.taken] == ["x"]

    simulate(main())


def test_a_durable_send_that_a_deaf_link_refuses_goes_out_over_the_next_one() -> None:
    async def main() -> None:
        world = await World(fate=fates("deaf")).start()
        sending = world.text("x", durable=True)
        await asyncio.sleep(5.0)
        assert await states(world) == ["out"]
        world.lose()
        assert (await sending).message_id == world.platform.taken[0].message_id
        assert world.written == [(0.0, "x"), (6.0, "x")]
        assert len({uuid for _, uuid, _ in world.platform.written}) == 1

    simulate(main())


def test_a_durable_send_that_is_refused_for_the_token_is_tried_again_after_a_minute() -> None:
    async def main() -> None:
        world = await World(fate=fates("deaf")).start()
        world.text("x", durable=True)
        await asyncio.sleep(70.0)
        assert world.written == [(0.0, "x"), (60.02, "x")]
        assert await states(world) == []

    simulate(main())


@pytest.mark.parametrize(("fate", "writes"), [("stumbled", 1), ("broken", 2)])
def test_a_durable_send_that_broke_the_server_is_looked_for_first(fate: Fate, writes: int) -> None:
    async def main() -> None:
        world = await World(fate=fates(fate)).start()
        sent = await world.text("x", durable=True)
        [taken] = world.platform.taken
        assert sent.message_id == taken.message_id
        assert [text for _, text in world.written] == ["x"] * writes

    simulate(main())


@pytest.mark.parametrize("fate", ["deaf", "broken"])
def test_who_waits_for_a_send_is_told_of_a_refusal_that_may_pass(fate: Fate) -> None:
    async def main() -> None:
        world = await World(fate=fates(fate)).start()
        with pytest.raises(SendRefused):
            await world.text("x")
        assert len(world.written) == 1

    simulate(main())


def test_a_durable_send_waits_for_a_history_that_cannot_be_read() -> None:
    async def main() -> None:
        readable = False
        world = await World(fate=fates("silent"), readable=lambda: readable).start()
        with pytest.raises(SendUnknown, match="stays in the outbox"):
            await world.text("x", durable=True, name="n")
        readable = True
        sent = await world.text("other words", durable=True, name="n")
        assert sent.message_id == world.platform.taken[0].message_id
        assert [text for _, text in world.written] == ["x"]

    simulate(main())


def test_a_durable_send_whose_history_is_refused_is_unknown_for_good() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent"), readable=lambda: False, refusal=REFUSED).start()
        first, second = world.text("x", durable=True, name="n"), world.text("y", durable=True)
        with pytest.raises(SendUnknown, match="history is refused"):
            await first
        await second  # its conversation goes on
        assert await states(world) == []
        assert world.outcomes == ["unknown", "sent"]
        again = await restarted(world)
        with pytest.raises(SendUnknown, match="never confirmed"):
            await again.text("x", durable=True, name="n")
        assert again.written == []

    simulate(main())


def test_a_history_that_is_busy_is_asked_more_and_more_rarely_and_by_the_next_link() -> None:
    async def main() -> None:
        world = await World(fate=fates("silent"), readable=lambda: False, refusal=THROTTLED).start()
        world.text("x", durable=True)
        await asyncio.sleep(300.0)
        asked = world.platform.asked
        gaps = [after - before for before, after in pairwise(asked)]
        assert gaps == pytest.approx([2.02, 4.02, 8.02, 16.02, 32.02, 60.02, 60.02, 60.02])
        world.lose()
        await asyncio.sleep(2.0)
        assert asked[-1] == 301.0

    simulate(main())


def test_waits_are_scaled_with_all_back_off() -> None:
    async def main() -> None:
        settings = {**UNHURRIED, "backoff_scale": 0.1}
        world = await World(fate=fates("throttled", "throttled"), settings=settings).start()
        await world.text("x")
        assert [at for at, _ in world.written] == pytest.approx([0.0, 0.22, 0.64])

    simulate(main())


def test_what_was_asked_for_by_a_name_goes_out_once_even_across_a_restart() -> None:
    async def main() -> None:
        world = await World().start()
        first, second = (world.text(text, durable=True, name="n") for text in "12")
        sent = await first
        assert await second == sent
        again = await restarted(world)
        assert await again.text("3", durable=True, name="n") == sent
        assert [text for _, text in world.written] == ["1"]
        assert again.written == []

    simulate(main())


def test_a_durable_refusal_is_remembered() -> None:
    async def main() -> None:
        world = await World(fate=fates("refused")).start()
        with pytest.raises(SendRefused):
            await world.text("x", durable=True, name="n")
        again = await restarted(world)
        with pytest.raises(SendRefused, match="before"):
            await again.text("x", durable=True, name="n")
        assert again.written == []

    simulate(main())


class FailingStore(MemoryStore):
    """Fails its first so many calls of a kind."""

    def __init__(self, **failures: int) -> None:
        super().__init__()
        self._failures = failures

    def _fail(self, kind: str) -> None:
        if self._failures.get(kind, 0):
            self._failures[kind] -= 1
            raise StoreError("the disk is full")

    async def post(self, letter: Any) -> Any:
        self._fail("post")
        return await super().post(letter)

    async def mark(self, account_id: str, name: str, state: Any, **options: Any) -> None:
        self._fail(state)
        await super().mark(account_id, name, state, **options)


def test_what_the_store_does_not_keep_is_not_sent() -> None:
    async def main() -> None:
        world = await World(store=FailingStore(post=1)).start()
        with pytest.raises(StoreError):
            await world.text("x", durable=True)
        await world.text("y", durable=True)
        assert [text for _, text in world.written] == ["y"]

    simulate(main())


def test_nothing_durable_is_written_before_the_store_knows() -> None:
    async def main() -> None:
        world = await World(store=FailingStore(out=3)).start()
        await world.text("x", durable=True)
        assert world.written == [(3.0, "x")]

    simulate(main())


def test_a_store_that_fails_after_the_answer_keeps_nobody_waiting() -> None:
    async def main() -> None:
        world = await World(store=FailingStore(sent=3)).start()
        await world.text("x", durable=True)
        assert world.loop.time() < 1.0
        await asyncio.sleep(5.0)
        assert await states(world) == []

    simulate(main())


def test_a_name_is_for_durable_sends() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="durable=True"):
            await World().text("x", name="n")

    simulate(main())


# --- everything at once ---------------------------------------------------------------

FATES: list[Fate] = ["ok"] * 8 + ["silent", "lost", "refused", "throttled", "cut", "late"]
FATES += ["deaf", "broken"]


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_every_outcome_is_true(seed: int) -> None:
    dice = random.Random(seed)

    async def main() -> None:
        world = await World(
            fate=partial(dice.choice, FATES),
            readable=lambda: dice.random() < 0.9,
            settings={"send_rate": 2.0, "send_burst": 3, "send_timeout": 120.0},
        ).start()
        asked: list[tuple[str, str, bool, asyncio.Task[Sent]]] = []
        for number in range(25):
            await asyncio.sleep(dice.expovariate(1.0))
            conversation, durable = dice.choice([CID, OTHER, "70000000013"]), dice.random() < 0.4
            text = f"{number}" if dice.random() < 0.7 else "same words"
            task = world.text(text, conversation, durable=durable)
            asked.append((conversation, text, durable, task))
            if dice.random() < 0.1:
                await asyncio.sleep(dice.random())
                task.cancel()
            if dice.random() < 0.1:
                world.lose(dice.uniform(0.1, 5.0))
            for taken in world.platform.taken[-2:]:
                if dice.random() < 0.3:
                    world.outbox.claims(world.platform.echo(taken))
        await asyncio.wait({task for *_, task in asked})
        await asyncio.sleep(600.0)  # what is durable comes to its end
        check(world, asked)
        assert await states(world) == []
        await world.stop()

    simulate(main())


def check(world: World, asked: list[tuple[str, str, bool, asyncio.Task[Sent]]]) -> None:
    platform = world.platform
    by_id = {taken.message_id: taken for taken in platform.taken}
    counts: dict[str, int] = {}
    for taken in platform.taken:
        counts[taken.uuid] = counts.get(taken.uuid, 0) + 1
    assert set(counts.values()) <= {1}  # nothing twice
    claimed: list[str] = []
    for conversation, text, durable, task in asked:
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            message_id = task.result().message_id
            assert message_id is not None
            assert (by_id[message_id].conversation, by_id[message_id].text) == (conversation, text)
            claimed.append(message_id)
        elif isinstance(error, (NotSent, SendRefused)) and not durable and text != "same words":
            assert all((t.conversation, t.text) != (conversation, text) for t in platform.taken)
        assert error is None or isinstance(error, RequestError)
    assert len(set(claimed)) == len(claimed)  # no message is two sends' result
    for conversation in {conversation for conversation, *_ in asked}:
        order = [
            text for where, text, *_ in asked if where == conversation and text != "same words"
        ]
        came = [t.text for t in platform.taken if t.conversation == conversation]
        came = [text for text in came if text in order]
        assert came == [text for text in order if text in came]
    times = [at for at, *_ in platform.written]
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= 3 + 2.0 * (times[last] - start) + 1e-6
