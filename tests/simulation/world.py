"""One simulation: the client, everything around it, and the script that troubles it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

from simulation import faults, finales
from simulation.loop import VirtualLoop, simulate
from simulation.network import Network, SimTransport
from simulation.positions import Place
from simulation.scenario import Scenario
from simulation.server import EPOCH_MS, SimServer, SimTokens
from simulation.store import Disk, SimStore
from simulation.watch import Broken, Watch
from xyfast import Account, Client, State
from xyfast.errors import RequestError, StoreError
from xyfast.gates import Gates
from xyfast.messages import ChatMessage, Expired, Gap, Message
from xyfast.store import MemoryStore, Retention

__all__ = ["Failed", "World", "play", "run"]

_RUN: contextvars.ContextVar[int] = contextvars.ContextVar("run", default=0)
_LOG = logging.getLogger("xyfast")
_PATIENCE = 900.0
"""Seconds of good weather within which all must be handled."""
_GLANCE = 2.0
_ENCORE = 20.0


class Failed(AssertionError):
    """A seed under which an invariant does not hold, with the end of its trace."""


class Process:
    """One life of the client's process, from its start to its end, whatever that is."""

    def __init__(self, world: World, number: int) -> None:
        self.number = number
        self.alive = True
        self.over = asyncio.Event()
        """Set when it has died or closed."""
        self.world = world
        self.context = contextvars.copy_context()
        self.context.run(_RUN.set, number)
        self.transport = SimTransport(
            world.network, world.scenario.settings, self.lives, world.watch, self.context
        )
        self.store = SimStore(world.disk, self.lives, world.watch)
        self.client = self.context.run(self._client)

    def lives(self) -> bool:
        """Whether the process is there."""
        return self.alive

    def place(self, account: str) -> Place:
        """See `Place`."""
        driver = self.client._drivers.get(account)
        if driver is None:
            return None, None
        link = driver.sync.confirmed
        return driver.sync.received, None if link is None else self.transport.wires.get(link)

    def start(self, work: Callable[[], Any]) -> asyncio.Task[Any]:
        """Run a coroutine within the process."""
        return self.context.run(asyncio.get_running_loop().create_task, work())

    def _client(self) -> Client:
        world, scenario = self.world, self.world.scenario
        dice = random.Random(f"{scenario.seed}:client:{self.number}")
        gate_dice = random.Random(f"{scenario.seed}:gates:{self.number}")
        tokens = SimTokens(world.server, dice, self.lives, world.token_trouble)
        client = Client(
            store=self.store,  # type: ignore[arg-type]
            settings=scenario.settings,
            tokens=tokens,
            credentials=self,
            hooks=[self._hook],
            transport=self.transport,
            gates=Gates(clock=asyncio.get_running_loop().time, dice=gate_dice.random),
            clock=world.clock,
            dice=dice,
        )
        client.on(Message, own=True)(self._handle)
        client.on(Expired)(self._handle)
        client.on(Gap)(self._handle)
        return client

    def _hook(self, fact: Any) -> None:
        if self.alive:
            self.world.watch.fact(fact)

    async def credentials(
        self, account: Account, reason: str, *, human: bool, url: str | None
    ) -> Account | None:
        """See `CredentialSource`: a human who takes some time, if one is there."""
        if not human or self.world.dice.random() < 0.5:
            return None
        await asyncio.sleep(5.0)
        return self.world.log_in(account.id)

    # --- what the user's handlers do --------------------------------------------------

    async def _handle(self, message: Any) -> None:
        if not self.alive:
            return
        watch = self.world.watch
        identity = watch.starts(message)
        done = False
        try:
            await self._behave(message)
            done = True
        finally:
            if identity is not None and self.alive:
                watch.ends(identity, done)

    async def _behave(self, message: Any) -> None:
        dice, scenario = self.world.dice, self.world.scenario
        what = dice.random()
        if what < 0.5:
            return
        if what < 0.85:
            await asyncio.sleep(dice.random() ** 2 * 2.0)
        elif what < 0.90:
            raise ValueError("synthetic")
        elif what < 0.92:
            await asyncio.sleep(scenario.settings.handler_timeout * 2)
        elif isinstance(message, ChatMessage) and message.origin == "peer":
            await self._reply(message)

    async def _reply(self, message: ChatMessage) -> None:
        world = self.world
        text = f"{world.scenario.canary} reply {next(world.numbers)}"
        how = "sent"
        try:
            await message.reply(text)
        except RequestError as error:
            how = type(error).__name__
        if self.alive:
            world.replied(message.account_id, text, how)


