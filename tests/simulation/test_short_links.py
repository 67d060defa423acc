"""Links that live shorter than it takes to compare an account with the server's lists."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulation.scenario import CONVERSATIONS, Moment, Scenario
from simulation.world import World, play
from world import ME
from xyfast.config import Settings
from xyfast.testing import Redelivery, Replay, ServerSettings

LIFE = 0.9
"""Seconds of a link. A replay is waited for for 0.5; then come four lists, one after the other."""
BEGIN, END = 5, 90


def scenario(seed: int, server: ServerSettings, clock_shift: float = 0.0) -> Scenario:
    """A message in every conversation each second, and never a link that lives."""
    return Scenario(
        seed=seed,
        accounts=(ME,),
        settings=Settings(
            backoff_scale=0.05, hold_most=3600.0, handler_timeout=1.0, handler_retries=0
        ),
        server=server,
        clock_shift=clock_shift,
        keep=604_800.0,
        encore=False,
        moments=tuple(
            Moment(time=float(second), what="push", account=ME, conversation=name, size=0.0)
            for second in range(BEGIN, END)
            for name in CONVERSATIONS
        ),
        canary="秘密",
    )


def delays(world: World) -> list[float]:
    """Seconds from the push of each message to its handler."""
    started = {facts[2]: time for time, facts in world.trace if facts[0] == "start"}
    pushed = [each for each in world.server.pushed[ME] if each.message is not None]
    assert pushed
    first = world.server.pushed[ME][0]
    return [started[each.id] - BEGIN - (each.pts - first.pts) / 1e6 for each in pushed]


@pytest.mark.parametrize("replay", Replay)
@pytest.mark.parametrize("shift", [0.0, -20_000.0, 20_000.0], ids=["", "behind", "ahead"])
def test_the_position_moves_and_all_comes_once_and_in_order(replay: Replay, shift: float) -> None:
    """`Watch` looks after order and number. The client's clock need not be right."""
    assumed = ServerSettings(replay=replay, redelivery=Redelivery.NEVER, link_life=LIFE)
    for seed in range(2):
        world = play(scenario(seed, assumed, shift))
        told = world.watch.positions.told[ME]
        assert told == sorted(told)
        assert told[-1] - told[0] > (END - BEGIN - 15) * 1e6
        assert max(delays(world)) < 15.0
        assert world.watch.gaps == []


@pytest.mark.parametrize("life", [0.6, 0.9, 2.0])
def test_every_invariant_holds_over_short_links(life: float) -> None:
    for seed in range(20):
        drawn = Scenario.draw(seed)
        # Where no request is answered in the first seconds, there is nothing to be done.
        play(replace(drawn, server=replace(drawn.server, link_life=life, quiet_time=0.0)))
