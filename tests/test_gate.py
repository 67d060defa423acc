"""The gate alone: who may dial next, on a clock that is an argument."""

from __future__ import annotations

import random
from collections import deque

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xyfast.gate import LATE, LONGEST_REST, PATIENCE, Gate, Pace
from xyfast.retry import Trouble, bound

PACE = Pace(rate=8.0, burst=3)  # an eighth of a second is a float


def new(pace: Pace = PACE, dice: float = 0.5) -> Gate[int]:
    return Gate(pace, lambda: dice)


def taken(gate: Gate[int], now: float) -> list[int]:
    found = []
    while (who := gate.take(now)) is not None:
        found.append(who)
    return found


def down(gate: Gate[int], now: float = 0.0) -> None:
    """Let one go that does not arrive."""
    gate.put(0)
    assert gate.take(now) == 0
    gate.missed(0, Trouble.NETWORK, now)
    assert gate.down


def test_nobody_waits_at_an_endpoint_that_is_up() -> None:
    gate = new()
    gate.put(1)
    assert gate.take(0.0) == 1
    assert gate.next(0.0) is None


def test_a_burst_goes_at_once_and_the_others_at_the_rate_in_the_order_of_coming() -> None:
    gate = new()
    for who in range(6):
        gate.put(who)
    assert taken(gate, 0.0) == [0, 1, 2]
    assert gate.next(0.0) == 0.125
    assert taken(gate, 0.125) == [3]
    assert taken(gate, 0.375) == [4, 5]


def test_those_in_line_that_are_called_late_make_up_for_up_to_a_second() -> None:
    gate = new()
    for who in range(30):
        gate.put(who)
    assert taken(gate, 0.0) == [0, 1, 2]
    for who in (0, 1, 2):
        gate.reached(who, 0.5)
    assert taken(gate, 0.75) == [3, 4, 5, 6, 7, 8]
    for who in range(3, 9):
        gate.reached(who, 0.75)
    for who in range(9, 20):  # those of a second, and a burst
        assert gate.take(60.0) == who
        gate.reached(who, 60.0)
    assert gate.take(60.0) is None


def test_nothing_is_made_up_for_that_was_held_up_by_more_than_the_pace() -> None:
    gate = new()
    gate.put(0)
    assert taken(gate, 0.0) == [0]
    for who in range(1, 20):
        gate.put(who)
    assert taken(gate, 10.0) == [1, 2, 3]  # nobody was in line
    assert [taken(gate, 10.0 + eighth / 8) for eighth in range(1, 5)] == [[4], [5], [6], [7]]
    for who in range(8):
        gate.leave(who, 20.0)
    assert taken(gate, 20.0) == [8, 9, 10]  # as many were under way as may be
    gate.missed(8, Trouble.LINK, 20.0)
    assert taken(gate, 21.5) == [11]
    gate.reached(11, 30.0)
    assert taken(gate, 30.0) == [12, 13, 14]  # it was down


def test_while_it_is_down_one_goes_at_a_time_after_a_rest() -> None:
    gate = new()
    for who in (1, 2, 3):
        gate.put(who)
    assert taken(gate, 0.0) == [1, 2, 3]
    gate.put(4)
    gate.put(5)
    gate.missed(1, Trouble.LINK, 1.0)
    assert gate.next(1.0) == 2.5  # half of three seconds
    assert taken(gate, 2.4) == []
    assert taken(gate, 2.5) == [4]
    assert taken(gate, 60.0) == []  # one prober
    gate.missed(4, Trouble.LINK, 60.0)
    assert gate.next(60.0) == 62.5  # half of five: a probe stands for all
    assert taken(gate, 62.5) == [5]


def test_those_that_set_out_before_say_nothing_new() -> None:
    gate = new()
    for who in range(3):
        gate.put(who)
    taken(gate, 0.0)
    gate.put(3)
    gate.missed(0, Trouble.LINK, 1.0)
    gate.missed(1, Trouble.LINK, 2.0)
    assert gate.next(2.0) == 2.5  # since the first, and the bound has not grown
    assert taken(gate, 2.5) == [3]
    gate.reached(3, 3.0)
    gate.missed(2, Trouble.NETWORK, 10.0)
    assert not gate.down