class World:
    """Everything of one seed. ``trace`` holds what happened, a line each."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.trace: list[tuple[float, tuple[object, ...]]] = []
        self.dice = random.Random(f"{scenario.seed}:world")
        self.numbers = itertools.count(1)
        self.token_trouble: dict[str, str] = {}
        self.clock_shift = scenario.clock_shift
        """Seconds by which the client's clock is ahead of the server's."""
        self.process: Process | None = None
        self.restart_after = 0.0
        self._lives = itertools.count(1)
        self._seams = 0
        self._die_at: int | None = None
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self.server = SimServer(scenario.accounts, scenario.server)
        self.network = Network(self.server.service, random.Random(f"{scenario.seed}:network"))
        kept = Retention(keep=scenario.keep, keep_dead=2 * scenario.keep)
        store = MemoryStore(kept, clock=self.clock, steady=self._loop.time)
        self.disk = Disk(store, random.Random(f"{scenario.seed}:disk"))
        self.watch = Watch(self.server, scenario.settings, self._loop.time, self.note, self.seam)
        self.watch.secrets.add(scenario.canary)
        for account in scenario.accounts:
            self.watch.secrets.add(self.server.platform.accounts[account].login)

    def clock(self) -> float:
        """The client's wall clock, seconds."""
        return EPOCH_MS / 1000 + self._loop.time() + self.clock_shift

    def note(self, *facts: object) -> None:
        """Add to the trace."""
        self.trace.append((self._loop.time(), facts))

    def lines(self, last: int = 0) -> list[str]:
        """The last lines of the trace, all of them for 0."""
        return [f"{time:10.4f} {' '.join(map(str, facts))}" for time, facts in self.trace[-last:]]

    # --- the life of processes ----------------------------------------------------------

    def start(self) -> None:
        """Start the client's process."""
        self.process = process = Process(self, next(self._lives))
        self.note("process starts", process.number)
        self.watch.born(process.transport, process.place)
        self._serving = process.start(self._serve)

    async def _serve(self) -> None:
        process = self.process
        assert process is not None
        for account in self.scenario.accounts:
            while True:
                try:
                    await process.client.add(self.account(account))
                    break
                except StoreError:
                    await asyncio.sleep(1.0)

    def account(self, account: str) -> Account:
        """The account with its present cookies."""
        return Account.from_cookies(self.server.platform.accounts[account].cookies())

    def log_in(self, account: str) -> Account:
        """What a human does: log in anew, which ends the platform's asking."""
        state = self.server.platform.accounts[account]
        state.log_in()
        self.watch.secrets.add(state.login)
        self.token_trouble.pop(account, None)
        return self.account(account)

    def seam(self) -> None:
        """The client had an effect; its process may end right here."""
        self._seams += 1
        if self._seams == self._die_at:
            self.crash(5.0)

    def crash_at_seam(self, count: int) -> None:
        """End the process at one of the next effects that it has."""
        self._die_at = self._seams + count

    def crash(self, restart_after: float) -> None:
        """End the process where it stands; another one starts later."""
        process = self.process
        if process is None:
            return
        self.note("process dies", process.number)
        self.process = None
        process.alive = False
        process.over.set()
        process.transport.die()
        self.watch.died()
        self._loop.call_soon(self._bury, process, context=self._context)
        self._loop.call_later(restart_after, self.start_again, context=self._context)

    def _bury(self, process: Process) -> None:
        assert isinstance(self._loop, VirtualLoop)
        self._loop.abandon(lambda context: context.get(_RUN) == process.number)

    def start_again(self) -> None:
        """Start the client's process unless one runs."""
        if self.process is None:
            self.start()

    async def close(self) -> None:
        """Stop the client cleanly; nothing of it may be left."""
        process = self.process
        if process is None:
            return
        self.note("process closes", process.number)
        failures = self.disk.failures
        closing = process.start(process.client.close)
        closing.add_done_callback(lambda _: process.over.set())
        await process.over.wait()
        if not process.alive:
            return  # it died while it closed
        closing.result()
        self._serving.cancel()  # it may be adding an account still
        self.note("process closed", process.number)
        self.process = None
        if self.disk.failures == failures:
            self.watch.closed()
        process.alive = False
        self.watch.died()
        await asyncio.sleep(0)
        assert isinstance(self._loop, VirtualLoop)
        left = self._loop.pending(lambda context: context.get(_RUN) == process.number)
        self.watch.must(not left, "nothing is left at close", left)
        process.transport.die()

    # --- sending ------------------------------------------------------------------------

    def replied(self, account: str, text: str, how: str) -> None:
        """A handler's reply has come to its end: compare with what the server has."""
        self.note("reply", account, text, how)
        has = sum(sent.text == text for sent in self.server.platform.accounts[account].ledger.sent)
        right = {"sent": (1,), "NotSent": (0,), "SendRefused": (0,), "SendUnknown": (0, 1)}[how]
        self.watch.must(has in right, "sending is honest", how, "and the server has it", has)

    # --- the script ---------------------------------------------------------------------

    async def play(self) -> None:
        """The script, then the calm after it, then the end."""
        self.start()
        for moment in self.scenario.moments:
            await asyncio.sleep(max(moment.time - self._loop.time(), 0.0))
            self.note("script", moment.what, moment.account or "")
            await faults.perform(self, moment)
        faults.heal(self)
        self.note("calm")
        await self._settle()
        if self.scenario.finale is not None:
            self.note("finale", self.scenario.finale)
            self._die_at = None  # a crash that is still due would be bad weather
            await finales.perform(self)
            await self._settle()
        await self.close()
        if self.scenario.encore:  # nothing that was handled comes again
            self.start()
            await asyncio.sleep(_ENCORE)
            await self.close()
        self.watch.silent()
        self.watch.step()

    async def _settle(self) -> None:
        deadline = self._loop.time() + _PATIENCE
        away = set(self.scenario.accounts)
        while self._loop.time() < deadline:
            await asyncio.sleep(_GLANCE)
            self.console()
            if self.process is None:
                continue
            away -= self._connected(self.process.client)
            if not away and not self.watch.missing() and not self.watch.unhandled():
                return
        self.watch.must(not away, "every account comes back", *sorted(away))
        lost = [f"{each.account}/{each.id}" for each in self.watch.missing()]
        self.watch.must(not lost, "every message is handled, dead or in a gap", *lost)
        self.watch.must(not self.watch.unhandled(), "all is handled", *self.watch.unhandled())

    def _connected(self, client: Client) -> set[str]:
        return {each.id for each in client.accounts if client.state(each.id) is State.CONNECTED}

    def console(self) -> None:
        """What a user does who looks at the states: connects again, brings new cookies."""
        process = self.process
        if process is None:
            return
        for account in process.client.accounts:
            state = process.client.state(account.id)
            if state is State.KICKED:
                process.context.run(process.client.resume, account.id)
            elif state is State.NEEDS_LOGIN:
                fresh = self.log_in(account.id)
                process.context.run(process.client.replace_credentials, fresh)


