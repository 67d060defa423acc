"""The session alone: a link beside another, and what becomes of the one that is replaced."""

from __future__ import annotations

import itertools

import pytest

from sessions import connected, dial, moves, new, rest
from xyfast.events import (
    AskCredentials,
    CloseLink,
    Drained,
    Event,
    FetchToken,
    Kicked,
    LinkDeaf,
    LinkLost,
    LinkOpened,
    LinkRefused,
    Moved,
    Resume,
    RetireLink,
    Start,
    State,
    Stop,
    Tick,
    TokenFailed,
    TokenReady,
)
from xyfast.retry import Trouble
from xyfast.session import Session


def test_a_due_token_is_renewed_beside_the_link_that_lives() -> None:
    session = connected()
    assert session.deadline == 72_000.0
    assert session.step(Tick(), 72_000.0) == [FetchToken()]
    assert session.step(TokenReady(), 72_001.0) == [dial(2)]
    assert session.state is State.CONNECTED
    assert session.step(LinkOpened(2), 72_002.0) == [Resume(2), RetireLink(1)]
    assert session.step(LinkLost(1, Trouble.LINK, "closed"), 72_003.0) == []
    assert (session.state, session.link) == (State.CONNECTED, 2)


def test_a_token_is_renewed_before_the_lifetime_that_the_server_states() -> None:
    session = new()
    session.step(Start(), 0.0)
    session.step(TokenReady(lifetime=1000.0), 0.0)
    session.step(LinkOpened(1), 0.0)
    assert session.deadline == 900.0


def test_a_failed_renewal_keeps_the_link_and_is_tried_again_after_a_minute() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    assert session.step(TokenFailed("down", Trouble.NETWORK), 72_000.0) == []
    assert (session.state, session.deadline) == (State.CONNECTED, 72_090.0)


def test_a_renewal_that_needs_a_human_keeps_the_link_as_long_as_it_lives() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    asked = session.step(TokenFailed("validate", human=True), 72_000.0)
    assert asked == [AskCredentials("validate", human=True)]
    assert (session.state, session.deadline) == (State.CONNECTED, None)
    lost = session.step(LinkLost(1, Trouble.LINK, "reset"), 73_000.0)
    assert moves(lost) == [State.NEEDS_LOGIN]


def test_a_renewal_may_fail_after_the_old_link_has_died() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)  # the token is due; meanwhile the link dies
    session.step(LinkLost(1, Trouble.LINK, "reset"), 72_001.0)
    assert session.deadline is not None
    assert rest(session.step(Tick(), session.deadline)) == [dial(2)]  # with the old token
    asked = session.step(TokenFailed("validate", human=True), 72_002.0)
    assert asked == [AskCredentials("validate", human=True)]
    assert session.state is State.CONNECTING
    assert moves(session.step(LinkLost(2, Trouble.NETWORK, "refused"), 72_003.0)) == [
        State.NEEDS_LOGIN
    ]


def test_the_old_link_may_die_while_the_new_one_is_dialled() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    session.step(TokenReady(), 72_000.0)
    assert moves(session.step(LinkLost(1, Trouble.LINK, "reset"), 72_001.0)) == [State.CONNECTING]
    assert moves(session.step(LinkOpened(2), 72_002.0)) == [State.CONNECTED]


def test_a_deaf_link_is_replaced_with_a_new_token() -> None:
    session = connected()
    session.step(LinkLost(1, Trouble.LINK, "heartbeats answered 401", deaf=True), 10.0)
    assert session.deadline is not None
    assert rest(session.step(Tick(), session.deadline)) == [FetchToken()]


def test_deaf_links_in_a_row_fail_the_account_and_ask_for_a_token_once_a_minute() -> None:
    session, now, calls = connected(), 0.0, []
    for link in range(1, 6):
        now += 45.0  # long enough to look healthy
        session.step(LinkLost(link, Trouble.LINK, "heartbeats answered 401", deaf=True), now)
        if session.state is State.FAILED:
            break
        assert session.deadline is not None
        now = session.deadline
        assert rest(session.step(Tick(), now)) == [FetchToken()]
        calls.append(now)
        session.step(TokenReady(), now)
        session.step(LinkOpened(link + 1), now)
    assert (session.state, len(calls)) == (State.FAILED, 4)
    assert all(later - earlier >= 60.0 for earlier, later in itertools.pairwise([0.0, *calls]))


