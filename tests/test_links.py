"""Links under asyncio: wake-ups, a loop that is blocked, forks, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from xyfast._core import Closed, Frame, Invalid, Links, Opened
from xyfast.errors import ConfigError, StateError

REGISTER = '{"lwp":"/reg","headers":{"mid":"11767225600000 0"}}'
PATIENCE = 20.0

Event = Opened | Frame | Invalid | Closed
Script = Callable[[ServerConnection], None]


def answer(peer: ServerConnection, request: dict[str, Any], code: int = 200) -> None:
    peer.send(json.dumps({"code": code, "headers": {"mid": request["headers"]["mid"]}}))


def request(peer: ServerConnection) -> dict[str, Any]:
    """Return the next request that is no heartbeat; heartbeats are answered."""
    while True:
        found: dict[str, Any] = json.loads(peer.recv(timeout=PATIENCE))
        if found.get("lwp") != "/!":
            return found
        answer(peer, found)


def push(number: int) -> str:
    package = {"data": [{"data": "gQGhYQ=="}], "maxPts": number}
    headers = {"mid": f"{number} 0"}
    return json.dumps({"lwp": "/s/x", "headers": headers, "body": {"syncPushPackage": package}})


def url_of(server: Server) -> str:
    return f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"


def idle(peer: ServerConnection) -> None:
    """Answer heartbeats until the link is gone."""
    while True:
        request(peer)


@contextlib.contextmanager
def registered(script: Script) -> Iterator[str]:
    """A server in threads of its own, so that no loop of a test can hold it up."""
    failed: list[BaseException] = []

    def handle(peer: ServerConnection) -> None:
        try:
            answer(peer, request(peer))
            script(peer)
        except ConnectionClosed:
            pass
        except BaseException as error:
            failed.append(error)
            raise

    server: Server = serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url_of(server)
    finally:
        server.shutdown()
        thread.join()
    assert not failed, failed


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


class User:
    """Takes events out of a mailbox, woken by the running loop."""

    def __init__(self) -> None:
        self.links = Links()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.wakes = 0
        asyncio.get_running_loop().add_reader(self.links.fileno(), self._take)

    def _take(self) -> None:
        self.wakes += 1
        for event in self.links.drain():
            self.events.put_nowait(event)

    async def next(self) -> Event:
        return await asyncio.wait_for(self.events.get(), PATIENCE)

    async def opened(self, url: str, link: int = 1, **options: Any) -> None:
        self.links.dial(link, url, headers=[], register=REGISTER, **options)
        event = await self.next()
        assert isinstance(event, Opened), event

    def end(self) -> None:
        asyncio.get_running_loop().remove_reader(self.links.fileno())
        self.links.shutdown()


@pytest.fixture
async def user() -> Any:
    user = User()
    yield user
    user.end()


async def test_a_push_wakes_the_loop_and_its_ack_goes_back(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        for number in range(3):
            peer.send(push(number))
            assert request(peer) == {"code": 200, "headers": {"mid": f"{number} 0"}}
        peer.close(4001, "over")

    with registered(script) as url:
        await user.opened(url)
        for number in range(3):
            frame = await user.next()
            assert isinstance(frame, Frame)
            assert (frame.kind, frame.link, frame.max_pts) == ("push", 1, number)
            assert [payload.tree for payload in frame.payloads] == [{"1": "a"}]
            assert user.links.ack([frame]) == 1
        closed = await user.next()
    assert isinstance(closed, Closed)
    assert (closed.link, closed.trouble, closed.code) == (1, "link", 4001)
    assert closed.answer is None
    assert isinstance(frame, Frame)
    assert user.links.ack([frame]) == 0
    assert user.links.stats(1) is None


async def test_a_request_is_answered(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        answer(peer, request(peer), 500)
        idle(peer)

    with registered(script) as url:
        await user.opened(url)
        assert user.links.send(1, '{"lwp":"/r/x","headers":{"mid":"5 0"}}')
        frame = await user.next()
        assert isinstance(frame, Frame)
        assert (frame.kind, frame.code, frame.mid) == ("answer", 500, "5 0")
        assert (frame.ack, frame.payloads) == (None, [])
        user.links.close(1)
        closed = await user.next()
        assert isinstance(closed, Closed)
        assert (closed.trouble, closed.code) == ("closed", 1000)
        assert not user.links.send(1, "late")


async def test_a_refused_registration_brings_its_answer(user: User) -> None:
    refusal = {"code": 401, "headers": {"mid": "11767225600000 0"}, "body": {"reason": "synthetic"}}

    def handle(peer: ServerConnection) -> None:
        peer.recv(timeout=PATIENCE)
        peer.send(json.dumps(refusal))
        with contextlib.suppress(ConnectionClosed):
            peer.recv(timeout=PATIENCE)

    with serve(handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = url_of(server)
        user.links.dial(1, url, headers=[], register=REGISTER)
        closed = await user.next()
        server.shutdown()
        thread.join()
    assert isinstance(closed, Closed)
    assert (closed.trouble, closed.code) == ("refused", 401)
    assert closed.answer is not None
    assert json.loads(closed.answer.body or "") == {"reason": "synthetic"}


async def test_one_wake_up_serves_many_pushes(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        for number in range(2000):
            peer.send(push(number))
        idle(peer)

    with registered(script) as url:
        await user.opened(url)
        for number in range(2000):
            frame = await user.next()
            assert isinstance(frame, Frame)
            assert frame.max_pts == number
        assert user.wakes < 1000
        user.end()


async def test_drain_returns_at_most_what_is_asked_for() -> None:
    def script(peer: ServerConnection) -> None:
        for number in range(9):
            peer.send(push(number))
        idle(peer)

    with registered(script) as url:
        links = Links()
        links.dial(1, url, headers=[], register=REGISTER)
        await until(lambda: (links.stats(1) or {"pushes": 0})["pushes"] == 9)
        assert [len(links.drain(4)) for _ in range(4)] == [4, 4, 2, 0]
        links.shutdown()


def sleep() -> None:
    time.sleep(1.0)


def hold_the_gil() -> None:
    ctypes.PyDLL(None).usleep(1_000_000)


@pytest.mark.parametrize("block", [sleep, hold_the_gil])
async def test_a_blocked_loop_does_not_stop_heartbeats(
    user: User, block: Callable[[], None]
) -> None:
    # The server runs in a process of its own: a held GIL must not hold it too.
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", HEARTBEAT_SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 10.0
        await user.opened(f"ws://127.0.0.1:{port}/", heartbeat=0.1)
        block()
        stats = user.links.stats(1)
        assert stats is not None
        assert stats["answered"] >= 8
        user.links.close(1)
        closed = await user.next()
        assert isinstance(closed, Closed)
        gaps = json.loads(server.stdout.readline())
        server.terminate()
    assert len(gaps) >= 8
    # Far below the second for which the loop was blocked, with room for a busy machine.
    assert max(gaps) < 0.5


HEARTBEAT_SERVER = textwrap.dedent("""
    import json, time
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.server import serve

    def handle(peer):
        times = []
        try:
            while True:
                request = json.loads(peer.recv())
                if request["lwp"] == "/!":
                    times.append(time.monotonic())
                peer.send(json.dumps({"code": 200, "headers": request["headers"]}))
        except ConnectionClosed:
            print([b - a for a, b in zip(times, times[1:])], flush=True)

    with serve(handle, "127.0.0.1", 0) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()
