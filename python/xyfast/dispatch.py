"""Who handles what, and the running of handlers."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from xyfast.deadlines import Deadlines
from xyfast.errors import ConfigError
from xyfast.instrumentation import HandlerRan, Hooks, Retried
from xyfast.lanes import Lane, Lanes
from xyfast.logs import logger, say, seconds, told
from xyfast.messages import ChatMessage, Expired, Gap, GroupMessage, Message, for_handler
from xyfast.store import DeadLetter
from xyfast.unheard import Unheard

__all__ = ["Delivery", "Dispatcher", "Handled", "Router"]

log = logger(__name__)

Handled = Message | Expired | Gap
"""What a handler can be given."""

H = TypeVar("H", bound=Handled)

_LAST_WORD = 1.0  # seconds that a cancelled handler gets to clean up
Handler = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Route:
    kind: type[Any]
    own: bool
    name: str
    handler: Handler

    def takes(self, message: Handled) -> bool:
        if not isinstance(message, self.kind):
            return False
        written = isinstance(message, (ChatMessage, GroupMessage))
        return self.own or not written or message.origin == "peer"


class Router:
    """Handlers by the class of what they take.

    >>> router = Router()
    >>> @router.on(ChatMessage)
    ... async def answer(message: ChatMessage) -> None:
    ...     await message.reply("在的")
    """

    def __init__(self) -> None:
        self._routes: list[_Route] = []
        self._named: Counter[str] = Counter()

    def on(
        self, kind: type[H], /, *, own: bool = False
    ) -> Callable[[Callable[[H], Awaitable[object]]], Callable[[H], Awaitable[object]]]:
        """Decorate an async function that takes messages of class ``kind``.

        A base class takes its subclasses too. Several handlers of one message run one
        after the other, in the order in which they were registered. Chat messages that
        the account itself wrote are left out unless ``own`` is true. Raises `ConfigError`
        for a class that is never delivered, and for a function that is not async or does
        not take one argument.
        """
        if not (isinstance(kind, type) and issubclass(kind, (Message, Expired, Gap))):
            raise ConfigError(f"on() takes a message class, not {kind!r}")

        def register(handler: Callable[[H], Awaitable[object]]) -> Callable[[H], Awaitable[object]]:
            call = handler if asyncio.iscoroutinefunction(handler) else type(handler).__call__
            if not asyncio.iscoroutinefunction(call):
                raise ConfigError(f"handler {_name(handler)} must be an async function")
            try:
                inspect.signature(handler).bind(None)
            except TypeError:
                raise ConfigError(
                    f"handler {_name(handler)} must take one argument, the message"
                ) from None
            self._routes.append(_Route(kind, own, self._new_name(handler), handler))
            return handler

        return register

    def handlers(self, message: Handled) -> list[tuple[str, Handler]]:
        """The handlers that take ``message``, in order, with their names.

        A name is the same in every run of a program, whatever handlers of other functions
        are registered before.
        """
        return [(route.name, route.handler) for route in self._routes if route.takes(message)]

    def _new_name(self, handler: Handler) -> str:
        module = getattr(handler, "__module__", type(handler).__module__)
        function = f"{module}.{_name(handler)}"
        self._named[function] += 1
        return f"{function}.{self._named[function]}"


class Delivery(NamedTuple):
    """A message on its way to its handlers.

    ``key`` names its row in the inbox, which takes ``size`` characters of memory. It is None
    for what has no row: a `Gap`, a payload that is a dead letter already. That is tried again
    like the rest; such a payload is told once at most. ``dead`` is what it is, and stays
    unless a handler takes it: a payload that cannot be decoded.
    """

    message: Handled
    key: str | None = None
    size: int = 0
    dead: DeadLetter | None = None

    @property
    def account_id(self) -> str:
        """The account that received it."""
        return self.message.account_id

    @property
    def lane(self) -> Lane:
        """What it must not overtake: its conversation, else the account's other events."""
        return self.message.account_id, self.message.conversation_id


class _Job:
    """A delivery, the handlers that it still needs by name, and how often they have failed.

    ``since`` is the loop's time at which it came.
    """

    __slots__ = ("delivery", "handlers", "since", "tries")

    def __init__(
        self, delivery: Delivery, handlers: list[tuple[str, Handler]], since: float
    ) -> None:
        self.delivery = delivery
        self.handlers = handlers
        self.since = since
        self.tries = 0


