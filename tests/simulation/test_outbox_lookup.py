"""What becomes of sends without an answer: history, echoes, and what is not ours."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from simulation.loop import simulate
from simulation.outbox import CID, OTHER, World, fates
from simulation.sends import LATENCY, PEER, THROTTLED
from xyfast import NotSent, SendUnknown, Sent
from xyfast.requests import image_content

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


def test_a_send_whose_answer_cannot_be_read_is_found_in_the_history() -> None:
    async def main() -> None:
        world = await World(fate=fates("garbled")).start()
        assert (await world.text("x")).message_id == world.platform.taken[0].message_id
        assert world.platform.asked == [2.0]

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
