"""The codec and the cache of ids among threads, forks and at the end of the interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from xyfast import DedupCache
from xyfast._core import (
    b64decode,
    b64encode,
    decode,
    decrypt,
    packb,
    parse_frame,
    pick,
    read_payload,
    unpackb,
)

TREE = {"1": [1, -1, 2**63, 0.5, None, True], "2": {"3": "闲鱼" * 50, "4": b"\0" * 300}}
DATA = packb(TREE)
PAYLOAD = b64encode(DATA)
FRAME = '{"lwp": "/s/para", "headers": {"mid": "1 0"}, "body": {"a": ["b", null]}}'

CALLS: dict[str, Callable[[], object]] = {
    "packb": lambda: packb(TREE),
    "unpackb": lambda: unpackb(DATA),
    "unpackb bytearray": lambda: unpackb(bytearray(DATA)),
    "decode": lambda: decode(PAYLOAD),
    "decrypt": lambda: decrypt(PAYLOAD),
    "pick": lambda: pick(PAYLOAD, ("2.3", "9")),
    "b64decode": lambda: b64decode(PAYLOAD),
    "b64encode": lambda: b64encode(DATA),
    "parse_frame": lambda: parse_frame(FRAME).mid,
    "read_payload": lambda: read_payload(PAYLOAD).tree,
}


def in_threads(work: Callable[[int], None], count: int = 10) -> None:
    """Run work on so many threads at once and raise what the first to fail raised."""
    start = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            start.wait(60)
            work(number)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if failures:
        raise failures[0]


@pytest.fixture(autouse=True)
def eager_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@contextmanager
def meanwhile(change: Callable[[], None]) -> Iterator[None]:
    """Let another thread make a change over and over."""
    over = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            while not over.is_set():
                change()
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
    assert not failures


def test_threads_that_share_inputs_get_what_one_alone_gets() -> None:
    expected = {name: call() for name, call in CALLS.items()}

    def work(number: int) -> None:
        names = list(CALLS)
        for turn in range(200):
            name = names[(number + turn) % len(names)]
            assert CALLS[name]() == expected[name], name

    in_threads(work)


def test_threads_that_look_at_a_frame_get_the_same_payloads() -> None:
    body = {"syncPushPackage": {"data": [{"data": '{"a": [1, 2]}'}, {"data": PAYLOAD}]}}
    text = json.dumps({"lwp": "/s/x", "headers": {}, "body": body})
    frames = [parse_frame(text) for _ in range(200)]
    found: list[list[int]] = [[] for _ in range(10)]

    def work(number: int) -> None:
        for frame in frames:
            payloads = frame.payloads
            assert [payload.tree for payload in payloads] == [{"a": [1, 2]}, decode(PAYLOAD)]
            found[number].append(id(payloads))

    in_threads(work)
    assert all(each == found[0] for each in found)


def test_threads_may_read_one_frame() -> None:
    frame = parse_frame(FRAME)

    def work(_: int) -> None:
        for _turn in range(100):
            assert (frame.lwp, frame.mid, frame.text) == ("/s/para", "1 0", FRAME)
            assert frame.body == '{"a": ["b", null]}'

    in_threads(work)


def test_of_threads_that_see_an_id_one_sees_it_first() -> None:
    cache = DedupCache(100_000)
    first: list[str] = []

    def work(number: int) -> None:
        for turn in range(5000):
            key = str((turn * (2 * number + 1)) % 5000)
            if not cache.seen(key):
                first.append(key)
            assert key in cache

    in_threads(work, 8)
    assert sorted(first) == sorted(
        {str((turn * odd) % 5000) for odd in range(1, 17, 2) for turn in range(5000)}
    )
    assert len(cache) == len(first)


def test_a_cache_that_overflows_among_threads_keeps_its_bound() -> None:
    cache = DedupCache(100)

    def work(number: int) -> None:
        for turn in range(2000):
            cache.add(f"{number} {turn}")
            assert len(cache) <= 100

    in_threads(work, 8)
    assert len(cache) == 100


@pytest.mark.parametrize("view", [bytearray, memoryview])
def test_a_buffer_that_changes_is_read_before_or_after(view: Callable[[Any], Any]) -> None:
    # One byte differs, so that there is nothing between the two.
    one, other = packb({"a": ["x" * 2000, 1]}), packb({"a": ["x" * 2000, 2]})
    trees = [unpackb(one), unpackb(other)]
    buffer = bytearray(one)
    shared = buffer if view is bytearray else view(buffer)

    def change() -> None:
        buffer[-1] ^= one[-1] ^ other[-1]

    with meanwhile(change):
        for _ in range(3000):
            assert unpackb(shared) in trees
            assert b64decode(b64encode(shared)) in (one, other)


def test_a_bytearray_that_grows_and_shrinks_is_read_at_one_of_its_lengths() -> None:
    buffer = bytearray(packb(["x"]))

    def change() -> None:
        try:
            buffer[:] = packb(["x" * 5000])
            buffer[:] = packb(["x"])
        except BufferError:
            pass  # It is being read.

    with meanwhile(change):
        for _ in range(3000):
            assert unpackb(buffer) in (["x"], ["x" * 5000])


def test_a_dict_that_changes_is_packed_with_keys_that_it_had() -> None:
    shared: dict[str, Any] = {"stays": [1]}

    def change() -> None:
        for number in range(50):
            shared[str(number)] = [str(number)]
        for number in range(50):
            del shared[str(number)]

    with meanwhile(change):
        for _ in range(1000):
            packed = unpackb(packb({"outer": shared}))["outer"]
            assert packed.pop("stays") == [1]
            assert all(packed[key] == [key] for key in packed)


def test_a_list_that_changes_is_packed_at_one_of_its_lengths() -> None:
    shared: list[Any] = []

    def change() -> None:
        for number in range(50):
            shared.append([number])
        shared.clear()

    with meanwhile(change):
        for _ in range(1000):
            packed = unpackb(packb([shared, shared]))
            for each in packed:
                assert each == [[number] for number in range(len(each))]


USE = textwrap.dedent("""
    import os, sys, threading, time
    from xyfast import DedupCache
    from xyfast._core import b64decode, b64encode, decode, packb, parse_frame, unpackb
    tree = {"1": ["a" * 100, 2.5, None]}
    cache = DedupCache(1000)
    number = 0
    def use():
        global number
        number += 1
        payload = b64encode(packb(tree))
        assert decode(payload) == unpackb(b64decode(payload)) == tree
        assert parse_frame('{"lwp": "/x", "headers": {"mid": "1 0"}}').mid == "1 0"
        cache.add(str(number))
    def forever():
        while True:
            use()
    sys.setswitchinterval(1e-6)
    for _ in range(4):
        threading.Thread(target=forever, daemon=True).start()
    while number < 1000:
        time.sleep(0.001)