def test_one_that_is_answered_opens_the_gate_for_all() -> None:
    gate = new()
    down(gate)
    for who in (1, 2, 3, 4):
        gate.put(who)
    assert taken(gate, 10.0) == [1]
    gate.reached(1, 11.0)
    assert taken(gate, 11.0) == [2, 3, 4]


def test_a_prober_that_leaves_or_vanishes_makes_room_for_the_next() -> None:
    gate = new()
    down(gate)
    for who in (1, 2, 3):
        gate.put(who)
    assert taken(gate, 10.0) == [1]
    gate.leave(1, 10.0)
    assert gate.next(10.0) == 12.5
    assert taken(gate, 12.5) == [2]
    assert gate.next(12.5) == 12.5 + PATIENCE
    vanished = 12.5 + PATIENCE
    assert taken(gate, vanished) == []  # and it rests
    assert taken(gate, vanished + 2.5) == [3]
    gate.missed(2, Trouble.LINK, vanished + 3.0)  # too late to be heard
    assert gate.next(vanished + 3.0) is None


def test_who_leaves_the_line_is_not_let_through() -> None:
    gate = new()
    down(gate)
    gate.put(1)
    gate.put(2)
    gate.leave(1, 1.0)
    assert taken(gate, 10.0) == [2]


def test_who_is_not_there_is_passed_over_and_keeps_the_place() -> None:
    gate = new()
    for who in (1, 2, 3):
        gate.put(who)
    assert gate.take(0.0, lambda who: who == 3) == 3
    assert gate.take(0.0, lambda who: False) is None
    assert taken(gate, 0.0) == [1, 2]


def test_an_endpoint_that_swallows_dials_gets_no_more_than_a_second_of_them() -> None:
    gate = new()
    for who in range(50):
        gate.put(who)
    gone = [who for eighth in range(80) for who in taken(gate, eighth / 8)]
    assert gone == list(range(8))
    for who in gone:
        gate.missed(who, Trouble.NETWORK, 10.0)
    assert taken(gate, 20.0) == [8]


def test_the_strictest_pace_counts() -> None:
    gate = new()
    gate.keep_to(Pace(rate=100.0, burst=1))
    for who in range(3):
        gate.put(who)
    assert taken(gate, 0.0) == [0]
    assert taken(gate, 0.125) == [1]


@given(st.sampled_from([Trouble.LINK, Trouble.NETWORK, Trouble.OTHER]), st.floats(0.0, 0.999))
def test_a_rest_is_below_the_bound_of_its_class(trouble: Trouble, dice: float) -> None:
    gate, now = new(dice=dice), 0.0
    for misses in range(1, 10):
        gate.put(misses)
        assert gate.take(now) == misses
        gate.missed(misses, trouble, now)
        gate.put(99)
        probe = gate.next(now)
        gate.leave(99, now)
        assert probe is not None
        rest = max(probe - now, 0.0)
        assert rest <= max(dice * min(bound(trouble, misses), LONGEST_REST), 0.1) + 1e-6
        now = probe + 1.0


