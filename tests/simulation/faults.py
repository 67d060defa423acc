"""What the script can do to the client, and how everything becomes good again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from simulation.network import Wire
from simulation.scenario import TROUBLES, UNHEARD, Moment
from xyfast.testing import samples
from xyfast.testing.faults import Fault
from xyfast.testing.samples import Message, Sample

if TYPE_CHECKING:
    from simulation.world import World

__all__ = ["half_open", "heal", "perform", "wires"]


async def perform(world: World, moment: Moment) -> None:
    """Do what a moment of the script says."""
    result = _ACTIONS[moment.what](world, moment)
    if result is not None:
        await result


def heal(world: World) -> None:
    """End all trouble; every link is cut once, so that every account resumes in good weather."""
    network = world.network
    network.down = network.black_hole = False
    network.stall = 0.0
    network.lose_acks = False
    network.lose_answers = network.garble = 0
    world.disk.down = world.disk.full = False
    world.disk.slow = 0.0
    world.disk.fail_at.clear()
    world.token_trouble.clear()
    for account in world.scenario.accounts:
        world.server.platform.accounts[account].faults.clear()
    _cut(world, world.scenario.accounts)


def _later(world: World, moment: Moment, call: Callable[[], object]) -> None:
    """Undo a trouble after a while."""
    world.network.later(1.0 + moment.size * 25.0, call)


def wires(world: World, *accounts: str) -> list[Wire]:
    """The client's sockets of some accounts."""
    return [wire for wire in world.network.wires if wire.account in accounts and not wire.over]


def _cut(world: World, accounts: tuple[str, ...]) -> None:
    for wire in wires(world, *accounts):
        wire.reset()


def _push(world: World, moment: Moment) -> None:
    account, conversation, server = moment.account, moment.conversation, world.server
    entries: list[Message | Sample] = []
    for _ in range(1 + int(moment.size**4 * 5)):
        text = f"{world.scenario.canary} {next(world.numbers)}"
        kind = world.dice.random()
        now = server.platform.clock()
        if kind < 0.04:
            entries.append(samples.typing(conversation, f"91{conversation}", now))
        elif kind < 0.08:
            entries.append(samples.read(conversation, ["5000000000001.PNM"], now))
        elif kind < 0.10:
            entries.append(samples.red_reminder(conversation, "等待卖家发货", now))
        else:
            own = kind < 0.16
            entries.append(server.message(account, text, conversation, own=own))
    world.note("push", account, conversation, len(entries))
    server.push(account, entries)


def _flood(world: World, moment: Moment) -> None:
    """More than a page of history in one conversation; those of a millisecond have no order."""

    def push() -> None:
        text = f"{world.scenario.canary} {next(world.numbers)}"
        message = world.server.message(moment.account, text, moment.conversation)
        world.note("push", moment.account, moment.conversation, message.id)
        world.server.push(moment.account, [message])

    for number in range(25 + int(moment.size * 10)):
        world.network.later(number * 0.002, push)


def _standing(*choices: Fault) -> Callable[[World, Moment], None]:
    def begin(world: World, moment: Moment) -> None:
        fault = choices[int(moment.size * len(choices))]
        world.server.fault(moment.account, fault)
        _later(world, moment, lambda: world.server.fault(moment.account, fault, False))

    return begin


def _lost_session(fault: Fault) -> Callable[[World, Moment], None]:
    """A link that lost its session does not get it back; its successor is well."""

    def begin(world: World, moment: Moment) -> None:
        def end() -> None:
            if fault in world.server.platform.accounts[moment.account].faults:
                world.server.fault(moment.account, fault, False)
                _cut(world, (moment.account,))

        world.server.fault(moment.account, fault)
        _later(world, moment, end)

    return begin


def half_open(world: World, *accounts: str) -> None:
    """Links die in silence; the server gives them up after a minute."""
    for wire in wires(world, *accounts):
        wire.frozen = True
        world.network.later(60.0, wire.drop_server)


def _zombie(world: World, moment: Moment) -> None:
    for wire in wires(world, moment.account):
        wire.zombie = True


def _server_closes(world: World, moment: Moment) -> None:
    for wire in wires(world, moment.account):
        wire.close()


def _server_down(world: World, moment: Moment) -> None:
    world.network.down = True
    _cut(world, world.scenario.accounts)
    _later(world, moment, lambda: setattr(world.network, "down", False))


def _attribute(
    of: Callable[[World], object], name: str, value: object, usual: object
) -> Callable[[World, Moment], None]:
    def begin(world: World, moment: Moment) -> None:
        setattr(of(world), name, value)
        _later(world, moment, lambda: setattr(of(world), name, usual))

    return begin


def _token_trouble(world: World, moment: Moment) -> None:
    kind = ("network", "busy", "slow", "human")[int(moment.size * 4)]
    world.token_trouble[moment.account] = kind
    world.server.platform.expire_tokens(world.server.platform.accounts[moment.account])
    if kind != "human":
        _later(world, moment, lambda: world.token_trouble.pop(moment.account, None))
    _cut(world, (moment.account,))