""")


async def test_a_full_mailbox_pauses_the_link_until_it_is_drained(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        for number in range(50):
            peer.send(push(number))
        idle(peer)

    with registered(script) as url:
        await user.opened(url, max_pushes=5, heartbeat=0.05)
        asyncio.get_running_loop().remove_reader(user.links.fileno())
        await until(lambda: bool((user.links.stats(1) or {})["paused"]))
        asyncio.get_running_loop().add_reader(user.links.fileno(), user._take)
        numbers: list[int | None] = []
        while len(numbers) < 50:
            frame = await user.next()
            assert isinstance(frame, Frame)
            numbers.append(frame.max_pts)
        assert numbers == list(range(50))
        user.end()


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_frame_keeps_no_more_than_its_text(user: User) -> None:
    # The server runs in a process of its own, so that nothing but the frames counts here.
    with subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", NOISY_SERVER], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            before = resident()
            await user.opened(f"ws://127.0.0.1:{int(server.stdout.readline())}/")
            frames: list[Frame] = []
            while len(frames) < 200:
                event = await user.next()
                if isinstance(event, Frame):
                    frames.append(event)
            assert sum(len(frame.text) for frame in frames) < 100_000
            # Each text ends a read buffer of almost 1 MiB.
            assert resident() - before < 32 << 20
        finally:
            server.terminate()


NOISY_SERVER = textwrap.dedent("""
    import json
    from websockets.sync.server import serve

    def handle(peer):
        request = json.loads(peer.recv())
        peer.send(json.dumps({"code": 200, "headers": request["headers"]}))
        for number in range(200):
            noise = b"\\xff" * (900 << 10)
            text = json.dumps({"lwp": "/s/x", "headers": {"mid": f"{number} 0"}}).encode()
            # In one go, so that both are read into one buffer.
            peer.socket.sendall(
                b"\\x82\\x7f" + len(noise).to_bytes(8, "big") + noise
                + b"\\x81" + bytes([len(text)]) + text
            )
        for _ in peer:
            pass

    with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()