class AnyHistory(RuleBasedStateMachine):
    """Whatever dials report, or do not: one prober, the pace, the order.

    In half of the histories all go as soon as they may, in the others they are called late.
    """

    @initialize(
        rate=st.floats(0.5, 300.0),
        burst=st.integers(1, 20),
        seed=st.integers(0, 2**32 - 1),
        punctual=st.booleans(),
    )
    def begin(self, rate: float, burst: int, seed: int, *, punctual: bool) -> None:
        self.pace = Pace(rate, burst)
        self.punctual = punctual
        self.gate: Gate[int] = Gate(self.pace, random.Random(seed).random)
        self.now = 0.0
        self.came = 0
        self.line: deque[int] = deque()
        self.under_way: dict[int, float] = {}
        self.went: list[float] = []
        self.probers: set[int] = set()

    def take(self) -> int | None:
        was_down = self.gate.down
        who = self.gate.take(self.now)
        if who is not None:
            assert who == self.line.popleft()  # the longest waiting goes first
            self.under_way[who] = self.now
            self.went.append(self.now)
            if was_down:
                self.probers.add(who)
        return who

    @rule(count=st.integers(1, 30))
    def come(self, count: int) -> None:
        for _ in range(count):
            self.came += 1
            self.gate.put(self.came)
            self.line.append(self.came)

    @rule()
    def go(self) -> None:
        while self.take() is not None:
            pass

    @rule(seconds=st.floats(0.0, 30.0))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.punctual and self.line:
            due = self.gate.next(self.now)
            assert due is not None
            if due > until:
                break
            self.in_time()
        self.now = max(self.now, until)

    @precondition(lambda self: self.line)
    @rule()
    def in_time(self) -> None:
        """At the time that the gate tells, somebody goes."""
        due = self.gate.next(self.now)
        assert due is not None
        self.now = max(self.now, due)
        self.forget_the_vanished()
        while self.take() is None:  # a prober that vanished is followed by a rest
            due = self.gate.next(self.now)
            assert due is not None
            assert due > self.now
            self.now = due

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), trouble=st.sampled_from(Trouble))
    def tell(self, data: st.DataObject, trouble: Trouble) -> None:
        who = data.draw(st.sampled_from(sorted(self.under_way)))
        what = data.draw(st.sampled_from(["reached", "missed", "leave"]))
        del self.under_way[who]
        self.probers.discard(who)
        if what == "reached":
            self.gate.reached(who, self.now)
        elif what == "missed":
            self.gate.missed(who, trouble, self.now)
        else:
            self.gate.leave(who, self.now)
        if not self.gate.down:
            self.probers.clear()

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        who = data.draw(st.sampled_from(sorted(self.line)))
        self.line.remove(who)
        self.gate.leave(who, self.now)

    def forget_the_vanished(self) -> None:
        for who, since in list(self.under_way.items()):
            if since + PATIENCE <= self.now:
                del self.under_way[who]
                self.probers.discard(who)

    @invariant()
    def one_prober_while_it_is_down(self) -> None:
        self.forget_the_vanished()
        assert len(self.probers) <= 1

    @invariant()
    def no_more_under_way_than_go_in_a_second(self) -> None:
        assert len(self.under_way) <= max(int(self.pace.rate), self.pace.burst)

    @invariant()
    def no_window_is_above_the_pace(self) -> None:
        recent = self.went[-40:]
        for first in range(len(recent)):
            seconds = recent[-1] - recent[first] + (0.0 if self.punctual else LATE)
            most = self.pace.burst + self.pace.rate * seconds
            assert len(recent) - first <= most + 1e-6

    @invariant()
    def nobody_is_forgotten(self) -> None:
        assert len(self.gate) == len(self.line)


AnyHistory.TestCase.settings = hypothesis_settings(max_examples=200)
TestAnyHistory = AnyHistory.TestCase


@given(
    count=st.integers(1, 200),
    outage=st.floats(0.0, 120.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_everyone_gets_through_after_an_outage(count: int, outage: float, seed: int) -> None:
    gate: Gate[int] = Gate(Pace(50.0, 5), random.Random(seed).random)
    for who in range(count):
        gate.put(who)
    now, through, tries = 0.0, set(), 0
    while len(through) < count:
        due = gate.next(now)
        assert due is not None
        now = max(now, due)
        who = gate.take(now)
        assert who is not None
        if now < outage:
            tries += 1
            gate.missed(who, Trouble.NETWORK, now)
            gate.put(who)
        else:
            through.add(who)
            gate.reached(who, now)
    assert now <= outage + LONGEST_REST + count / 50.0
