"""Links under asyncio: wake-ups, answers, a mailbox that is full, arguments that are refused."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from scripted import (
    PATIENCE,
    REGISTER,
    User,
    answer,
    idle,
    push,
    registered,
    request,
    until,
    url_of,
)
from xyfast._core import Closed, Frame, Invalid, Links, parse_frame
from xyfast.errors import ConfigError, StateError


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


async def test_the_end_of_a_link_tells_of_all_its_heartbeats(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        for code in (200, 500, 200):
            beat = json.loads(peer.recv(timeout=PATIENCE))
            assert beat["lwp"] == "/!"
            answer(peer, beat, code)
        while True:  # the others stay unanswered
            peer.recv(timeout=PATIENCE)

    def told(what: str) -> float:
        return (user.links.stats(1) or {what: 0})[what]

    with registered(script) as url:
        await user.opened(url, heartbeat=0.05)
        await until(lambda: told("answered") == 3 and told("beats") >= 4)
        assert told("good") == 2
        user.links.close(1)
        closed = await user.next()
    assert isinstance(closed, Closed)
    assert closed.beats >= 4
    assert closed.good == 2


async def test_a_frame_knows_how_long_ago_it_was_read(user: User) -> None:
    def script(peer: ServerConnection) -> None:
        peer.send(push(1))
        idle(peer)

    before = time.monotonic()
    with registered(script) as url:
        await user.opened(url)
        frame = await user.next()
    assert isinstance(frame, Frame)
    first, second = frame.age, frame.age
    assert first is not None
    assert second is not None
    assert 0.0 <= first <= second <= time.monotonic() - before
    assert parse_frame(push(1)).age is None


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
