from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from xyfast._core import DedupCache


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_id_is_new_once() -> None:
    cache = DedupCache()
    assert not cache.seen("a")
    assert cache.seen("a")
    assert "a" in cache
    assert "b" not in cache
    assert len(cache) == 1


def test_add_remembers_without_asking() -> None:
    cache = DedupCache()
    cache.add("a")
    cache.add("a")
    assert cache.seen("a")
    assert len(cache) == 1


def test_looking_does_not_remember() -> None:
    cache = DedupCache()
    assert "a" not in cache
    assert not cache.seen("a")


def test_the_first_sight_counts() -> None:
    clock = FakeClock()
    cache = DedupCache(10, 60.0, clock=clock)
    cache.seen("a")
    clock.now += 59
    assert cache.seen("a")
    cache.add("a")
    clock.now += 1
    assert "a" not in cache
    assert len(cache) == 0
    assert not cache.seen("a")


def test_a_full_cache_forgets_the_oldest_alone() -> None:
    cache = DedupCache(1000)
    for i in range(2000):
        assert not cache.seen(str(i))
        assert len(cache) == min(i + 1, 1000)
    assert not any(str(i) in cache for i in range(1000))
    assert all(str(i) in cache for i in range(1000, 2000))


def test_the_default_clock_runs_and_is_monotonic() -> None:
    cache = DedupCache(10, 0.05)
    cache.seen("a")
    deadline = time.monotonic() + 10
    while "a" in cache and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert "a" not in cache


def test_a_clock_that_goes_back_forgets_nothing() -> None:
    clock = FakeClock()
    cache = DedupCache(10, 60.0, clock=clock)
    cache.seen("a")
    clock.now -= 500
    assert cache.seen("a")
    cache.seen("b")
    clock.now += 560
    assert len(cache) == 0


def test_a_clock_may_use_the_cache() -> None:
    calls = 0

    def clock() -> float:
        nonlocal calls
        calls += 1
        if calls < 5:
            cache.add(str(calls))
        return 0.0

    cache = DedupCache(10, 60.0, clock=clock)
    cache.add("a")
    assert len(cache) == 5


def test_an_error_of_the_clock_reaches_the_caller() -> None:
    def broken() -> float:
        raise RuntimeError("no time")

    with pytest.raises(RuntimeError, match="no time"):
        DedupCache(clock=broken).seen("a")
    wrong: Any = lambda: "noon"  # noqa: E731
    with pytest.raises(TypeError):
        DedupCache(clock=wrong).seen("a")


@pytest.mark.parametrize("maxsize", [0, -1, 2**31 + 1, 2**64, -(2**64)])
def test_refuses_a_size_that_cannot_be(maxsize: int) -> None:
    with pytest.raises(ValueError, match="maxsize"):
        DedupCache(maxsize)


UNTIL_MEMORY_ENDS = """
import resource
from xyfast import DedupCache
cache = DedupCache(2**31)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (16 << 20), resource.RLIM_INFINITY))
known = 0
try:
    while True:
        cache.seen(str(known))
        known += 1
except MemoryError:
    pass
assert known > 125_000, known
assert len(cache) == known
assert all(str(i) in cache for i in range(known))
assert str(known) not in cache
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_memory_is_an_error_that_loses_nothing() -> None:
    subprocess.run([sys.executable, "-c", UNTIL_MEMORY_ENDS], check=True, timeout=60)


@pytest.mark.parametrize("ttl", [0.0, -1.0, math.nan, -math.inf, 10**400, -(10**400)])
def test_refuses_a_time_that_is_none(ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        DedupCache(10, ttl)


def test_an_endless_time_is_one() -> None:
    clock = FakeClock()
    cache = DedupCache(10, math.inf, clock=clock)
    cache.seen("a")
    clock.now = 1e300
    assert "a" in cache


def test_ids_are_told_apart_whole() -> None:
    cache = DedupCache()
    keys = ["", "a", "a\0", "A", "闲", "鱼", "\ud800", "\udfff", "x" * 100_000, "x" * 99_999]
    assert [cache.seen(key) for key in keys] == [False] * len(keys)
    assert [cache.seen(key) for key in keys] == [True] * len(keys)
    assert len(cache) == len(keys)


def test_the_repr_shows_sizes_and_no_id() -> None:
    cache = DedupCache(maxsize=10, ttl=1.5)
    cache.add("secret")
    assert repr(cache) == "DedupCache(maxsize=10, ttl=1.5, len=1)"


def test_only_str_is_an_id() -> None:
    cache = DedupCache()
    wrong: Any = 5
    for call in (cache.seen, cache.add):
        with pytest.raises(TypeError, match="an id must be a str, not int"):
            call(wrong)
    assert wrong not in cache
    assert b"a" not in cache


def test_ten_threads_count_every_id_once() -> None:
    cache = DedupCache(100_000)
    new: list[str] = []
    start = threading.Barrier(10)

    def work() -> None:
        start.wait(10)
        new.extend(str(i) for i in range(2000) if not cache.seen(str(i)))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(new) == sorted(map(str, range(2000)))


def test_a_cache_that_its_own_clock_holds_is_let_go() -> None:
    class Clock(FakeClock):
        cache: DedupCache

    clock = Clock()
    clock.cache = DedupCache(clock=clock)
    clock.cache.seen("a")
    gone = weakref.ref(clock)
    del clock
    gc.collect()
    assert gone() is None


class CacheMachine(RuleBasedStateMachine):
    """The cache is a list of sightings, cut by age and length."""

    @initialize(maxsize=st.integers(1, 5))
    def start(self, maxsize: int) -> None:
        self.clock = FakeClock()
        self.maxsize = maxsize
        self.cache = DedupCache(maxsize, 10.0, clock=self.clock)
        self.model: dict[str, float] = {}

    def expire(self) -> None:
        now = self.clock.now
        self.model = {key: at for key, at in self.model.items() if now - at < 10.0}

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 9.5, 10.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(key=st.sampled_from("abcdefgh"), ask=st.booleans())
    def see(self, key: str, ask: bool) -> None:
        self.expire()
        if ask:
            assert self.cache.seen(key) == (key in self.model)
        else:
            self.cache.add(key)
        if key not in self.model:
            self.model[key] = self.clock.now
            while len(self.model) > self.maxsize:
                del self.model[next(iter(self.model))]

    @invariant()
    def knows_what_the_model_knows(self) -> None:
        self.expire()
        assert len(self.cache) == len(self.model)
        assert {key for key in "abcdefgh" if key in self.cache} == set(self.model)


CacheMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40)
TestCacheModel = CacheMachine.TestCase


@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_a_clock_that_tells_no_time_changes_nothing(odd: float) -> None:
    clock = FakeClock()
    cache = DedupCache(ttl=10.0, clock=clock)
    cache.add("a")
    clock.now = odd
    assert cache.seen("a")
    clock.now = 1009.0
    assert cache.seen("a")
    clock.now = 1010.0
    assert not cache.seen("a")