def test_a_link_that_hears_nothing_is_replaced_beside_itself_with_a_new_token() -> None:
    session = connected()
    assert session.step(LinkDeaf(1), 65.0) == [FetchToken()]
    assert session.step(LinkDeaf(1), 66.0) == []
    assert session.step(TokenReady(), 67.0) == [dial(2)]
    assert session.step(LinkDeaf(1), 68.0) == []
    assert session.step(LinkOpened(2), 69.0) == [Resume(2), RetireLink(1)]
    assert session.step(LinkDeaf(1), 70.0) == []


def test_a_link_that_hears_nothing_soon_after_a_token_call_is_replaced_without_another() -> None:
    session = connected()
    assert session.step(LinkDeaf(1), 59.0) == [dial(2)]
    session.step(LinkLost(2, Trouble.NETWORK, "refused"), 60.0)
    assert (session.state, session.link) == (State.CONNECTED, 1)
    assert session.deadline == 60.0 + 90.0
    assert rest(session.step(Tick(), 150.0)) == [FetchToken()]


def test_a_link_that_hears_nothing_while_a_human_is_asked_for_stays() -> None:
    session = connected()
    session.step(Tick(), 76_000.0)
    session.step(TokenFailed("FAIL_SYS_USER_VALIDATE", human=True), 76_001.0)
    assert session.step(LinkDeaf(1), 76_100.0) == []


def test_a_renewal_may_succeed_after_the_link_has_died_and_goes_on_later() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    session.step(LinkLost(1, Trouble.LINK, "reset"), 72_001.0)
    assert session.step(TokenReady(), 72_001.0) == []
    assert session.deadline is not None
    assert rest(session.step(Tick(), session.deadline)) == [dial(2)]
    session.step(LinkOpened(2), 72_003.0)
    assert session.deadline == 72_001.0 + 72_000.0


def test_a_link_that_is_dialled_with_the_old_token_gives_way_to_one_with_the_new() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    session.step(LinkLost(1, Trouble.LINK, "reset"), 72_001.0)
    assert session.deadline is not None
    session.step(Tick(), session.deadline)
    assert session.dialling == 2
    assert session.step(TokenReady(), 72_003.0) == [CloseLink(2), dial(3)]


def test_a_kick_of_the_link_that_is_being_replaced_is_our_own_doing() -> None:
    session = connected()
    session.step(Tick(), 72_000.0)
    session.step(TokenReady(), 72_000.0)
    assert session.step(Kicked(1, "another login"), 72_000.5) == [
        CloseLink(1),
        Moved(State.CONNECTED, State.CONNECTING, "another login"),
    ]
    assert moves(session.step(LinkOpened(2), 72_001.0)) == [State.CONNECTED]


def replaced() -> Session:
    """Link 2 has just taken the place of link 1, which ends what is under way on it."""
    session = connected()
    session.step(LinkDeaf(1), 59.0)
    assert session.step(LinkOpened(2), 60.0) == [Resume(2), RetireLink(1)]
    assert session.links == [2, 1]
    return session


def test_a_kick_of_the_link_that_was_replaced_is_our_own_doing_too() -> None:
    session = replaced()
    assert session.step(Kicked(1, "another login"), 60.5) == []
    assert session.step(LinkLost(1, Trouble.LINK, "closed"), 60.6) == []
    assert (session.state, session.links) == (State.CONNECTED, [2])


@pytest.mark.parametrize("event", [Kicked(2, "another login"), Stop()])
def test_a_link_that_was_replaced_ends_with_the_account(event: Event) -> None:
    session = replaced()
    actions = session.step(event, 61.0) + session.step(Drained(), 62.0)
    assert [action for action in actions if isinstance(action, CloseLink)] == [
        CloseLink(1),
        CloseLink(2),
    ]
    assert session.links == []


def test_a_link_that_was_replaced_stays_when_its_successor_is_lost() -> None:
    session = replaced()
    assert rest(session.step(LinkLost(2, Trouble.LINK, "reset"), 61.0)) == []
    assert (session.state, session.links) == (State.RECONNECTING, [1])
    session.step(Tick(), session.deadline or 0.0)
    assert moves(session.step(LinkRefused(3, "limit", "connect limit"), 70.0)) == [State.KICKED]
    assert session.links == []


def test_one_link_at_a_time_stays_of_those_that_were_replaced() -> None:
    session = replaced()
    session.step(LinkDeaf(2), 61.0)
    session.step(TokenReady(), 61.0)
    assert session.step(LinkOpened(3), 62.0) == [CloseLink(1), Resume(3), RetireLink(2)]
