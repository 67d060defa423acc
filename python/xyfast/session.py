"""The life of one account: `Session.step` is told events and returns actions.

A session never waits, sends, looks at a clock or rolls dice: ``now`` (seconds of a
monotonic clock) and ``dice`` are arguments, `Session.deadline` says when it wants a
`Tick`. The driver performs the actions and turns what happens into events. `TRANSITIONS`
is the whole map: an event that a state does not know is ignored, since events race with closes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xyfast.config import Settings
from xyfast.errors import StateError
from xyfast.events import (
    Action,
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
from xyfast.troubles import ANSWERS, Remedy

__all__ = ["TRANSITIONS", "Session"]

_S = State
TRANSITIONS: dict[State, dict[type[Event], frozenset[State]]] = {
    _S.DISCONNECTED: {
        Start: frozenset({_S.CONNECTING, _S.NEEDS_LOGIN}),
        NewCredentials: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.CONNECTING: {
        TokenReady: frozenset({_S.CONNECTING}),
        TokenFailed: frozenset({_S.CONNECTING, _S.RECONNECTING, _S.FAILED, _S.NEEDS_LOGIN}),
        LinkOpened: frozenset({_S.CONNECTING, _S.CONNECTED}),
        LinkLost: frozenset({_S.CONNECTING, _S.RECONNECTING, _S.FAILED, _S.NEEDS_LOGIN}),
        LinkRefused: frozenset(
            {_S.CONNECTING, _S.RECONNECTING, _S.FAILED, _S.NEEDS_LOGIN, _S.KICKED}
        ),
        Kicked: frozenset({_S.CONNECTING, _S.KICKED}),
        NewCredentials: frozenset({_S.CONNECTING}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.CONNECTED: {
        Tick: frozenset({_S.CONNECTED}),
        TokenReady: frozenset({_S.CONNECTED}),
        TokenFailed: frozenset({_S.CONNECTED}),
        LinkOpened: frozenset({_S.CONNECTED}),
        LinkDeaf: frozenset({_S.CONNECTED}),
        LinkLost: frozenset(
            {_S.CONNECTED, _S.CONNECTING, _S.RECONNECTING, _S.FAILED, _S.NEEDS_LOGIN}
        ),
        LinkRefused: frozenset({_S.CONNECTED}),
        Kicked: frozenset({_S.CONNECTED, _S.CONNECTING, _S.KICKED}),
        NewCredentials: frozenset({_S.CONNECTED}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.DRAINING}),
    },
    _S.RECONNECTING: {
        Tick: frozenset({_S.RECONNECTING, _S.CONNECTING}),
        TokenReady: frozenset({_S.RECONNECTING}),
        TokenFailed: frozenset({_S.RECONNECTING, _S.NEEDS_LOGIN}),
        NewCredentials: frozenset({_S.CONNECTING}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.FAILED: {
        Tick: frozenset({_S.FAILED, _S.RECONNECTING}),
        TokenReady: frozenset({_S.FAILED}),
        TokenFailed: frozenset({_S.FAILED, _S.NEEDS_LOGIN}),
        NewCredentials: frozenset({_S.RECONNECTING}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.NEEDS_LOGIN: {
        NewCredentials: frozenset({_S.CONNECTING}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.KICKED: {
        Start: frozenset({_S.CONNECTING, _S.NEEDS_LOGIN}),
        TokenReady: frozenset({_S.KICKED}),
        TokenFailed: frozenset({_S.KICKED}),
        NewCredentials: frozenset({_S.CONNECTING}),
        Pause: frozenset({_S.DISCONNECTED}),
        Stop: frozenset({_S.CLOSED}),
    },
    _S.DRAINING: {
        LinkLost: frozenset({_S.DRAINING}),
        Kicked: frozenset({_S.DRAINING}),
        Drained: frozenset({_S.CLOSED}),
    },
    _S.CLOSED: {},
}
"""What may follow from each event in each state. An event that is not listed is ignored."""


class Session:
    """State of one account across links.

    ``dice`` gives floats in [0, 1), ``links`` the numbers of new links. `link` is the
    registered link; `dialling` the one being opened, which stands beside it while a token
    is renewed, or a deaf link replaced. When the new one is registered the old one is
    `retiring`: it ends what is under way, and what it tells of itself says nothing.
    """

    def __init__(self, settings: Settings, dice: Callable[[], float], links: Iterator[int]) -> None:
        self.state = State.DISCONNECTED
        self.link: int | None = None
        self.dialling: int | None = None
        self.retiring: int | None = None
        self._settings = settings
        self._dice = dice
        self._actions: list[Action] = []
        self._links = links
        self._wake: float | None = None
        self._has_token = False
        self._fetching = False
        self._token_due = 0.0
        self._not_before = 0.0  # for the next token call, unless a human stands behind it
        self._token_refused = False
        self._needs_human = False
        self._opened_at = 0.0
        self._failures = 0  # in a row, for the back-off; a healthy link ends the row
        self._failed_dials = 0  # in a row, for FAILED; any registered link ends the row
        self._deaf_links = 0  # in a row, for FAILED too: each costs a token call

    @property
    def links(self) -> list[int]:
        """All links that are not known to be over."""
        links = (self.link, self.dialling, self.retiring)
        return [link for link in links if link is not None]

    @property
    def deadline(self) -> float | None:
        """When to call `step` with `Tick`; None for never."""
        if self.state is State.CONNECTED:
            return None if self._fetching or self._needs_human else self._token_due
        return self._wake if self.state in (State.RECONNECTING, State.FAILED) else None

    def step(self, event: Event, now: float) -> list[Action]:
        """Take one event and return what follows, in order."""
        before, allowed = self.state, TRANSITIONS[self.state].get(type(event))
        if allowed is None:
            return []
        match event:
            case Start():
                self._on_start(now)
            case Tick():
                if self.deadline is not None and now >= self.deadline:
                    self._on_deadline(now)
            case TokenReady():
                self._on_token(event, now)
            case TokenFailed():
                self._on_no_token(event, now)
            case LinkOpened():
                self._on_opened(event.link, now)
            case LinkDeaf():
                self._on_deaf(event.link, now)
            case LinkLost():
                self._on_lost(event, now)
            case LinkRefused():
                self._on_refused(event, now)
            case Kicked():
                self._on_kicked(event)
            case NewCredentials():
                self._on_new_credentials(now)
            case Pause():
                self._on_pause()
            case Stop():
                self._close_dialling()
                if before is not State.CONNECTED:
                    self._close_link()
                self._move(State.DRAINING if before is State.CONNECTED else State.CLOSED, "stopped")
            case Drained():
                self._close_link()
                self._move(State.CLOSED, "drained")
        if self.state not in allowed:
            raise StateError(f"{before.name} may not become {self.state.name} on {event!r}")
        actions, self._actions = self._actions, []
        return actions

    @property
    def renewing(self) -> bool:
        """Whether another link is on its way."""
        return self.dialling is not None or self._fetching

    # --- the token ----------------------------------------------------------------

    def _fetch(self, now: float) -> None:
        if not self._fetching:
            self._fetching = True
            self._not_before = now + self._settings.token_retry
            self._actions.append(FetchToken())

    def _on_token(self, event: TokenReady, now: float) -> None:
        age = self._settings.token_refresh * (0.95 + 0.1 * self._dice())
        if event.lifetime is not None:
            age = min(age, 0.9 * event.lifetime)
        self._has_token, self._fetching, self._needs_human = True, False, False
        self._token_due = now + max(age, self._settings.token_retry)
        if self.state in (State.CONNECTING, State.CONNECTED):
            self._close_dialling()  # it was dialled with the token of before
            self._dial()

    def _on_no_token(self, event: TokenFailed, now: float) -> None:
        self._fetching = False
        if event.trouble in (Trouble.NETWORK, Trouble.LOCAL):
            self._not_before = now  # the platform was not asked
        if event.human:
            self._needs_human = True
            if self.link is None and self.dialling is None and self.state is not State.KICKED:
                self._move(State.NEEDS_LOGIN, event.reason)
            self._actions.append(AskCredentials(event.reason, human=True, url=event.url))
        elif self.link is not None or self.dialling is not None:
            self._renew_later(now)
        elif self.state is State.CONNECTING:
            self._dial_failed(event.trouble, event.reason, now)

    def _renew_later(self, now: float) -> None:
        """Keep the link that lives; try again in one to two times the least pause."""
        self._token_due = now + self._settings.token_retry * (1.0 + self._dice())

    # --- links --------------------------------------------------------------------

    def _connect(self, now: float, reason: str) -> None:
        self._move(State.CONNECTING, reason)
        if self._has_token and (self._fetching or now < self._token_due):
            self._dial()
        else:
            self._fetch(now)

    def _dial(self) -> None:
        link = self.dialling = next(self._links)
        policy = self._settings
        self._actions.append(
            Dial(link, policy.heartbeat, policy.heartbeat_timeout, policy.heartbeat_misses)
        )

    def _on_opened(self, link: int, now: float) -> None:
        if link != self.dialling:
            return
        old, self.link, self.dialling = self.link, link, None
        if old is not None:
            self._close_retiring()
            self.retiring = old
        self._opened_at = now
        self._failed_dials, self._token_refused = 0, False
        if self.state is State.CONNECTING:
            self._move(State.CONNECTED, "registered")
        self._actions.append(Resume(link))
        if old is not None:
            self._actions.append(RetireLink(old))

    def _on_deaf(self, link: int, now: float) -> None:
        """Replace it, with a new token unless the one at hand is fresh."""
        if link != self.link or self.dialling is not None or self._fetching or self._needs_human:
            return
        if now < self._not_before:
            self._dial()
        else:
            self._fetch(now)

    def _on_lost(self, event: LinkLost, now: float) -> None:
        if event.link == self.dialling:
            self.dialling = None
            if self.state is State.CONNECTED:
                self._renew_later(now)
            elif self.state is State.CONNECTING:
                self._dial_failed(event.trouble, event.reason, now)
        elif event.link == self.link:
            self.link = None
            if self.state is State.CONNECTED:
                self._link_lost(event, now)
        elif event.link == self.retiring:
            self.retiring = None

    def _link_lost(self, event: LinkLost, now: float) -> None:
        if self.dialling is not None:
            self._move(State.CONNECTING, event.reason)
        elif self._needs_human:
            self._move(State.NEEDS_LOGIN, event.reason)
        elif event.deaf:
            self._has_token = False
            self._failures += 1
            self._deaf_links += 1
            if self._deaf_links >= self._settings.max_failures:
                self._give_up(event.reason, now)
            else:
                self._reconnect(now, bound(event.trouble, self._failures), event.reason)
        elif now - self._opened_at >= self._settings.healthy_after:
            self._failures = self._deaf_links = 0
            self._reconnect(now, self._settings.first_retry, event.reason)
        else:
            self._failures += 1
            self._reconnect(now, bound(event.trouble, self._failures), event.reason)

    def _on_refused(self, event: LinkRefused, now: float) -> None:
        if event.link != self.dialling:
            return
        self.dialling = None
        remedy = ANSWERS[event.error].remedy
        if remedy is Remedy.RENEW:
            self._has_token = False
        if self.state is State.CONNECTED:
            self._renew_later(now)
        elif self._needs_human:
            self._move(State.NEEDS_LOGIN, event.reason)
        elif remedy is Remedy.KICKED:
            self._close_retiring()
            self._move(State.KICKED, event.reason)
        elif remedy is not Remedy.RENEW:
            self._dial_failed(Trouble.OTHER, event.reason, now)
        elif self._token_refused:
            self._give_up(event.reason, now)
        else:
            self._token_refused = True
            self._fetch(now)

    def _on_kicked(self, event: Kicked) -> None:
        if event.link not in (self.link, self.dialling):
            return
        replacing = event.link == self.link and self.dialling is not None
        self._close_link()
        if self.state is State.DRAINING:
            return
        if replacing:
            # Our own new link may be what ended the old one: its registration will tell.
            self._move(State.CONNECTING, event.reason)
            return
        self._close_dialling()
        self._has_token = False
        self._move(State.KICKED, event.reason)

    # --- waiting ------------------------------------------------------------------

    def _on_deadline(self, now: float) -> None:
        if self.state is State.CONNECTED:
            self._fetch(now)
        elif self.state is State.FAILED:
            self._forget_failures()
            self._reconnect(now, 0.0, "waited long enough")
        else:
            self._connect(now, "waited")

    def _dial_failed(self, trouble: Trouble, reason: str, now: float) -> None:
        self._failures += 1
        if trouble is not Trouble.LOCAL:  # new credentials would not help
            self._failed_dials += 1
        if self._needs_human:
            self._move(State.NEEDS_LOGIN, reason)
        elif self._failed_dials >= self._settings.max_failures:
            self._give_up(reason, now)
        else:
            self._reconnect(now, bound(trouble, self._failures), reason)

    def _reconnect(self, now: float, most: float, reason: str) -> None:
        wait = self._dice() * most * self._settings.backoff_scale
        if not self._has_token:
            wait = max(wait, self._not_before - now)
        self._wake = now + wait
        self._move(State.RECONNECTING, reason, wait)

    def _give_up(self, reason: str, now: float) -> None:
        wait = self._settings.failed_wait * (0.5 + 0.5 * self._dice())
        self._wake = now + wait
        self._has_token = False
        self._move(State.FAILED, reason, wait)
        self._actions.append(AskCredentials(reason))

    def _on_new_credentials(self, now: float) -> None:
        self._has_token = self._needs_human = self._fetching = False
        self._not_before = now
        self._forget_failures()
        if self.state is State.DISCONNECTED:
            return
        if self.state is State.FAILED:
            self._reconnect(now, 0.0, "new credentials")
            return
        self._close_dialling()
        if self.state is State.CONNECTED:
            self._fetch(now)
        else:
            self._connect(now, "new credentials")

    # --- what the user wants --------------------------------------------------------

    def _on_start(self, now: float) -> None:
        self._forget_failures()
        if self._needs_human:
            self._move(State.NEEDS_LOGIN, "the platform waits for a human")
        else:
            self._connect(now, "started")

    def _on_pause(self) -> None:
        self._close_dialling()
        self._close_link()
        self._fetching = False  # the driver gives a token call up
        self._move(State.DISCONNECTED, "paused")

    def _forget_failures(self) -> None:
        self._failures = self._failed_dials = self._deaf_links = 0
        self._token_refused = False

    # --- small hands --------------------------------------------------------------

    def _close_dialling(self) -> None:
        if self.dialling is not None:
            self._actions.append(CloseLink(self.dialling))
            self.dialling = None

    def _close_retiring(self) -> None:
        if self.retiring is not None:
            self._actions.append(CloseLink(self.retiring))
            self.retiring = None

    def _close_link(self) -> None:
        self._close_retiring()
        if self.link is not None:
            self._actions.append(CloseLink(self.link))
            self.link = None

    def _move(self, state: State, reason: str, wait: float | None = None) -> None:
        if state is not self.state:
            self._actions.append(Moved(self.state, state, reason, wait))
            self.state = state
