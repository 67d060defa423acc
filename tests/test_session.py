"""The session alone: events in, actions out, on a clock that is an argument."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sessions import connected, dial, moves, new, rest
from xyfast.config import Settings
from xyfast.errors import StateError
from xyfast.events import (
    AskCredentials,
    CloseLink,
    Dial,
    Drained,
    Event,
    FetchToken,
    Kicked,
    LinkDeaf,
    LinkLost,
    LinkOpened,
    LinkRefused,
    Moved,
    NewCredentials,
    Pause,
    Resume,
    RetireLink,
    Start,
    State,
    Stop,
    Tick,
    TokenFailed,
    TokenReady,
)
from xyfast.retry import Trouble, bound
from xyfast.session import TRANSITIONS, Session

RESTING = (State.DISCONNECTED, State.CLOSED, State.KICKED, State.NEEDS_LOGIN, State.FAILED)
"""States without a link."""


def test_fetches_a_token_then_dials_then_resumes() -> None:
    session = new()
    assert rest(session.step(Start(), 0.0)) == [FetchToken()]
    assert rest(session.step(TokenReady(), 1.0)) == [dial(1)]
    assert session.step(LinkOpened(1), 2.0) == [
        Moved(State.CONNECTING, State.CONNECTED, "registered"),
        Resume(1),
    ]


def test_dials_again_with_the_same_token_after_the_back_off() -> None:
    session = connected()
    lost = session.step(LinkLost(1, Trouble.LINK, "reset"), 10.0)
    assert lost == [Moved(State.CONNECTED, State.RECONNECTING, "reset", wait=1.5)]
    assert session.deadline == 11.5
    assert session.step(Tick(), 11.4) == []
    assert rest(session.step(Tick(), 11.5)) == [dial(2)]


def test_tries_within_a_second_after_a_healthy_link() -> None:
    session = connected()
    session.step(LinkLost(1, Trouble.NETWORK, "reset"), 31.0)
    assert session.deadline is not None
    assert session.deadline <= 32.0


def test_links_that_die_young_are_dialled_ever_more_slowly_but_never_given_up() -> None:
    session, now, waits = connected(), 0.0, []
    for link in range(1, 9):
        now += 1.0
        session.step(LinkLost(link, Trouble.LINK, "reset"), now)
        assert session.state is State.RECONNECTING
        assert session.deadline is not None
        waits.append(session.deadline - now)
        now = session.deadline
        session.step(Tick(), now)
        session.step(LinkOpened(link + 1), now)
    assert waits == pytest.approx([1.5, 3.0, 4.5, 6.0, 7.5, 7.5, 7.5, 7.5])


def test_five_failed_dials_in_a_row_ask_for_credentials_and_wait_long() -> None:
    session, now = new(), 0.0
    session.step(Start(), now)
    session.step(TokenReady(), now)
    for link in range(1, 5):
        session.step(LinkLost(link, Trouble.NETWORK, "refused"), now)
        assert session.state is State.RECONNECTING
        assert session.deadline is not None
        now = session.deadline
        assert rest(session.step(Tick(), now)) == [dial(link + 1)]
    actions = session.step(LinkLost(5, Trouble.NETWORK, "refused"), now)
    assert moves(actions) == [State.FAILED]
    assert rest(actions) == [AskCredentials("refused")]
    assert session.deadline == now + 225.0
    session.step(Tick(), now + 225.0)
    assert session.state is State.RECONNECTING
    assert session.deadline == now + 225.0
    assert rest(session.step(Tick(), now + 225.0)) == [FetchToken()]


def test_what_this_machine_lacks_is_tried_again_soon_and_never_fails_an_account() -> None:
    session, now = new(), 0.0
    session.step(Start(), now)
    assert rest(session.step(TokenFailed("no descriptor", Trouble.LOCAL), now)) == []
    assert session.deadline == now + 0.5  # no platform was asked, so none waits a minute
    now = session.deadline
    assert rest(session.step(Tick(), now)) == [FetchToken()]
    session.step(TokenReady(), now)
    for link in range(1, 21):
        session.step(LinkLost(link, Trouble.LOCAL, "no descriptor"), now)
        assert session.state is State.RECONNECTING
        assert session.deadline is not None
        assert session.deadline <= now + 10.0
        now = session.deadline
        assert rest(session.step(Tick(), now)) == [dial(link + 1)]


def test_a_registered_link_ends_the_row_of_failures() -> None:
    session, now = new(), 0.0
    session.step(Start(), now)
    session.step(TokenReady(), now)
    link = 1
    for _ in range(3):
        for _ in range(4):
            session.step(LinkLost(link, Trouble.NETWORK, "refused"), now)
            assert session.deadline is not None
            now, link = session.deadline, link + 1
            session.step(Tick(), now)
        session.step(LinkOpened(link), now)
        now += 100.0
        session.step(LinkLost(link, Trouble.LINK, "reset"), now)
        assert session.deadline is not None
        now, link = session.deadline, link + 1
        session.step(Tick(), now)
    assert session.state is State.CONNECTING


def test_a_refused_token_is_replaced_once_and_then_the_account_has_failed() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenReady(), 0.0)
    assert session.step(LinkRefused(1, "token", "401"), 0.0) == [FetchToken()]
    assert session.step(TokenReady(), 0.0) == [dial(2)]
    actions = session.step(LinkRefused(2, "token", "401"), 0.0)
    assert moves(actions) == [State.FAILED]
    assert rest(actions) == [AskCredentials("401")]


def test_too_many_links_is_no_reason_to_fight() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenReady(), 0.0)
    assert moves(session.step(LinkRefused(1, "limit", "connect limit"), 0.0)) == [State.KICKED]
    assert session.deadline is None


def test_a_kick_ends_the_link_and_nothing_is_tried_until_the_user_says_so() -> None:
    session = connected()
    actions = session.step(Kicked(1, "another login"), 5.0)
    assert actions == [
        CloseLink(1),
        Moved(State.CONNECTED, State.KICKED, "another login"),
    ]
    assert session.deadline is None
    assert session.step(Tick(), 1e9) == []
    assert rest(session.step(Start(), 1e9)) == [FetchToken()]


def test_a_human_who_is_asked_for_after_a_kick_is_waited_for_later() -> None:
    session = connected(token_refresh=60.0)
    assert rest(session.step(Tick(), 70.0)) == [FetchToken()]
    session.step(Kicked(1, "session removed"), 71.0)
    asked = session.step(TokenFailed("slider", human=True), 72.0)
    assert asked == [AskCredentials("slider", human=True, url=None)]
    assert session.state is State.KICKED
    assert moves(session.step(Start(), 73.0)) == [State.NEEDS_LOGIN]


def test_a_token_call_that_a_kick_overtakes_may_end_after_the_user_has_started_again() -> None:
    session = connected(token_refresh=60.0)
    session.step(Tick(), 70.0)
    session.step(Kicked(1, "session removed"), 71.0)
    assert rest(session.step(Start(), 72.0)) == []
    assert rest(session.step(TokenReady(), 73.0)) == [dial(2)]


def test_a_platform_that_asks_for_a_human_is_left_alone() -> None:
    session = new()
    session.step(Start(), 0.0)
    actions = session.step(TokenFailed("validate", human=True, url="https://x.invalid/"), 0.0)
    assert moves(actions) == [State.NEEDS_LOGIN]
    assert rest(actions) == [AskCredentials("validate", human=True, url="https://x.invalid/")]
    assert session.deadline is None
    assert rest(session.step(NewCredentials(), 100.0)) == [FetchToken()]


@pytest.mark.parametrize("trouble", [Trouble.NETWORK, Trouble.OTHER])
def test_an_endpoint_that_gives_no_token_is_asked_once_in_one_to_two_minutes(
    trouble: Trouble,
) -> None:
    session, calls = connected(), []
    for _ in range(60):
        assert session.deadline is not None
        calls.append(session.deadline)
        assert session.step(Tick(), session.deadline) == [FetchToken()]
        assert session.step(TokenFailed("no", trouble), calls[-1] + 1.0) == []
    waits = [later - earlier for earlier, later in itertools.pairwise(calls)]
    assert all(60.0 <= wait <= 121.0 for wait in waits)
    assert (session.state, session.link) == (State.CONNECTED, 1)


def test_a_refused_token_call_is_not_repeated_within_a_minute() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenFailed("FAIL_SYS_TRAFFIC_LIMIT"), 1.0)
    assert (session.state, session.deadline) == (State.RECONNECTING, 60.0)


def test_an_endpoint_that_was_not_reached_is_tried_again_by_its_back_off() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenFailed("refused", Trouble.NETWORK), 1.0)
    assert (session.state, session.deadline) == (State.RECONNECTING, 6.0)


def test_a_kick_while_draining_closes_the_link_and_waits_for_the_handlers() -> None:
    session = connected()
    session.step(Stop(), 1.0)
    assert session.step(Kicked(1, "another login"), 1.0) == [CloseLink(1)]
    assert moves(session.step(Drained(), 2.0)) == [State.CLOSED]


def test_a_closed_session_wants_nothing_more() -> None:
    session = connected()
    session.step(LinkLost(1, Trouble.LINK, "reset"), 1.0)
    session.step(Stop(), 1.0)
    assert (session.state, session.deadline) == (State.CLOSED, None)


def test_stopping_drains_before_the_link_is_closed() -> None:
    session = connected()
    assert moves(session.step(Stop(), 1.0)) == [State.DRAINING]
    assert session.step(Drained(), 2.0) == [
        CloseLink(1),
        Moved(State.DRAINING, State.CLOSED, "drained"),
    ]


def test_stopping_while_dialling_closes_what_is_being_opened() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenReady(), 0.0)
    assert session.step(Stop(), 0.0) == [
        CloseLink(1),
        Moved(State.CONNECTING, State.CLOSED, "stopped"),
    ]
    assert session.step(LinkOpened(1), 1.0) == []


def test_news_of_a_link_that_is_not_ours_any_more_changes_nothing() -> None:
    session = connected()
    for event in (
        LinkOpened(7),
        LinkLost(7, Trouble.LINK, "late"),
        LinkRefused(7, "token", "late"),
        Kicked(7, "late"),
    ):
        assert session.step(event, 1.0) == []
    assert session.state is State.CONNECTED


def test_a_pause_closes_the_link_and_the_user_ends_it() -> None:
    session = connected()
    assert rest(session.step(Pause(), 1.0)) == [CloseLink(1)]
    assert session.state is State.DISCONNECTED
    for event in (Tick(), LinkLost(1, Trouble.LINK, "late"), Pause()):
        assert session.step(event, 1000.0) == []
    assert session.deadline is None
    assert rest(session.step(Start(), 1000.0)) == [dial(2)]  # the token is good still


def test_a_pause_ends_a_dial_and_a_wait() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(Pause(), 0.0)
    assert rest(session.step(Start(), 0.0)) == [FetchToken()]  # the first one was given up
    session.step(TokenReady(), 0.0)
    assert rest(session.step(Pause(), 0.0)) == [CloseLink(1)]
    session.step(Start(), 0.0)
    session.step(LinkLost(2, Trouble.NETWORK, "refused"), 0.0)
    assert session.state is State.RECONNECTING
    session.step(Pause(), 0.0)
    assert session.deadline is None


def test_a_pause_does_not_answer_for_the_human_that_the_platform_asked_for() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenFailed("slider", human=True), 0.0)
    session.step(Pause(), 1.0)
    assert moves(session.step(Start(), 2.0)) == [State.NEEDS_LOGIN]
    session.step(Pause(), 3.0)
    assert session.step(NewCredentials(), 4.0) == []
    assert rest(session.step(Start(), 5.0)) == [FetchToken()]


@pytest.mark.parametrize("answer", [TokenReady(), TokenFailed("no")])
def test_a_token_call_that_a_kick_overtakes_is_not_waited_for_twice(answer: Event) -> None:
    session = connected()
    due = session.deadline
    assert due is not None
    assert session.step(Tick(), due) == [FetchToken()]
    session.step(Kicked(1, "another login"), due)
    assert session.step(answer, due) == []
    again = rest(session.step(Start(), due))
    assert again == [dial(2) if answer == TokenReady() else FetchToken()]


def test_every_state_can_be_closed_and_no_state_is_out_of_the_map() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {state for known in TRANSITIONS.values() for to in known.values() for state in to}
    assert reached == set(State)
    for state, known in TRANSITIONS.items():
        if state not in (State.CLOSED, State.DRAINING):
            assert known[Stop] <= {State.DRAINING, State.CLOSED}


def test_a_move_off_the_map_is_a_bug_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSITIONS[State.DISCONNECTED], Start, frozenset({State.CLOSED}))
    with pytest.raises(StateError, match="DISCONNECTED may not become CONNECTING"):
        new().step(Start(), 0.0)


@pytest.mark.parametrize(
    ("trouble", "bounds"),
    [
        (Trouble.LINK, [3, 6, 9, 12, 15, 15, 15]),
        (Trouble.NETWORK, [10, 20, 30, 40, 50, 60, 60]),
        (Trouble.OTHER, [5, 10, 15, 20, 25, 30, 30]),
        (Trouble.LOCAL, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_back_off_bounds_grow_by_class_and_stop_growing(
    trouble: Trouble, bounds: list[float]
) -> None:
    assert [bound(trouble, failures) for failures in range(1, 8)] == bounds


class AnyHistory(RuleBasedStateMachine):
    """Events in any order, true or stale, keep the promises of a session."""

    @initialize(dice=st.lists(st.floats(0.0, 0.999), min_size=1, max_size=20))
    def begin(self, dice: list[float]) -> None:
        self.now = 0.0
        self.session = Session(Settings(), itertools.cycle(dice).__next__, itertools.count(1))
        self.dialled: list[int] = []
        self.fetching = self.human = False

    def tell(self, event: Event) -> None:
        before = self.session.state
        if isinstance(event, TokenReady | TokenFailed):
            self.fetching = False
        if isinstance(event, TokenReady | NewCredentials):
            self.human = False
        if isinstance(event, Pause):
            self.fetching = False  # the driver gives it up
        for action in self.session.step(event, self.now):
            if isinstance(action, Dial):
                assert action.link not in self.dialled
                self.dialled.append(action.link)
            elif isinstance(action, (CloseLink, Resume, RetireLink)):
                assert action.link in self.dialled
            elif isinstance(action, Moved) and action.wait is not None:
                assert 0.0 <= action.wait <= 300.0
            elif isinstance(action, FetchToken):
                assert before not in (State.CLOSED, State.DRAINING)
                assert not self.fetching or isinstance(event, NewCredentials)
                self.fetching = True
            elif isinstance(action, AskCredentials):
                self.human |= action.human
        allowed = TRANSITIONS[before].get(type(event), frozenset({before}))
        assert self.session.state in allowed

    @rule()
    def start(self) -> None:
        self.tell(Start())

    @precondition(lambda self: self.session.deadline is not None)
    @rule()
    def wait(self) -> None:
        self.now = max(self.now, self.session.deadline)
        self.tell(Tick())

    @rule(seconds=st.floats(0.0, 100.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Tick())

    @precondition(lambda self: self.fetching)
    @rule(lifetime=st.none() | st.floats(1.0, 1e6))
    def token(self, lifetime: float | None) -> None:
        self.tell(TokenReady(lifetime))

    @precondition(lambda self: self.fetching)
    @rule(human=st.booleans(), trouble=st.sampled_from(Trouble))
    def no_token(self, human: bool, trouble: Trouble) -> None:
        self.tell(TokenFailed("no", trouble, human))

    @precondition(lambda self: self.dialled)
    @rule(data=st.data())
    def link_news(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.dialled))
        trouble = data.draw(st.sampled_from(Trouble))
        error = data.draw(st.sampled_from(["token", "limit", "server"]))
        deaf = data.draw(st.booleans())
        self.tell(
            data.draw(
                st.sampled_from(
                    [
                        LinkOpened(link),
                        LinkDeaf(link),
                        LinkLost(link, trouble, "lost", deaf),
                        LinkRefused(link, error, "no"),
                        Kicked(link, "kicked"),
                    ]
                )
            )
        )

    @rule()
    def credentials(self) -> None:
        self.tell(NewCredentials())

    @rule()
    def pause(self) -> None:
        self.tell(Pause())

    @rule(event=st.sampled_from([Stop(), Drained()]))
    def stop(self, event: Event) -> None:
        self.tell(event)

    @invariant()
    def waiting_states_have_a_deadline(self) -> None:
        if self.session.state in (State.RECONNECTING, State.FAILED):
            assert self.session.deadline is not None

    @invariant()
    def a_connected_session_renews_its_token(self) -> None:
        if self.session.state is State.CONNECTED and self.session.deadline is None:
            assert self.fetching or self.human

    @invariant()
    def a_connecting_session_waits_for_an_answer(self) -> None:
        if self.session.state is State.CONNECTING:
            assert self.fetching or self.session.dialling is not None

    @invariant()
    def connected_means_a_link(self) -> None:
        assert self.session.state is not State.CONNECTED or self.session.link is not None

    @invariant()
    def states_without_links_hold_none(self) -> None:
        if self.session.state in RESTING:
            assert self.session.link is None
            assert self.session.dialling is None
        if self.session.state in (State.CLOSED, State.KICKED):
            assert self.session.links == []

    @invariant()
    def a_session_that_connects_waits_for_something(self) -> None:
        if self.session.state is State.CONNECTING:
            assert self.fetching or self.session.dialling is not None


AnyHistory.TestCase.settings = hypothesis_settings(max_examples=300)
TestAnyHistory = AnyHistory.TestCase