""")


def run(script: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", USE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_amid_threads_leaves_both_processes_a_codec() -> None:
    run("""
        ids = DedupCache()
        ids.add("before")
        for _ in range(20):
            child = os.fork()
            if child == 0:
                for _ in range(100):
                    use()
                alone = ids.seen("before") and not ids.seen("child")
                os._exit(0 if alone else 1)
            use()
            assert os.waitpid(child, 0)[1] == 0
            assert "child" not in ids
    """)


def test_the_codec_works_to_the_end_of_the_interpreter() -> None:
    run("""
        import atexit
        class Last:
            def __del__(self):
                use()
        last = Last()
        cycle = [Last()]
        cycle.append(cycle)
        atexit.register(use)
    """)


def test_a_first_call_and_an_error_may_come_at_the_end_of_the_interpreter() -> None:
    script = """
        from xyfast._core import decode, unpackb
        class Last:
            def __del__(self, decode=decode, unpackb=unpackb):
                for call, data in ((decode, "A"), (unpackb, bytes([0x92])), (decode, "gQE=")):
                    try:
                        call(data)
                    except ValueError:
                        pass
                    else:
                        print("no error")
                assert decode("gaNrZXkB") == {"key": 1}
        last = Last()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_daemon_threads_that_meet_errors_end_quietly_with_the_interpreter() -> None:
    script = """
        import sys, threading
        from xyfast._core import (
            decode, decode_frame, decode_many, decrypt, read_payload, unpackb
        )
        FRAME = '{"headers":{},"body":{"syncPushPackage":{"data":[{},{"data":"gQ=="}]}}}'
        FAILING = [
            (unpackb, b"\\x92"), (unpackb, b"\\xc1"), (unpackb, b"\\x91" * 1025),
            (unpackb, b"\\xa1\\xff"), (unpackb, b"\\x81\\x90\\x01"), (unpackb, b"\\x01\\x01"),
            (decode, "A"), (decode, "gQE="), (decrypt, "gqFhAaFi"), (decode_frame, FRAME),
            (lambda data: decode_many(data, return_exceptions=True), ["A", "gQGhYQ=="]),
            (read_payload, "\\ud800"),
        ]
        sys.setswitchinterval(1e-6)
        ready = threading.Barrier(5)
        def fail():
            def once():
                for call, data in FAILING:
                    try:
                        call(data)
                    except ValueError:
                        pass
            once()
            ready.wait()
            while True:
                once()
        for _ in range(4):
            threading.Thread(target=fail, daemon=True).start()
        ready.wait()
    """
    # Which code a thread is in at the end is chance.
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(16)
    ]
    for process in runs:
        assert process.communicate(timeout=120) == ("", "")
        assert process.returncode == 0
