"""How well the client hears, in good weather: what is pushed and not heard must be noticed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simulation import faults
from xyfast.testing.faults import Fault

if TYPE_CHECKING:
    from simulation.network import Wire
    from simulation.watch import Identity
    from simulation.world import World

__all__ = ["perform"]

_GLANCE = 0.25
_CALM = 30.0
"""Seconds within which every account is caught up."""
_DELAY = 3.5
"""More than times of a server are taken to differ by."""
_ANEW = 30.0
"""Seconds within which a link that died young is followed by one over which lists are read."""
_RELIED_ON = 5.0
"""Seconds that a link must live, or none is ever caught up."""
_COUNT = 4


async def perform(world: World) -> None:
    """Do what the scenario's finale says; what was pushed is still to be handled after it."""
    await _pass(world, _CALM)
    match world.scenario.finale:
        case "zombies":
            await _zombies(world)
        case "swallowed":
            await _swallowed(world)
        case "deaf for good":
            await _deaf_for_good(world)


async def _zombies(world: World) -> None:
    """Links that are pushed nothing are replaced in time."""
    life = world.scenario.server.link_life
    if life is not None and life < _RELIED_ON:
        return
    # One that follows a deaf link, and has brought nothing yet, may be left for long.
    await _pass(world, max(map(world.watch.spares, world.scenario.accounts)))
    zombies = [await _next_caught_up(world, account) for account in world.scenario.accounts]
    for wire in zombies:
        wire.zombie = True
    _push(world, 0)
    await _pass(world, _patience(world))
    for wire in zombies:
        replaced = wire.over or wire.closing
        world.watch.must(replaced, "a zombie is replaced in time", wire.account, wire.number)


async def _swallowed(world: World) -> None:
    """Links die unnoticed; the server may share pushes between them and those that follow."""
    faults.half_open(world, *world.scenario.accounts)
    await _pass(world, world.scenario.settings.heartbeat_timeout + 10.0)
    pushed = set()
    for number in range(_COUNT):
        pushed |= _push(world, number)
        await _pass(world, _DELAY)
    await _pass(world, 1.25 * world.scenario.settings.second_look)
    late = pushed - world.watch.rows.keys()
    world.watch.must(not late, "what dead links swallow is fetched in time", *sorted(late))


async def _deaf_for_good(world: World) -> None:
    """No link is pushed anything; what is said is fetched in time, and handled."""
    for account in world.scenario.accounts:
        world.server.fault(account, Fault.DEAF)
    patience = _patience(world)
    if world.scenario.server.link_life is not None:
        patience += _ANEW  # links end before they have been silent for long
    for number in range(_COUNT):
        pushed = _push(world, number)
        await _pass(world, patience)
        # How long its handler runs is another matter.
        late = pushed - world.watch.rows.keys()
        world.watch.must(not late, "what no link hears is fetched in time", *sorted(late))
    for account in world.scenario.accounts:
        world.server.fault(account, Fault.DEAF, on=False)


async def _next_caught_up(world: World, account: str) -> Wire:
    """The link that the client relies on: one that catches up asks for all that was said."""
    for _ in range(int(_CALM / _GLANCE)):
        assert world.process is not None
        sync = world.process.client._drivers[account].sync
        for wire in faults.wires(world, account):
            if wire.number == sync.confirmed and not wire.closing:
                return wire
        await _pass(world, _GLANCE)
    raise AssertionError(f"{account} is not caught up within {_CALM:g} s of good weather")


def _push(world: World, number: int) -> set[Identity]:
    """Push a message to every account, into another conversation than the last one."""
    pushed = set()
    for account in world.scenario.accounts:
        text = f"{world.scenario.canary} finale {number}"
        message = world.server.message(account, text, f"7000000002{number % 2}")
        world.note("push", account, message.id)
        world.server.push(account, [message])
        pushed.add((account, message.id))
    return pushed


def _patience(world: World) -> float:
    return world.scenario.settings.probe_after + world.scenario.settings.heartbeat


async def _pass(world: World, seconds: float) -> None:
    """Let time pass while the user looks after the accounts."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0.0:
        await asyncio.sleep(min(left, 2.0))
        world.console()
