"""Links and the process around them: a blocked loop, memory, descriptors, forks."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from leaks import resident
from scripted import PATIENCE, REGISTER, User, answer, idle, push, registered, request, until
from xyfast._core import Closed, Frame, Links, Opened
from xyfast.errors import StateError


def sleep() -> None:
    time.sleep(1.0)


def spin() -> None:
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        pass


def hold_the_gil() -> None:
    ctypes.PyDLL(None).usleep(1_000_000)


@pytest.mark.parametrize("block", [sleep, spin, hold_the_gil])
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
        await until(lambda: "xyfast-guard" not in threads())


def in_child(
    result: Any, url: str, inherited: User, frame: Frame, spare: list[Links], spared: int
) -> None:
    """Run in a forked child: old links are refused, new ones work."""
    try:
        inherited.links.drain()
    except StateError:
        result.put("refused")
    # The frame is the parent's: its ack must not go into the parent's socket.
    result.put(Links().ack([frame]))
    # The last references in this process: the parent's sockets must survive it, and no number
    # may be closed, which where descriptors are not inherited is another file's.
    del inherited.links
    spare.clear()
    os.fstat(spared)

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
        spare = [Links()]
        arguments = (result, url, user, pushed, spare, spare[0].fileno())
        child = context.Process(target=in_child, args=arguments)
        child.start()
        await asyncio.get_running_loop().run_in_executor(None, child.join, PATIENCE)
        assert child.exitcode == 0
        assert [result.get() for _ in range(3)] == ["refused", 0, "opened"]
        assert user.links.send(1, '{"lwp":"/r/x","headers":{"mid":"5 0"}}')
        frame = await user.next()
        assert isinstance(frame, Frame)
        assert frame.mid == "5 0"
        user.end()