class Dispatcher:
    """Runs handlers: one at a time per conversation, ``limit`` at once in all.

    A message whose handler fails is given to that handler again, up to ``retries`` times,
    each after a wait of up to ``retry_wait`` seconds, doubled with every try. Its lane stays
    closed meanwhile, and the message says by its ``redelivered`` that it was tried before.

    ``finished(delivery, letter)`` is told of every delivery that came to its end, with a
    `DeadLetter` if a handler failed for good. A delivery that `stop` cuts off, or finds
    waiting for its next try, is not reported: it stays pending in the inbox. So does what no
    handler has seen by then, which is in ``unbegun``.
    """

    def __init__(
        self,
        router: Router,
        finished: Callable[[Delivery, DeadLetter | None], None],
        hooks: Hooks,
        *,
        limit: int,
        timeout: float,
        retries: int,
        retry_wait: float,
        dice: Callable[[], float],
    ) -> None:
        self._router = router
        self._finished = finished
        self._hooks = hooks
        self._timeout = timeout
        self._deadlines = Deadlines(timeout)
        self._retries = retries
        self._retry_wait = retry_wait
        self._dice = dice
        self._unheard = Unheard()
        self._lanes: Lanes[_Job] = Lanes(limit)
        self._tasks: dict[asyncio.Task[float | None], tuple[Lane, _Job]] = {}
        self._resting: dict[Lane, tuple[asyncio.TimerHandle, _Job]] = {}
        self._cut_off: set[asyncio.Task[float | None]] = set()
        self._leaving: set[str] = set()
        self._stopping = False
        self.unbegun: list[Delivery] = []

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their turn."""
        return len(self._lanes)

    @property
    def running(self) -> int:
        """Deliveries whose handlers run."""
        return len(self._tasks)

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery; call `start` after the last of a batch.

        One that no handler takes has come to its end at once.
        """
        handlers = self._router.handlers(delivery.message)
        say(
            log,
            logging.DEBUG,
            "message received",
            account=delivery.account_id,
            key=delivery.key,
            kind=type(delivery.message).__name__,
            handlers=len(handlers),
        )
        if not handlers:
            if isinstance(delivery.message, Expired) and not self._stopping:
                self._unheard.add(delivery.account_id)
            self._finished(delivery, delivery.dead)
        elif self._stopping:
            self.unbegun.append(delivery)
        else:
            now = asyncio.get_running_loop().time()
            self._lanes.put(delivery.lane, _Job(delivery, handlers, now))

    def start(self) -> None:
        """Start every delivery that may start now."""
        loop = asyncio.get_running_loop()
        for lane, job in self._lanes.take():
            task = loop.create_task(self._run(job))
            self._tasks[task] = lane, job
            task.add_done_callback(self._ended)

    async def stop(self, grace: float) -> int:
        """Start nothing more, let what runs finish within ``grace`` seconds, cancel the rest.

        Returns how many were cancelled. What was not finished stays pending.
        """
        self._stopping = True
        self._unheard.stop()
        self.unbegun += [job.delivery for job in self._lanes.clear() if not job.tries]
        for timer, _ in self._resting.values():
            timer.cancel()
        self._resting.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        self.cut_off()
        if self._cut_off:  # one that refuses to end is left behind
            await asyncio.wait(self._cut_off, timeout=_LAST_WORD)
        self._deadlines.stop()
        return len(self._cut_off)

    def cut_off(self) -> None:
        """Cancel what runs, while `stop` waits for it."""
        self._cancel(set(self._tasks))

    def _cancel(self, tasks: set[asyncio.Task[float | None]]) -> None:
        for task in tasks - self._cut_off:
            task.cancel()
        self._cut_off |= tasks

    async def leave(self, account_id: str, grace: float) -> tuple[list[Delivery], list[Delivery]]:
        """Start nothing more of an account, let what runs finish, cancel the rest, as `stop` does.

        Returns what no handler has seen, and what was begun and has not come to its end.
        """
        self._leaving.add(account_id)
        waiting = self._lanes.drop(account_id)
        for lane in [lane for lane in self._resting if lane[0] == account_id]:
            timer, job = self._resting.pop(lane)
            timer.cancel()
            waiting.append(job)
        running = {task: job for task, (lane, job) in self._tasks.items() if lane[0] == account_id}
        if running:
            await asyncio.wait(running, timeout=grace)
        cut_off = {task for task in running if not task.done()}
        self._cancel(cut_off)
        if cut_off:
            await asyncio.wait(cut_off, timeout=_LAST_WORD)
        self._cut_off -= {task for task in cut_off if task.done()}
        self._leaving.remove(account_id)
        begun = [job.delivery for job in waiting if job.tries]
        for task, job in running.items():
            if task.done() and task.cancelled():
                message = _once_more(job.delivery.message)
                begun.append(job.delivery._replace(message=message))
            elif task.done() and task.exception() is None and task.result() is not None:
                begun.append(job.delivery)  # it wanted another try
        return [job.delivery for job in waiting if not job.tries], begun

    def runs(self, task: asyncio.Task[object] | None) -> bool:
        """Whether a task is one of the handlers that run."""
        return task in self._tasks

    def _ended(self, task: asyncio.Task[float | None]) -> None:
        lane, job = self._tasks.pop(task)
        wait = None
        if not task.cancelled():  # by `stop`
            if (error := task.exception()) is None:
                wait = task.result()
            else:  # no Exception: one that ends the program, say
                account_id, key = job.delivery.account_id, job.delivery.key
                say(log, logging.ERROR, "handler raised", error=error, account=account_id, key=key)
                if task not in self._cut_off:
                    self._dead(job, DeadLetter(reason=f"a handler raised {told(error)}"))
        if wait is None or self._stopping or lane[0] in self._leaving:
            self._lanes.done(lane)
        else:  # the lane rests before the timer runs, which may be at once
            self._lanes.rest(lane)
            loop = asyncio.get_running_loop()
            self._resting[lane] = loop.call_later(wait, self._wake, lane, job), job
        self.start()

    async def _run(self, job: _Job) -> float | None:
        """Run the handlers of a job; returns the seconds until its next try, if it gets one."""
        failed, letter, began = [], None, asyncio.get_running_loop().time()
        for name, handler in job.handlers:
            if (failure := await self._call(handler, name, job)) is not None:
                failed.append((name, handler))
                letter = letter or failure
        if self._hooks:
            self._tell(job, began, ok=letter is None)
        if letter is None:
            self._finished(job.delivery, None)
        elif job.tries >= self._retries:
            self._dead(job, letter)
        elif not self._stopping:
            job.handlers = failed
            return self._next_try(job, letter)
        return None

    def _tell(self, job: _Job, began: float, *, ok: bool) -> None:
        delivery, took = job.delivery, asyncio.get_running_loop().time() - began
        waited = None if job.tries else began - job.since
        self._hooks(HandlerRan(delivery.account_id, delivery.key, waited, took, ok))

    def _dead(self, job: _Job, letter: DeadLetter) -> None:
        delivery = job.delivery
        letter = delivery.dead or letter
        if delivery.key is not None:
            say(
                log,
                logging.WARNING,
                "dead letter, see `xyfast dead`",
                account=delivery.account_id,
                key=delivery.key,
                reason=letter.reason,
            )
        self._finished(delivery, letter)

    def _next_try(self, job: _Job, letter: DeadLetter) -> float:
        wait: float = self._dice() * self._retry_wait * 2**job.tries
        job.tries += 1
        job.delivery = job.delivery._replace(message=_once_more(job.delivery.message))
        delivery = job.delivery
        self._hooks(Retried(delivery.account_id, delivery.key, job.tries, wait, letter.reason))
        return wait

    def _wake(self, lane: Lane, job: _Job) -> None:
        del self._resting[lane]
        self._lanes.wake(lane, job)
        self.start()

    async def _call(self, handler: Handler, name: str, job: _Job) -> DeadLetter | None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        began = loop.time()
        self._deadlines.begin(task)
        try:
            await handler(for_handler(job.delivery.message, name))
        except asyncio.CancelledError:
            if task in self._cut_off:
                raise
            if not self._deadlines.late(task):
                self._say("handler was cancelled by its own doing", handler, job)
                return DeadLetter(reason=f"{_name(handler)} was cancelled")
            self._say("handler took too long", handler, job, after=seconds(self._timeout))
            return DeadLetter(reason=f"{_name(handler)} took longer than {self._timeout:g} s")
        except Exception as error:
            self._say("handler raised", handler, job, error=error)
            if task in self._cut_off:  # its answer to that
                raise asyncio.CancelledError from None
            return DeadLetter(reason=f"{_name(handler)} raised {told(error)}")
        finally:
            self._deadlines.end(task)
        took = seconds(loop.time() - began)
        self._say("message handled", handler, job, level=logging.DEBUG, took=took)
        return None

    def _say(
        self, what: str, handler: Handler, job: _Job, *, level: int = logging.ERROR, **facts: Any
    ) -> None:
        facts["try"] = f"{job.tries + 1} of {self._retries + 1}"
        account, key = job.delivery.account_id, job.delivery.key
        name = _name(handler)
        say(log, level, what, account=account, key=key, handler=name, **facts)


def _once_more(message: Handled) -> Handled:
    if isinstance(message, Gap):
        return message
    if isinstance(message, Expired):
        return Expired(replace(message.message, redelivered=message.message.redelivered + 1))
    return replace(message, redelivered=message.redelivered + 1)


def _name(handler: object) -> str:
    return getattr(handler, "__qualname__", type(handler).__qualname__)
