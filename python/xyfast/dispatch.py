"""Who handles what, and the running of handlers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from xyfast.errors import ConfigError
from xyfast.lanes import Lanes
from xyfast.logs import say
from xyfast.messages import ChatMessage, Expired, Gap, GroupMessage, Message, for_handler
from xyfast.store import DeadLetter

__all__ = ["Delivery", "Dispatcher", "Handled", "Router"]

log = logging.getLogger(__name__)

Handled = Message | Expired | Gap
"""What a handler can be given."""

H = TypeVar("H", bound=Handled)

_LAST_WORD = 1.0  # seconds that a cancelled handler gets to clean up
Handler = Callable[[Any], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class _Route:
    kind: type[Any]
    own: bool
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

    def on(
        self, kind: type[H], /, *, own: bool = False
    ) -> Callable[[Callable[[H], Awaitable[object]]], Callable[[H], Awaitable[object]]]:
        """Decorate an async function that takes messages of class ``kind``.

        A base class takes its subclasses too. Several handlers of one message run one
        after the other, in the order in which they were registered. Chat messages that
        the account itself wrote are left out unless ``own`` is true. Raises `ConfigError`
        for a class that is never delivered or a function that is not async.
        """
        if not (isinstance(kind, type) and issubclass(kind, (Message, Expired, Gap))):
            raise ConfigError(f"on() takes a message class, not {kind!r}")

        def register(handler: Callable[[H], Awaitable[object]]) -> Callable[[H], Awaitable[object]]:
            call = handler if asyncio.iscoroutinefunction(handler) else type(handler).__call__
            if not asyncio.iscoroutinefunction(call):
                raise ConfigError(f"handler {_name(handler)} must be an async function")
            self._routes.append(_Route(kind, own, handler))
            return handler

        return register

    def handlers(self, message: Handled) -> list[Handler]:
        """The handlers that take ``message``, in order."""
        return [route.handler for route in self._routes if route.takes(message)]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to its handlers. ``key`` is None for what is not in the inbox."""

    message: Handled
    key: str | None = None

    @property
    def account_id(self) -> str:
        """The account that received it."""
        return self.message.account_id

    @property
    def lane(self) -> tuple[str, str | None]:
        """What it must not overtake: its conversation, else the account's other events."""
        return self.message.account_id, self.message.conversation_id


class Dispatcher:
    """Runs handlers: one at a time per conversation, ``limit`` at once in all.

    ``finished(delivery, letter)`` is told of every delivery that came to its end, with a
    `DeadLetter` if a handler failed. A delivery that is cut off by `stop` is not reported:
    it stays pending in the inbox.
    """

    def __init__(
        self,
        router: Router,
        finished: Callable[[Delivery, DeadLetter | None], None],
        *,
        limit: int,
        timeout: float,
    ) -> None:
        self._router = router
        self._finished = finished
        self._timeout = timeout
        self._lanes: Lanes[Delivery] = Lanes(limit)
        self._tasks: dict[asyncio.Task[None], Hashable] = {}
        self._cut_off: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their turn."""
        return len(self._lanes)

    @property
    def running(self) -> int:
        """Deliveries whose handlers run."""
        return len(self._tasks)

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery; call `start` after the last of a batch."""
        self._lanes.put(delivery.lane, delivery)

    def start(self) -> None:
        """Start every delivery that may start now."""
        while taken := self._lanes.take():
            for lane, delivery in taken:
                handlers = self._router.handlers(delivery.message)
                if handlers and not self._stopping:
                    task = asyncio.get_running_loop().create_task(self._run(delivery, handlers))
                    self._tasks[task] = lane
                    task.add_done_callback(self._ended)
                else:
                    self._lanes.done(lane)
                    if not handlers:
                        self._finished(delivery, None)

    async def stop(self, grace: float) -> int:
        """Start nothing more, let what runs finish within ``grace`` seconds, cancel the rest.

        Returns how many were cancelled. What was not finished stays pending.
        """
        self._stopping = True
        self._lanes.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        self._cut_off = set(self._tasks)
        for task in self._cut_off:
            task.cancel()
        if self._cut_off:  # one that refuses to end is left behind
            await asyncio.wait(self._cut_off, timeout=_LAST_WORD)
        return len(self._cut_off)

    def runs(self, task: asyncio.Task[object] | None) -> bool:
        """Whether a task is one of the handlers that run."""
        return task in self._tasks

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._lanes.done(self._tasks.pop(task))
        self.start()

    async def _run(self, delivery: Delivery, handlers: list[Handler]) -> None:
        letter = None
        for handler in handlers:
            failure = await self._call(handler, delivery)
            letter = letter or failure
        self._finished(delivery, letter)

    async def _call(self, handler: Handler, delivery: Delivery) -> DeadLetter | None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            task.cancel()

        timer = loop.call_later(self._timeout, expire)
        facts: dict[str, Any] = {
            "account": delivery.account_id,
            "key": delivery.key,
            "handler": _name(handler),
        }
        try:
            number = self._router.handlers(delivery.message).index(handler)
            await handler(for_handler(delivery.message, number))
        except asyncio.CancelledError:
            if task in self._cut_off:
                raise
            if not late:
                say(log, logging.ERROR, "handler was cancelled by its own doing", **facts)
                return DeadLetter(reason=f"{_name(handler)} was cancelled")
            if hasattr(task, "uncancel"):  # CPython 3.11 and later count requests
                task.uncancel()
            say(log, logging.ERROR, "handler took too long", seconds=self._timeout, **facts)
            return DeadLetter(reason=f"{_name(handler)} took longer than {self._timeout:g} s")
        except Exception as error:
            say(log, logging.ERROR, "handler raised", error=error, **facts)
            return DeadLetter(reason=f"{_name(handler)} raised {type(error).__name__}")
        finally:
            timer.cancel()
        return None


def _name(handler: object) -> str:
    return getattr(handler, "__qualname__", type(handler).__qualname__)