class _Collector(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        if self._world.process is not None:
            self._world.watch.logged(record)


@contextlib.contextmanager
def _listening(world: World) -> Iterator[None]:
    collector = _Collector(world)
    level, propagate = _LOG.level, _LOG.propagate
    _LOG.addHandler(collector)
    _LOG.setLevel(logging.DEBUG)
    _LOG.propagate = False
    try:
        yield
    finally:
        _LOG.removeHandler(collector)
        _LOG.setLevel(level)
        _LOG.propagate = propagate


def run(seed: int) -> World:
    """Play a seed; raises `Failed` with the end of the trace."""
    return play(Scenario.draw(seed))


def play(scenario: Scenario) -> World:
    """Play a scenario; raises `Failed` with the end of the trace."""
    world: World | None = None

    async def main() -> None:
        nonlocal world
        world = World(scenario)
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: world.watch.must(
                False, "no exception is unexpected", context.get("exception") or context["message"]
            )
        )
        with _listening(world):
            await world.play()

    def after_step() -> None:
        if world is not None:
            world.watch.step()

    try:
        simulate(main(), after_step=after_step)
    except Exception as error:
        lines = world.lines(60) if world is not None else []
        text = "\n".join([f"seed {scenario.seed}: {type(error).__name__}: {error}", *lines])
        text += f"\nagain: pytest tests/simulation --seed {scenario.seed}"
        raise Failed(text) from (None if isinstance(error, Broken) else error)
    assert world is not None
    return world
