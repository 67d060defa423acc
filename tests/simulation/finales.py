"""How well the client hears, in good weather: what is pushed and not heard must be noticed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from simulation import faults
from xyfast.testing.faults import Fault

if TYPE_CHECKING:
    from simulation.network import Wire
    from simulation.world import World

__all__ = ["perform"]

_CALM = 30.0
"""Seconds within which every account is caught up."""
_DELAY = 3.5
"""More than times of a server are taken to differ by."""
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
    accounts = [each for each in world.scenario.accounts if not world.watch.spares(each)]
    zombies = [wire for wire in faults.wires(world, *accounts) if _caught_up(world, wire)]
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
    for number in range(_COUNT):
        _push(world, number)
        await _pass(world, _DELAY)


async def _deaf_for_good(world: World) -> None:
    """No link is pushed anything; what is said is handled all the same."""
    for account in world.scenario.accounts:
        world.server.fault(account, Fault.DEAF)
    for number in range(_COUNT):
        pushed = _push(world, number)
        await _pass(world, _patience(world))
        late = pushed & {each.id for each in world.watch.missing()}
        if world.scenario.server.link_life is not None:
            continue  # links end before they have been silent for long
        world.watch.must(not late, "what no link hears is fetched in time", *sorted(late))
    for account in world.scenario.accounts:
        world.server.fault(account, Fault.DEAF, on=False)


def _caught_up(world: World, wire: Wire) -> bool:
    """Whether the client relies on a link: one that catches up asks for all that was said."""
    assert world.process is not None
    assert wire.account is not None
    return world.process.client._drivers[wire.account].sync.confirmed == wire.number


def _push(world: World, number: int) -> set[str]:
    """Push a message to every account, into another conversation than the last one."""
    ids = set()
    for account in world.scenario.accounts:
        text = f"{world.scenario.canary} finale {number}"
        message = world.server.message(account, text, f"7000000002{number % 2}")
        world.note("push", account, message.id)
        world.server.push(account, [message])
        ids.add(message.id)
    return ids


def _patience(world: World) -> float:
    return world.scenario.settings.probe_after + world.scenario.settings.heartbeat


async def _pass(world: World, seconds: float) -> None:
    """Let time pass while the user looks after the accounts."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0.0:
        await asyncio.sleep(min(left, 2.0))
        world.console()
