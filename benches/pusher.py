"""The platform's push channel at full speed: packages are made before and written as they are."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Sequence
from typing import Any

from websockets.frames import Frame, Opcode

from messages import chat_message, compact, push_package, wire
from xyfast.testing.link import Link

ACCOUNT = "9000000000001"
CONVERSATIONS = 1000
FIRST = 5_000_000_000_000
"""The id of message 0."""

_ANSWERS: dict[str, Any] = {
    "/r/SyncStatus/ackDiff": {"syncExtraType": {"type": 3}},
    "/r/Conversation/listNewestPagination": {"userConvs": [], "hasMore": 0},
}


def payload(number: int, time_ms: int) -> str:
    """Return message ``number`` as an entry of a package has it, 1.4 KB before base64."""
    tree = chat_message()
    tree[1][2] = f"{70_000_000_000 + number % CONVERSATIONS}@goofish"
    tree[1][3] = f"{FIRST + number}.PNM"
    tree[1][5] = time_ms
    return base64.b64encode(wire(tree)).decode()


def packages(count: int, size: int, start_ms: int) -> list[bytes]:
    """Return so many messages as WebSocket frames, ``size`` messages in each."""
    made = []
    for number, first in enumerate(range(0, count, size)):
        entries = [payload(n, start_ms + n) for n in range(first, min(first + size, count))]
        last = start_ms + first + len(entries) - 1
        text = compact(push_package(entries, mid=f"{number:08x} 0", time_ms=last))
        made.append(Frame(Opcode.TEXT, text.encode()).serialize(mask=False))
    return made


class Pusher:
    """Serves one link at a time; a `LinkOwner`. Times are those of `time.monotonic_ns`."""

    def __init__(self) -> None:
        self.start_ms = time.time_ns() // 1_000_000
        """The server's time at every registration; messages come after it."""
        self.pushed: dict[int, int] = {}
        """When each package was written."""
        self.acked: dict[int, int] = {}
        """When the ack of each package was read."""
        self.gone = asyncio.Event()
        self._link: Link | None = None
        self._enough = 0
        self._over = asyncio.Event()

    def begin(self) -> None:
        """Forget the last link."""
        self.pushed, self.acked = {}, {}
        self.gone.clear()
        self._over.clear()
        self._enough = 0

    async def flood(self, frames: Sequence[bytes]) -> None:
        """Write all at once, as fast as the link takes it, and wait for every ack."""
        now = time.monotonic_ns()
        self.pushed = dict.fromkeys(range(len(frames)), now)
        self._write(b"".join(frames))
        await self._acks(len(frames))

    async def drip(self, frames: Sequence[bytes], rate: float) -> None:
        """Write ``rate`` packages a second, and wait for every ack."""
        start = time.monotonic_ns()
        for number, frame in enumerate(frames):
            wait = start / 1e9 + number / rate - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.pushed[number] = time.monotonic_ns()
            self._write(frame)
        await self._acks(len(frames))

    async def _acks(self, count: int) -> None:
        self._enough = count
        if len(self.acked) < count:
            await self._over.wait()
        if len(self.acked) < count:
            raise RuntimeError(f"the link is gone after {len(self.acked)} acks of {count}")

    def _write(self, data: bytes) -> None:
        if self._link is None:
            raise RuntimeError("nobody is connected")
        self._link.write(data)

    # --- LinkOwner ------------------------------------------------------------------

    def link_made(self, link: Link) -> None:
        pass

    def handshake_delay(self) -> float:
        return 0.0

    def trickles(self, link: Link) -> bool:
        return False

    def link_opened(self, link: Link) -> None:
        self._link = link

    def text_received(self, link: Link, text: str) -> None:
        now = time.monotonic_ns()
        frame = json.loads(text)
        headers = frame["headers"]
        if frame.get("code") == 200:
            self.acked.setdefault(int(headers["mid"].partition(" ")[0], 16), now)
            if len(self.acked) == self._enough:
                self._over.set()
            return
        lwp, answer = frame["lwp"], {"mid": headers["mid"], "sid": "synthetic-sid-0001"}
        if lwp == "/reg":
            answer |= {"reg-uid": f"{ACCOUNT}@goofish", "timestamp": str(self.start_ms)}
        body = _ANSWERS.get(lwp, {})
        link.send_text(compact({"code": 200, "headers": answer, "body": body}))

    def link_lost(self, link: Link) -> None:
        self._link = None
        self.gone.set()
        self._over.set()
