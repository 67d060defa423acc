"""Token buckets and the line in front of them. Times are fractions, so that sums are exact."""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xyfast.pace import Buckets, Line

RATES = st.fractions(min_value=Fraction(1, 10), max_value=10, max_denominator=20)
GAPS = st.lists(st.fractions(min_value=0, max_value=5, max_denominator=10), min_size=1, max_size=40)


@given(rate=RATES, burst=st.integers(1, 8), gaps=GAPS)
def test_no_window_lets_more_through_than_burst_and_rate(
    rate: Fraction, burst: int, gaps: list[Fraction]
) -> None:
    buckets = Buckets(rate, burst)  # type: ignore[arg-type]
    now, taken = Fraction(0), []
    for gap in gaps:
        now = max(now + gap, buckets.ready("a"))  # type: ignore[assignment]
        buckets.take("a", now)
        taken.append(now)
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + rate * (taken[last] - start)


@given(rate=RATES, burst=st.integers(1, 8))
def test_a_rested_bucket_lets_its_burst_through_at_once_and_then_one_in_each_interval(
    rate: Fraction, burst: int
) -> None:
    buckets = Buckets(rate, burst)  # type: ignore[arg-type]
    now, waits = Fraction(100), []
    for _ in range(burst + 3):
        ready = max(now, buckets.ready("a"))
        waits.append(ready - now)
        now = ready  # type: ignore[assignment]
        buckets.take("a", now)
    assert waits == [0] * burst + [1 / rate] * 3


def test_buckets_do_not_share_tokens() -> None:
    buckets = Buckets(1.0, 1)
    buckets.take("a", 0.0)
    assert buckets.ready("a") == 1.0
    assert buckets.ready("b") < 0.0


def test_buckets_that_are_full_again_are_forgotten() -> None:
    buckets = Buckets(1.0, 5)
    most = 0
    for number in range(10_000):
        buckets.take(number, number * 0.1)
        most = max(most, len(buckets))
    assert most < 200


def line(
    rate: float = 100.0, burst: int = 100, each: float = 100.0, each_burst: int = 100
) -> Line[str]:
    return Line(send=(rate, burst), conversation=(each, each_burst))


def drain(queue: Line[str], now: float) -> list[str]:
    taken = []
    while (item := queue.take(now)) is not None:
        taken.append(item)
    return taken


def test_one_of_a_conversation_goes_at_a_time_and_conversations_go_side_by_side() -> None:
    queue = line()
    for item in ("a1", "a2", "b1", "a3"):
        queue.put(item[0], item)
    assert drain(queue, 0.0) == ["a1", "b1"]
    assert queue.next() is None  # only the end of a turn changes anything
    queue.leave("a", "a1")
    assert drain(queue, 0.0) == ["a2"]
    queue.leave("b", "b1")
    assert drain(queue, 0.0) == []
    assert len(queue) == 1


def test_who_gives_a_turn_back_comes_first_again() -> None:
    queue = line()
    for item in ("a1", "a2", "b1"):
        queue.put(item[0], item)
    assert queue.take(0.0) == "a1"
    queue.back("a", "a1")
    assert drain(queue, 0.0) == ["a1", "b1"]


def test_who_leaves_the_line_is_passed_over() -> None:
    queue = line()
    for item in ("a1", "a2", "a3"):
        queue.put("a", item)
    queue.leave("a", "a2")
    assert queue.take(0.0) == "a1"
    queue.leave("a", "a1")
    assert queue.take(0.0) == "a3"
    queue.leave("a", "a3")
    assert (queue.take(0.0), queue.next(), len(queue)) == (None, None, 0)


def test_a_conversation_that_must_wait_holds_up_no_other() -> None:
    queue = line(each=1.0, each_burst=1)
    for item in ("a1", "a2", "b1"):
        queue.put(item[0], item)
    assert drain(queue, 0.0) == ["a1", "b1"]
    queue.leave("a", "a1")
    queue.put("c", "c1")
    assert drain(queue, 0.5) == ["c1"]
    assert queue.next() == 1.0
    assert drain(queue, 1.0) == ["a2"]


