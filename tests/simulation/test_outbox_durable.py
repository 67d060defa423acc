"""Durable sends: across restarts, refusals that pass, and a store that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from simulation.loop import simulate
from simulation.outbox import World, fates, restarted, states
from simulation.sends import ME, REFUSED, Fate
from xyfast import MemoryStore, NotSent, SendRefused, SendUnknown
from xyfast.errors import ConfigError, StoreError


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


@pytest.mark.parametrize("ahead", [-86_400.0, 86_400.0])
def test_a_clock_that_is_wrong_hides_no_send_over_a_link_that_told_no_time(ahead: float) -> None:
    async def main() -> None:
        world = await World(fate=fates("cut"), clock_ahead=ahead, told=False).start()
        world.platform.say("x")
        await asyncio.sleep(6.0)
        world.text("x", durable=True)
        await asyncio.sleep(1.0)
        again = await restarted(world, clock_ahead=ahead, told=False)
        await asyncio.sleep(10.0)
        assert again.written == []
        assert await states(again) == []
        [post] = await again.store.settled(ME, 9)
        assert post.message_id == world.platform.taken[1].message_id

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


def test_a_durable_send_on_which_the_server_always_breaks_goes_out_ever_more_seldom() -> None:
    async def main() -> None:
        broken = True
        world = await World(fate=lambda: "broken" if broken else "ok").start()
        sending = world.text("x", durable=True)
        await asyncio.sleep(600.0)
        assert len(world.written) < 20
        broken = False
        await asyncio.sleep(70.0)
        assert [taken.text for taken in world.platform.taken] == ["x"]
        await asyncio.gather(sending, return_exceptions=True)

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

    def __init__(self, error: Exception | None = None, **failures: int) -> None:
        super().__init__()
        self._error = error or StoreError("the disk is full")
        self._failures = failures

    def _fail(self, kind: str) -> None:
        if self._failures.get(kind, 0):
            self._failures[kind] -= 1
            raise self._error

    async def post(self, letter: Any) -> Any:
        self._fail("post")
        return await super().post(letter)

    async def mark(self, account_id: str, name: str, state: Any, **options: Any) -> None:
        self._fail(state)
        await super().mark(account_id, name, state, **options)


@pytest.mark.parametrize("failures", [{"out": 1}, {"sent": 2}, {"out": 1, "sent": 1}])
def test_a_store_that_raises_what_it_should_not_changes_no_outcome(
    failures: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        world = await World(store=FailingStore(OSError("secret"), **failures)).start()
        sent = await world.text("x", durable=True, name="n")
        assert await world.text("x", durable=True, name="n") == sent
        assert len(world.written) == 1
        await asyncio.sleep(5.0)
        assert await states(world) == []
        assert [post.state for post in await world.store.settled(ME, 5)] == ["sent"]

    simulate(main())
    assert "reason=OSError" in caplog.text
    assert "secret" not in caplog.text


def test_a_store_that_raises_what_it_should_not_keeps_nothing() -> None:
    async def main() -> None:
        world = await World(store=FailingStore(OSError(), post=1)).start()
        with pytest.raises(StoreError, match="the store raised OSError"):
            await world.text("x", durable=True)
        assert world.written == []

    simulate(main())


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


def test_a_store_that_goes_on_failing_is_told_of_once_for_each_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        world = await World(store=FailingStore(out=5, sent=7)).start()
        await world.text("x", durable=True)
        await asyncio.sleep(10.0)
        assert await states(world) == []

    simulate(main())
    said = [record for record in caplog.records if "not recorded yet" in record.getMessage()]
    assert [record.levelname for record in said] == ["ERROR"] * 2
    assert all("the disk is full" in record.getMessage() for record in said)


def test_a_name_is_for_durable_sends() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="durable=True"):
            await World().text("x", name="n")

    simulate(main())
