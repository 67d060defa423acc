"""A plain client for the tests of the fake server: no reconnects, no promises."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import msgpack
from websockets.asyncio.client import ClientConnection, connect

from xyfast.testing import FakeServer

A, B = "9000000000001", "9000000000002"
BUYER = "9000000000102"
CID = "70000000011"
IM_KEY = "444e9908a51d1cb236a27862abc769c9"
TOKEN = "mtop.taobao.idlemessage.pc.login.token"
NEWEST = 9007199254740991
PATIENCE = 5.0


class HttpAnswer(NamedTuple):
    status: int
    set_cookies: list[str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def ret(self) -> str:
        return " ".join(self.json["ret"])


def jar(cookies: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in cookies.split("; "))


def token_data(device: str) -> str:
    return json.dumps({"appKey": IM_KEY, "deviceId": device}, separators=(",", ":"))


def call(
    server: FakeServer,
    api: str,
    data: str,
    cookies: str,
    *,
    sign: str | None = None,
    key: str = "34839810",
    connection: http.client.HTTPConnection | None = None,
    cookie_header: str = "Cookie",
) -> HttpAnswer:
    """Make one signed mtop call; it blocks, so it belongs into a thread."""
    stamp = str(int(time.time() * 1000))
    token = jar(cookies).get("_m_h5_tk", "").partition("_")[0]
    text = f"{token}&{stamp}&34839810&{data}"
    query = {
        "jsv": "2.7.2",
        "appKey": key,
        "t": stamp,
        "sign": sign or hashlib.md5(text.encode()).hexdigest(),
        "api": api,
    }
    base = urlsplit(server.token_url)
    own = http.client.HTTPConnection(base.netloc, timeout=PATIENCE)
    used = connection or own
    try:
        used.request(
            "POST",
            f"{base.path}/{api}/1.0/?{urlencode(query)}",
            body=urlencode({"data": data}),
            headers={cookie_header: cookies, "Content-Type": "application/x-www-form-urlencoded"},
        )
        answer = used.getresponse()
        return HttpAnswer(
            answer.status, answer.headers.get_all("set-cookie") or [], answer.read().decode()
        )
    finally:
        own.close()


async def get_token(server: FakeServer, account: str = A, device: str = "D1") -> str:
    cookies = server.cookies(account)
    answer = await asyncio.to_thread(call, server, TOKEN, token_data(device), cookies)
    return unquote(answer.json["data"]["accessToken"])


def trees(push: dict[str, Any]) -> list[Any]:
    entries = push["body"]["syncPushPackage"]["data"]
    return [
        msgpack.unpackb(base64.b64decode(entry["data"]), strict_map_key=False) for entry in entries
    ]


def ids(push: dict[str, Any]) -> list[str]:
    return [tree[1][3] for tree in trees(push)]


class PlainClient:
    """One socket; what comes beside an awaited answer is kept in ``pushes``."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.pushes: deque[dict[str, Any]] = deque()
        self._mids = itertools.count(1)

    async def receive(self) -> dict[str, Any]:
        text = await asyncio.wait_for(self.socket.recv(), PATIENCE)
        frame: dict[str, Any] = json.loads(text)
        return frame

    async def send(self, frame: dict[str, Any]) -> None:
        await self.socket.send(json.dumps(frame))

    async def ask(self, lwp: str, body: Any = None, **headers: str) -> str:
        """Send a request and return its mid."""
        mid = f"{next(self._mids)} 0"
        frame: dict[str, Any] = {"lwp": lwp, "headers": {"mid": mid, **headers}}
        if body is not None:
            frame["body"] = body
        await self.send(frame)
        return mid

    async def request(self, lwp: str, body: Any = None, **headers: str) -> dict[str, Any]:
        mid = await self.ask(lwp, body, **headers)
        while True:
            frame = await self.receive()
            if "lwp" not in frame and frame["headers"]["mid"] == mid:
                return frame
            self.pushes.append(frame)

    async def push(self) -> dict[str, Any]:
        """Return the next push."""
        return self.pushes.popleft() if self.pushes else await self.receive()

    async def pushed(self) -> list[dict[str, Any]]:
        """Return everything pushed so far: a heartbeat's answer comes after it."""
        await self.request("/!")
        taken = list(self.pushes)
        self.pushes.clear()
        return taken

    async def pushed_ids(self) -> list[str]:
        return [name for push in await self.pushed() for name in ids(push)]

    async def ack(self, push: dict[str, Any]) -> None:
        await self.send({"code": 200, "headers": push["headers"]})

    async def register(self, token: str, device: str = "D1") -> dict[str, Any]:
        headers = {"app-key": IM_KEY, "token": token, "did": device, "ua": "synthetic"}
        return await self.request("/reg", **headers)

    async def ack_diff(self, pts: int) -> dict[str, Any]:
        state = {"pipeline": "sync", "channel": "sync", "topic": "sync", "pts": pts}
        return await self.request("/r/SyncStatus/ackDiff", [state])

    async def say(
        self, text: str, uuid: str = "-1", receivers: tuple[str, ...] = (BUYER, A)
    ) -> dict[str, Any]:
        return await self.request(SEND, send_body(text, uuid, receivers))

    async def history(self, cursor: int = NEWEST, limit: int = 20) -> dict[str, Any]:
        body = [f"{CID}@goofish", False, cursor, limit, False]
        answer = await self.request("/r/MessageManager/listUserMessages", body)
        page: dict[str, Any] = answer["body"]
        return page


SEND = "/r/MessageSend/sendByReceiverScope"


def send_body(text: str, uuid: str = "-1", receivers: tuple[str, ...] = (BUYER, A)) -> Any:
    content = json.dumps({"contentType": 1, "text": {"text": text}})
    custom = {"type": 1, "data": base64.b64encode(content.encode()).decode()}
    message = {
        "uuid": uuid,
        "cid": f"{CID}@goofish",
        "conversationType": 1,
        "content": {"contentType": 101, "custom": custom},
    }
    return [message, {"actualReceivers": [f"{receiver}@goofish" for receiver in receivers]}]


@contextlib.asynccontextmanager
async def opened(server: FakeServer, **options: Any) -> AsyncIterator[PlainClient]:
    """A link that is not registered yet."""
    async with connect(server.url, compression=None, ping_interval=None, **options) as socket:
        yield PlainClient(socket)


@contextlib.asynccontextmanager
async def linked(
    server: FakeServer, account: str = A, device: str = "D1", **options: Any
) -> AsyncIterator[PlainClient]:
    """A registered link whose greeting, if any, is out of the way."""
    async with opened(server, **options) as client:
        answer = await client.register(await get_token(server, account, device), device)
        assert answer["code"] == 200
        if server.settings.greeting:
            greeting = await client.push()
            assert greeting["lwp"] == "/s/vulcan"
        yield client