def test_the_account_s_bucket_serves_conversations_in_the_order_of_asking() -> None:
    queue = line(rate=1.0, burst=1)
    for item in ("c", "a", "b"):
        queue.put(item, item)
    assert drain(queue, 0.0) == ["c"]
    assert queue.next() == 1.0
    assert drain(queue, 1.0) == ["a"]
    assert drain(queue, 2.0) == ["b"]


class Counting(Buckets):
    """Counts how often it is asked."""

    asked = 0

    def ready(self, name: Hashable, /) -> float:
        self.asked += 1
        return super().ready(name)


def test_a_turn_costs_the_same_however_many_conversations_are_in_line() -> None:
    queue = line(rate=1.0, burst=1)
    queue._each = each = Counting(100.0, 100)
    for number in range(1000):
        queue.put(str(number), str(number))
    for now in range(1000):
        assert queue.take(float(now)) == str(now)
        assert queue.take(float(now)) is None
        assert queue.next() == (None if now == 999 else now + 1.0)
    assert each.asked <= 2000


def test_who_leaves_the_line_is_forgotten() -> None:
    queue = line()
    for number in range(10_000):
        queue.put(str(number), "x")
        queue.leave(str(number), "x")
    assert len(queue._later) + len(queue._ready) + len(queue._queues) < 200


class Run:
    """A line of fractions, and what it let through."""

    def __init__(self, rate: Fraction, burst: int, each: Fraction, each_burst: int) -> None:
        self.queue: Line[tuple[str, int]] = Line(
            send=(rate, burst),  # type: ignore[arg-type]
            conversation=(each, each_burst),  # type: ignore[arg-type]
        )
        self.now = Fraction(0)
        self.running: list[tuple[str, int]] = []
        self.started: list[tuple[Fraction, tuple[str, int]]] = []

    def take(self) -> None:
        while (item := self.queue.take(self.now)) is not None:  # type: ignore[arg-type]
            self.running.append(item)
            self.started.append((self.now, item))


@given(
    rate=RATES,
    burst=st.integers(1, 4),
    each=RATES,
    each_burst=st.integers(1, 3),
    steps=st.lists(
        st.one_of(
            st.sampled_from("abc"),
            st.just("end"),
            st.fractions(min_value=0, max_value=3, max_denominator=8),
        ),
        max_size=60,
    ),
)
def test_everybody_gets_a_turn_in_order_and_the_pace_is_kept(
    rate: Fraction, burst: int, each: Fraction, each_burst: int, steps: list[str | Fraction]
) -> None:
    run = Run(rate, burst, each, each_burst)
    asked = 0
    for step in steps:
        if isinstance(step, Fraction):
            run.now += step
        elif step != "end":
            run.queue.put(step, (step, asked))
            asked += 1
        elif run.running:
            item = run.running.pop(0)
            run.queue.leave(item[0], item)
        run.take()
        assert len({conversation for conversation, _ in run.running}) == len(run.running)
    while len(run.started) < asked:
        while run.running:
            item = run.running.pop()
            run.queue.leave(item[0], item)
        ready = run.queue.next()
        assert ready is not None
        run.now = max(run.now, ready)  # type: ignore[assignment]
        run.take()
    for name, pace, most in [("abc", rate, burst), *((one, each, each_burst) for one in "abc")]:
        times = [time for time, item in run.started if item[0] in name]
        for first, start in enumerate(times):
            for last in range(first, len(times)):
                assert last - first + 1 <= most + pace * (times[last] - start)
    for one in "abc":
        numbers = [item[1] for _, item in run.started if item[0] == one]
        assert all(before < after for before, after in pairwise(numbers))
