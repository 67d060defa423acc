"""An account's lists on the fake server's own routes, and an inbox beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from types import SimpleNamespace
from typing import Any, cast

from world import ME
from xyfast._core import read_payload
from xyfast.envelope import read
from xyfast.reconcile import Reconciler, Recovery
from xyfast.testing import ServerSettings, samples
from xyfast.testing.platform import Platform
from xyfast.testing.routes import ROUTES, Context

LIST = "/r/Conversation/listNewestPagination"
HISTORY = "/r/MessageManager/listUserMessages"
START = 1_767_225_600_000
END = START + 10_000_000


class Shelf:
    """An account's lists on a server that answers at once, and an inbox beside them."""

    def __init__(self, **assumed: Any) -> None:
        platform = Platform([ME], ServerSettings(**assumed), lambda: END)
        self.account = platform.accounts[ME]
        self.context = Context(platform, {}, cast("Any", SimpleNamespace(account=self.account)), "")
        self.inbox: list[str] = []
        self.asked: list[tuple[str, Any]] = []
        self.before: Callable[[str, Any], None] = lambda lwp, body: None

    def message(self, conversation: str, time: int) -> str:
        """Let the server have a message; ``time`` is counted from the start."""
        name = self.context.platform.new_message_id()
        message = samples.Message(
            id=name,
            conversation=conversation,
            sender="9000000000102",
            peer="9000000000102",
            time=START + time,
            content=samples.text_content("在吗"),
        )
        self.account.remember(message)
        return name

    async def ask(self, build: Callable[..., str]) -> Any:
        frame = json.loads(build(mid="1 0"))
        self.asked.append((frame["lwp"], frame["body"]))
        self.before(frame["lwp"], frame["body"])
        return ROUTES[frame["lwp"]](self.context, frame["body"]).body

    async def known(self, keys: Collection[str]) -> Collection[str]:
        return set(keys) & set(self.inbox)

    async def take_in(self, payloads: Iterable[str]) -> Collection[str]:
        ids = [read(read_payload(text).tree, ME).message_id or "" for text in payloads]
        new = [name for name in ids if name not in self.inbox]
        self.inbox = [name for name in self.inbox if name not in ids] + ids
        self.inbox.sort(key=self._time)  # a store hands out by position, then by coming
        return new

    def _time(self, name: str) -> int:
        found = self.account.find(name)
        assert found is not None
        return found.time

    def reconciler(
        self,
        pages: int = 20,
        conversations: int = 500,
        pauses: tuple[float, ...] = (0.0, 0.0, 0.0),
    ) -> Reconciler:
        return Reconciler(
            ME,
            ask=self.ask,
            known=self.known,
            take_in=self.take_in,
            pages=pages,
            conversations=conversations,
            pauses=pauses,
            complain=lambda error: None,
        )

    async def run(self, *, slack: int = 0, pages: int = 20, conversations: int = 500) -> Recovery:
        reconciler = self.reconciler(pages, conversations)
        return await reconciler.account(START, END, start=START - slack)

    @property
    def histories(self) -> list[str]:
        """The conversations whose history was asked for, in order."""
        return [body[0].partition("@")[0] for lwp, body in self.asked if lwp == HISTORY]