""")


async def test_what_is_no_envelope_fills_the_mailbox_too(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        for _ in range(100):
            peer.send("synthetic")
        idle(peer)

    with registered(script) as url:
        await user.opened(url, max_bytes=640)
        asyncio.get_running_loop().remove_reader(user.links.fileno())
        await until(lambda: bool((user.links.stats(1) or {})["paused"]))
        asyncio.get_running_loop().add_reader(user.links.fileno(), user._take)
        for _ in range(100):
            assert isinstance(await user.next(), Invalid)
        user.end()


def threads() -> set[str]:
    names = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/comm") as comm:
            names.add(comm.read().strip())
    return names


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("end", ["shutdown", "drop"])
async def test_nothing_is_left_behind(end: str) -> None:
    with registered(idle) as url:

        async def once() -> None:
            links = Links()
            loop, ready = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(links.fileno(), ready.set)
            for link in range(30):
                links.dial(link, url, headers=[], register=REGISTER)
            opened = 0
            while opened < 30:
                await asyncio.wait_for(ready.wait(), PATIENCE)
                ready.clear()
                events = links.drain()
                assert all(isinstance(event, Opened) for event in events)
                opened += len(events)
            loop.remove_reader(links.fileno())
            if end == "shutdown":
                links.shutdown()

        await once()
        before = descriptors()
        for _ in range(5):
            await once()
        await until(lambda: descriptors() <= before)
        await until(lambda: sum(name == "xyfast" for name in threads()) == 1)


def in_child(result: Any, url: str, inherited: User, frame: Frame) -> None:
    """Run in a forked child: old links are refused, new ones work."""
    try:
        inherited.links.drain()
    except StateError:
        result.put("refused")
    # The frame is the parent's: its ack must not go into the parent's socket.
    result.put(Links().ack([frame]))
    # The last reference in this process: the parent's sockets must survive it.
    del inherited.links

    async def talk() -> None:
        user = User()
        await user.opened(url)
        user.end()
        result.put("opened")

    asyncio.run(talk())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_forked_child_has_links_of_its_own_and_leaves_its_parents_alone(
    user: User,
) -> None:
    def script(peer: ServerConnection) -> None:
        peer.send(push(1))
        answer(peer, request(peer))
        idle(peer)

    with registered(script) as url:
        await user.opened(url)
        pushed = await user.next()
        context = multiprocessing.get_context("fork")
        result = context.SimpleQueue()
        child = context.Process(target=in_child, args=(result, url, user, pushed))
        child.start()
        await asyncio.get_running_loop().run_in_executor(None, child.join, PATIENCE)
        assert child.exitcode == 0
        assert [result.get() for _ in range(3)] == ["refused", 0, "opened"]
        assert user.links.send(1, '{"lwp":"/r/x","headers":{"mid":"5 0"}}')
        frame = await user.next()
        assert isinstance(frame, Frame)
        assert frame.mid == "5 0"
        user.end()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "ws://example.com/"}, "not encrypted"),
        ({"url": "http://127.0.0.1/"}, "url must start"),
        ({"headers": [("Cookie", "synthetic\n")]}, '"Cookie" has a bad value'),
        ({"register": "synthetic"}, "register is no envelope"),
        ({"link": -1}, "link"),
        ({"link": 2**64}, "link"),
        ({"heartbeat": 0.0}, "heartbeat"),
        ({"timeout": -1.0}, "timeout"),
        ({"open_timeout": float("nan")}, "open_timeout"),
        ({"close_timeout": float("inf")}, "close_timeout"),
        ({"timeout": 10**400}, "timeout"),
        ({"open_timeout": 1e-300}, "timeouts"),
        ({"close_timeout": 0.009}, "timeouts"),
        ({"max_pushes": 0}, "limits"),
        ({"max_pushes": -1}, "limits"),
        ({"max_bytes": 2**70}, "limits"),
        ({"max_bytes": 2**63}, "limits"),
        ({"misses": -1}, "misses"),
        ({"misses": 2**40}, "misses"),
        ({"max_frame": (64 << 20) + 1}, "64 MiB"),
        ({"max_message": 2**63}, "64 MiB"),
        ({"url": "wss://127.0.0.1:9/", "roots": "synthetic"}, "roots"),
    ],
)
def test_a_dial_that_cannot_work_is_a_config_error(change: dict[str, Any], message: str) -> None:
    arguments = {"url": "ws://127.0.0.1:9/", "headers": [], "register": REGISTER, **change}
    with pytest.raises(ConfigError, match=message) as caught:
        Links().dial(**{"link": 1, **arguments})
    assert "synthetic" not in str(caught.value)


def test_a_number_in_use_is_a_state_error() -> None:
    links = Links()
    links.dial(1, "ws://127.0.0.1:9/", headers=[], register=REGISTER)
    with pytest.raises(StateError):
        links.dial(1, "ws://127.0.0.1:9/", headers=[], register=REGISTER)


def test_calls_for_unknown_links_do_nothing() -> None:
    links = Links()
    assert links.drain() == []
    assert links.ack([]) == 0
    assert not links.send(7, "text")
    assert links.stats(7) is None
    links.close(7)
    links.shutdown()


def test_wrong_arguments_are_refused() -> None:
    links = Links()
    with pytest.raises(ConfigError):
        links.close(1, code=1005)
    with pytest.raises(ConfigError):
        links.close(1, code=70_000)
    with pytest.raises(ConfigError):
        links.send(1, "x" * (1 << 20 | 1))
    with pytest.raises(TypeError):
        links.ack(["no frame"])  # type: ignore[list-item]