def _token_expires(world: World, moment: Moment) -> None:
    """As a token does, together with the link that was registered with it."""
    world.server.platform.expire_tokens(world.server.platform.accounts[moment.account])
    _later(world, moment, lambda: _cut(world, (moment.account,)))


def _kick(world: World, moment: Moment) -> None:
    lwp = "/push/kickout" if moment.size < 0.5 else "/s/session/remove"
    for seat in world.server.service.seats(moment.account):
        world.server.service.channels[moment.account].kick(seat, lwp)
    _later(world, moment, world.console)


def _too_long(world: World, moment: Moment) -> None:
    world.server.service.channels[moment.account].announce_gap()


def _credentials(world: World, moment: Moment) -> None:
    process = world.process
    if process is not None and moment.account in [a.id for a in process.client.accounts]:
        fresh = world.log_in(moment.account)
        process.context.run(process.client.replace_credentials, fresh)


def _replaced(world: World, moment: Moment) -> None:
    """The user asks for another link in the midst of work."""
    process = world.process
    if process is not None and moment.account in [a.id for a in process.client.accounts]:
        process.context.run(process.client.replace_link, moment.account)
        for number in range(4):  # while both links are up
            world.network.later(number * 0.1, _push, world, moment)


def _slept(world: World, moment: Moment) -> None:
    """The client's machine slept: its links died, its clock moved on, its loop's did not."""
    half_open(world, *world.scenario.accounts)
    world.clock_shift += 10.0 + moment.size * 1000.0


def _store_fails(world: World, moment: Moment) -> None:
    world.disk.fail_at.add(world.disk.calls + 1 + int(moment.size * 20))


def _clock_jumps(world: World, moment: Moment) -> None:
    world.clock_shift += (moment.size - 0.5) * 2000.0


def _crash(world: World, moment: Moment) -> None:
    world.crash(moment.size * 10.0)


def _crash_at_seam(world: World, moment: Moment) -> None:
    world.crash_at_seam(1 + int(moment.size * 30))


async def _restart(world: World, moment: Moment) -> None:
    """A stop in the midst of work."""
    for _ in range(3):
        _push(world, moment)
    await asyncio.sleep(moment.size * 0.5)
    await world.close()
    world.network.later(moment.size * 10.0, world.start_again)


def _network(world: World) -> object:
    return world.network


def _disk(world: World) -> object:
    return world.disk


_ACTIONS: dict[str, Callable[[World, Moment], Awaitable[None] | None]] = {
    "push": _push,
    "flood": _flood,
    "crash": _crash,
    "crash at seam": _crash_at_seam,
    "restart": _restart,
    "reset": lambda world, moment: _cut(world, (moment.account,)),
    "server closes": _server_closes,
    "half-open": lambda world, moment: half_open(world, moment.account),
    "stall": _attribute(_network, "stall", 2.0, 0.0),
    "server down": _server_down,
    "black hole": _attribute(_network, "black_hole", True, False),
    "duplicates": _standing(Fault.DUPLICATE),
    "mute": _standing(Fault.MUTE),
    "position refused": _standing(Fault.POSITION_REFUSED),
    "position unanswered": _standing(Fault.POSITION_UNANSWERED),
    "bad payloads": _standing(Fault.BAD_PAYLOAD),
    "lost acks": _attribute(_network, "lose_acks", True, False),
    "lost answer": _attribute(_network, "lose_answers", 1, 0),
    "garbled": _attribute(_network, "garble", 2, 0),
    "deaf": _lost_session(Fault.DEAF),
    "unauthorised": _lost_session(Fault.UNAUTHORISED),
    "refused": _standing(Fault.REGISTRATION_REFUSED),
    "limited": _standing(Fault.REGISTRATION_LIMITED),
    "flow control": _standing(Fault.FLOW_CONTROL),
    "send trouble": _standing(
        Fault.SEND_REFUSED, Fault.SEND_BUSY, Fault.SEND_UNANSWERED, Fault.SEND_LOST
    ),
    "token trouble": _token_trouble,
    "token expires": _token_expires,
    "kick": _kick,
    "too long": _too_long,
    "credentials": _credentials,
    "store fails": _store_fails,
    "store down": _attribute(_disk, "down", True, False),
    "store full": _attribute(_disk, "full", True, False),
    "store slow": _attribute(_disk, "slow", 2.0, 0.0),
    "clock jumps": _clock_jumps,
    "zombie": _zombie,
    "replaced": _replaced,
    "slept": _slept,
}
_BESIDE = {"push", "flood", "garbled", "zombie", "replaced", "slept"}
assert _ACTIONS.keys() == {*_BESIDE, *TROUBLES, *UNHEARD}
