"""A platform that takes sends and shows history, without sockets, for the virtual clock."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from xyfast._core import Frame, parse_frame
from xyfast.facts import Facts, content_object, notice

__all__ = ["ME", "PEER", "REFUSED", "THROTTLED", "Fate", "Platform", "Taken"]

ME, PEER = "9000000000001", "9000000000102"
BEGAN = 1_767_225_600_000  # the server's clock when the loop's shows 0, in milliseconds
LATENCY = 0.01  # seconds each way

Fate = Literal[
    "ok",
    "silent",
    "lost",
    "refused",
    "throttled",
    "cut",
    "late",
    "deaf",
    "broken",
    "stumbled",
    "garbled",
]
"""What becomes of a send: answered; taken without an answer; not taken; refused in two ways;
taken, and the link is lost; taken so late that the link is lost before; refused for the link's
token; an error of the server before, and after the message was taken; an answer with a number
that Python does not read."""

REFUSED = {"reason": "消息发送失败", "moreInfo": "CSI_FORBID||安全拦截"}
THROTTLED = {"code": "400600001", "reason": "synthetic flow control"}


@dataclass(frozen=True, slots=True)
class Taken:
    """One message that the platform has."""

    message_id: str
    uuid: str
    conversation: str
    text: str
    time: int
    content: dict[str, Any]


class Platform:
    """Writes of one account go in at `send`; answers come out at ``answered``.

    ``fate`` is asked about every send, ``readable`` about every question for history, which
    is answered with ``refusal``, if there is one, while it is not; the text of a message shows
    there ``shows_after`` seconds after it was taken, on the pages whose cursor lies behind its
    time, or at it if a page ``includes`` that.
    """

    def __init__(
        self,
        answered: Callable[[Frame], None],
        lost: Callable[[], None],
        *,
        fate: Callable[[], Fate] = lambda: "ok",
        readable: Callable[[], bool] = lambda: True,
        refusal: dict[str, Any] | None = None,
        shows_after: float = 0.0,
        includes: bool = False,
    ) -> None:
        self._answered = answered
        self._lost = lost
        self.fate = fate
        self.readable = readable
        self._refusal = refusal
        self._shows_after = shows_after
        self._last = int(includes)
        self._loop = asyncio.get_running_loop()
        self.up = True
        self.written: list[tuple[float, str, str]] = []
        """When, which uuid and which text, of every send."""
        self.asked: list[float] = []
        """When history was asked for."""
        self.taken: list[Taken] = []

    def clock_ms(self) -> int:
        """The server's time."""
        return BEGAN + int(self._loop.time() * 1000)

    def send(self, link: int, text: str) -> bool:
        """Take a frame, as a transport does."""
        if not self.up:
            return False
        self._loop.call_later(LATENCY, self._arrived, json.loads(text), self._loop.time())
        return True

    def say(self, text: str, conversation: str = "70000000011") -> Facts:
        """Let the account's owner write something elsewhere; returns its echo."""
        content = {"contentType": 1, "text": {"text": text}}
        return self.echo(self._take("by-hand", conversation, content))

    def echo(self, taken: Taken) -> Facts:
        """What a push tells of a message of the account's own."""
        said = notice(None, {}, taken.content, ME, sender=ME)
        return Facts(
            kind="chat",
            message_id=taken.message_id,
            conversation_id=taken.conversation,
            time_ms=taken.time,
            is_self=True,
            text=said.text,
            images=said.images,
        )

    def _arrived(self, frame: dict[str, Any], written: float) -> None:
        mid, body = frame["headers"]["mid"], frame.get("body")
        if body is None:  # a heartbeat
            self._answer(mid, None)
            return
        if frame["lwp"].endswith("listUserMessages"):
            self.asked.append(written)
            if self.readable():
                self._answer(mid, self._history(body[0].removesuffix("@goofish"), *body[2:4]))
            elif self._refusal is not None:
                self._answer(mid, self._refusal, code=400)
            return
        message = body[0]
        content = json.loads(base64.b64decode(message["content"]["custom"]["data"]))
        said = notice(None, {}, content_object(json.dumps(content)), ME)
        text = said.text or said.images[0]
        self.written.append((written, message["uuid"], text))
        fate = self.fate()
        if fate == "refused":
            self._answer(mid, REFUSED)
        elif fate == "throttled":
            self._answer(mid, THROTTLED, code=400)
        elif fate == "late":
            self._loop.call_later(1.0, self._take, message["uuid"], _bare(message), content)
            self._lost()
        elif fate == "deaf":
            self._answer(mid, {"reason": "not auth"}, code=401)
        elif fate == "broken":
            self._answer(mid, None, code=500)
        elif fate == "stumbled":
            self._take(message["uuid"], _bare(message), content)
            self._answer(mid, None, code=500)
        elif fate != "lost":
            taken = self._take(message["uuid"], _bare(message), content)
            if fate == "ok":
                self._answer(mid, {"messageId": taken.message_id})
            elif fate == "garbled":
                self._answer(mid, {"messageId": taken.message_id, "x": 0}, digits=5000)
            elif fate == "cut":
                self._lost()

    def _take(self, uuid: str, conversation: str, content: dict[str, Any]) -> Taken:
        message_id = f"{5_000_000_000_001 + len(self.taken)}.PNM"
        text = notice(None, {}, content, ME).text or ""
        taken = Taken(message_id, uuid, conversation, text, self.clock_ms(), content)
        self.taken.append(taken)
        return taken

    def _history(self, conversation: str, before: int, limit: int) -> dict[str, Any]:
        shown = self.clock_ms() - self._shows_after * 1000
        found = [
            taken
            for taken in reversed(self.taken)
            if taken.conversation == conversation
            and taken.time <= shown
            and taken.time < before + self._last
        ]
        page = found[:limit]
        if not page:
            return {"nextCursor": 0, "hasMore": 0}
        return {
            "hasMore": int(len(found) > limit),
            "nextCursor": page[-1].time,
            "userMessageModels": [_model(taken) for taken in page],
        }

    def _answer(
        self, mid: str, body: dict[str, Any] | None, code: int = 200, *, digits: int = 1
    ) -> None:
        headers = {"mid": mid, "server-timestamp": str(self.clock_ms())}
        text = json.dumps({"code": code, "headers": headers, "body": body})
        text = text.replace('"x": 0', f'"x": {"9" * digits}')
        self._loop.call_later(LATENCY, self._answered, parse_frame(text))


def _bare(message: dict[str, Any]) -> str:
    return str(message["cid"]).removesuffix("@goofish")


def _model(taken: Taken) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(taken.content).encode()).decode()
    return {
        "message": {
            "messageId": taken.message_id,
            "cid": f"{taken.conversation}@goofish",
            "createAt": taken.time,
            "conversationType": 1,
            "sender": {"uid": f"{ME}@goofish"},
            "content": {"contentType": 101, "custom": {"type": 1, "data": data}},
            "extension": {},
        }
    }
