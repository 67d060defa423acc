"""The outbox on the virtual clock: order, pace, waits, refusals, and everything at once."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from itertools import pairwise

import pytest

from simulation.loop import simulate
from simulation.outbox import CID, OTHER, UNHURRIED, World, fates, states
from simulation.sends import LATENCY, ME, Fate
from xyfast import NotSent, SendRefused, Sent
from xyfast.errors import RequestError
from xyfast.instrumentation import SendFinished

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


@pytest.mark.parametrize("fate", ["deaf", "broken"])
def test_who_waits_for_a_send_is_told_of_a_refusal_that_may_pass(fate: Fate) -> None:
    async def main() -> None:
        world = await World(fate=fates(fate)).start()
        with pytest.raises(SendRefused):
            await world.text("x")
        assert len(world.written) == 1

    simulate(main())


def test_waits_are_scaled_with_all_back_off() -> None:
    async def main() -> None:
        settings = {**UNHURRIED, "backoff_scale": 0.1}
        world = await World(fate=fates("throttled", "throttled"), settings=settings).start()
        await world.text("x")
        assert [at for at, _ in world.written] == pytest.approx([0.0, 0.22, 0.64])

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
