"""A headless Chromium, driven by its DevTools protocol: what tests and screenshots need of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""The program, None where there is none."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # root may not start it otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_START = 120.0  # seconds: a machine may have other things to do
_STEP = 0.05


class Page:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.ensure_future(self._listen())
        self.complaints: list[str] = []
        """Errors, and what the Content-Security-Policy forbade, as its console has them."""
        self.requested: list[str] = []
        """URLs that were asked for."""

    async def _listen(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            method, found = message.get("method"), message.get("params", {})
            if method == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(found["exceptionDetails"]))
            elif method == "Log.entryAdded" and found["entry"]["level"] == "error":
                self.complaints.append(found["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                self.requested.append(found["request"]["url"])
            elif (answer := self._answers.pop(message.get("id", 0), None)) is not None:
                answer.set_result(message)

    async def send(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        message = await asyncio.wait_for(answer, _START)
        assert "error" not in message, (method, message["error"])
        return message["result"]

    async def end(self) -> None:
        await self._socket.close()
        await self._listening

    async def open(
        self,
        url: str,
        *,
        language: str = "en-US",
        width: int = 1200,
        height: int = 900,
        scale: float = 1.0,
        dark: bool = False,
    ) -> None:
        """Go to a page as a person with that language and that screen does."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        agent = (await self.send("Runtime.evaluate", expression="navigator.userAgent"))["result"]
        await self.send(
            "Emulation.setUserAgentOverride", userAgent=agent["value"], acceptLanguage=language
        )
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        await self.send("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What a script gives."""
        found = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, expression: str, timeout: float = _START) -> None:
        """Wait until a script gives something that is true there."""
        end = asyncio.get_running_loop().time() + timeout
        while True:
            # Between two pages there is nothing to ask.
            with contextlib.suppress(AssertionError):
                if await self.value(f"!!({expression})"):
                    return
            if asyncio.get_running_loop().time() > end:
                shown = await self.value("document.body.innerText")
                raise AssertionError(f"never: {expression}; {self.complaints}\n{shown}")
            await asyncio.sleep(_STEP)

    async def text(self, selector: str) -> str:
        """What people read there."""
        found = await self.value(f"document.querySelector({json.dumps(selector)}).innerText")
        return str(found)

    async def write(self, selector: str, text: str) -> None:
        """Write into a field as somebody who types."""
        await self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.send("Input.insertText", text=text)

    async def press(self, selector: str) -> None:
        """Press the mouse there, and let it go."""
        place = await self.value(
            f"(() => {{ const node = document.querySelector({json.dumps(selector)});"
            " node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    async def screenshot(self, *, height: int | None = None) -> bytes:
        """The page as PNG, down to ``height`` if it is higher than the screen."""
        options: dict[str, Any] = {}
        if height is not None:
            width = await self.value("innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            options = {"clip": clip, "captureBeyondViewport": True}
        found = await self.send("Page.captureScreenshot", format="png", **options)
        return base64.b64decode(found["data"])


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Start Chromium with one page, in a profile of its own."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            page = Page(await _connected(Path(profile) / "DevToolsActivePort"))
            try:
                yield page
            finally:
                await page.end()
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _connected(told: Path) -> ClientConnection:
    """A connection to the first page, once the browser has written down its port."""
    end = asyncio.get_running_loop().time() + _START
    while len(lines := _lines(told)) < 2:
        assert asyncio.get_running_loop().time() < end, "Chromium did not start"
        await asyncio.sleep(_STEP)
    port, path = lines
    patience: dict[str, Any] = {"open_timeout": _START, "ping_interval": None, "proxy": None}
    async with connect(f"ws://127.0.0.1:{port}{path}", **patience) as whole:
        await whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
        targets = json.loads(await whole.recv())["result"]["targetInfos"]
        [target] = [each["targetId"] for each in targets if each["type"] == "page"]
    url = f"ws://127.0.0.1:{port}/devtools/page/{target}"
    return await connect(url, max_size=None, **patience)


def _lines(told: Path) -> list[str]:
    return told.read_text("utf-8").split("\n") if told.exists() else []
