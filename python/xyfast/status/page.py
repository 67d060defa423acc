"""What the status page answers: to people, to programs, and to whoever may change things."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from importlib.resources import files
from typing import TypeVar, cast

from xyfast.config import Settings
from xyfast.driver import Driver
from xyfast.errors import XyfastError
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.prometheus import CONTENT_TYPE, render
from xyfast.intake import Intake
from xyfast.logs import logger, say
from xyfast.measuring import Asking
from xyfast.secret import reveal
from xyfast.status.gather import Gathering, Look, held, ready
from xyfast.status.http import Refused, Request, Response
from xyfast.status.server import StatusServer
from xyfast.status.shape import DeadLetters
from xyfast.status.shared import Shared
from xyfast.store import Store

__all__ = ["StatusPage"]

T = TypeVar("T")

log = logger(__name__)

_FRESH = 0.5  # seconds for which one look at all accounts serves everybody
_ANSWER = 5.0  # seconds that the store may take
_VIEWS = 32  # queries whose answers are kept for that long
_LETTERS = 50  # dead letters on a page
_FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}

Act = Callable[[str], None]
"""Does something to the account of an id."""


class StatusPage:
    """The status page of a client: ``settings.status`` says where it is served.

    ``actions`` are what can be done to an account, by name.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        store: Store,
        intake: Intake,
        *,
        drivers: Mapping[str, Driver],
        removing: Collection[str],
        actions: Mapping[str, Act],
    ) -> None:
        assert settings.status is not None
        self._metrics = metrics
        self._store = store
        self._intake = intake
        self._drivers = drivers
        self._actions = actions
        self._token = settings.status_token
        self._gathering = Gathering(
            metrics, drivers, removing, actions=settings.status_token is not None
        )
        self._look = Shared(self._gathering.look, _FRESH)
        self._views: tuple[Look | None, dict[str, bytes]] = (None, {})
        self._asking, self._turn = Asking(_ANSWER), asyncio.Lock()
        self._health = Shared(self._problem)
        self._metered = Shared(self._meter, _FRESH)
        folder = files(__package__).joinpath("web")
        self._files = {
            path: Response(200, folder.joinpath(name).read_bytes(), kind)
            for path, (name, kind) in _FILES.items()
        }
        self._gets: dict[str, Callable[[Request], Awaitable[Response]]] = {
            "status.json": self._status,
            "dead.json": self._dead,
            "healthz": self._healthz,
            "readyz": self._readyz,
            "metrics": self._prometheus,
        }
        self._server = StatusServer(settings.status, self._answer, self._view)

    @property
    def url(self) -> str | None:
        """Where it is, while it is served."""
        return self._server.url

    async def start(self) -> None:
        """Serve it; raises `ConfigError` if that cannot be."""
        await self._server.start()

    async def close(self) -> None:
        """Serve it no more."""
        await self._server.close()
        for shared in (self._look, self._health, self._metered):
            await shared.end()
        await self._asking.end()

    # --- who asks for what ------------------------------------------------------------------

    async def _answer(self, request: Request) -> Response:
        match request.path:
            case (name,) if name in self._files:
                _must("GET", request)
                return self._files[name]
            case (name,) if name in self._gets:
                _must("GET", request)
                return await self._gets[name](request)
            case ("accounts", account_id, action) if action in self._actions:
                self._may_act(request)
                return self._act(account_id, action)
            case ("dead", number, "replay"):
                self._may_act(request)
                return await self._replay(number)
            case ("events",):
                _must("GET", request)
        raise Refused(404, "there is no such page")

    def _may_act(self, request: Request) -> None:
        """Raise `Refused` unless who asks has shown the token."""
        _must("POST", request)
        if self._token is None:
            raise Refused(403, "there are no write actions: Settings.status_token is not set")
        wanted = {"WWW-Authenticate": "Bearer"}
        if "authorization" not in request.fields:
            raise Refused(401, "say who you are: Authorization: Bearer TOKEN", **wanted)
        kind, _, shown = request.fields["authorization"].partition(" ")
        # What a header holds is Latin-1; a token is ASCII.
        same = hmac.compare_digest(shown.strip().encode("latin-1"), reveal(self._token).encode())
        if kind.lower() != "bearer" or not same:
            raise Refused(401, "that is not the token of Settings.status_token", **wanted)

    # --- what is read -------------------------------------------------------------------------

    async def _status(self, request: Request) -> Response:
        return Response(200, await self._view(request), "application/json")

    async def _view(self, request: Request) -> bytes:
        """The status as JSON in one line; viewers who ask the same share it."""
        query, look = request.query.get("query", ""), await self._look()
        if self._views[0] is not look or len(self._views[1]) >= _VIEWS:
            self._views = (look, {})
        views = self._views[1]
        if query not in views:
            views[query] = json.dumps(self._gathering.status(look, query)).encode()
        return views[query]

    async def _dead(self, request: Request) -> Response:
        after = _number(request.query.get("after", "0"))
        account = request.query.get("account")
        page = await self._ask(
            lambda: self._store.dead_letters(account, after=after, limit=_LETTERS)
        )
        last = page[-1][0] if len(page) == _LETTERS else None
        letters: DeadLetters = {"letters": [held(*each) for each in page], "next": last}
        return Response.of_json(letters)

    async def _healthz(self, request: Request) -> Response:
        problem = await self._health()
        return _said(problem is None, problem or "ok")

    async def _problem(self) -> str | None:
        """What is wrong with the store, asked and by what the intake meets."""
        if self._intake.failing:
            return "the store fails: what comes is not acknowledged"
        try:
            await self._ask(lambda: self._store.dead_letters(limit=1))
        except Refused as error:
            return str(error)
        return None

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """What the store says; raises `Refused` if it fails, or is late."""
        async with self._turn:
            self._asking.begin()
            found = await self._asking.answer(call)
            trouble = self._asking.trouble
        if trouble is not None:
            ours = isinstance(trouble, XyfastError)  # the words of others are not shown
            reason = f"the store fails: {trouble if ours else type(trouble).__name__}"
            raise Refused(503, reason)
        return cast("T", found)

    async def _readyz(self, request: Request) -> Response:
        return _said(*ready((await self._look()).totals["states"]))

    async def _prometheus(self, request: Request) -> Response:
        return Response(200, await self._metered(), CONTENT_TYPE)

    async def _meter(self) -> bytes:
        """In a thread: thousands of accounts take it a second."""
        return await asyncio.to_thread(lambda: render(self._metrics.snapshot()).encode())

    # --- what is changed ----------------------------------------------------------------------

    def _act(self, account_id: str, action: str) -> Response:
        if account_id not in self._drivers:
            raise Refused(404, "there is no such account")
        say(log, logging.INFO, "asked for on the status page", account=account_id, action=action)
        self._actions[action](account_id)
        state = self._drivers[account_id].state.value
        return Response.of_json({"account": account_id, "action": action, "state": state})

    async def _replay(self, text: str) -> Response:
        number = _number(text)
        found = await self._ask(lambda: self._store.dead_letters(after=number - 1, limit=1))
        if not found or found[0][0] != number:
            raise Refused(404, "there is no dead letter of that number")
        row = found[0][1]
        await self._ask(lambda: self._store.revive(row.account_id, [row.key]))
        self._intake.behind((row.account_id,))
        say(log, logging.INFO, "replayed on the status page", account=row.account_id, key=row.key)
        return Response.of_json({"number": number, "account": row.account_id, "key": row.key})


def _must(method: str, request: Request) -> None:
    if request.method != method:
        raise Refused(405, f"this is asked for by {method}", Allow=method)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(400, "that is no number")
    return int(text)


def _said(good: bool, words: str) -> Response:
    return Response(200 if good else 503, f"{words}\n".encode())
