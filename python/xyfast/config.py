"""Every number of the client in one frozen, checked `Settings`."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from os import PathLike

from xyfast.account import make_proxy
from xyfast.arguments import check_numbers, must_be
from xyfast.errors import ConfigError
from xyfast.secret import Secret
from xyfast.tables import PREFIX, Layers, read_config

__all__ = [
    "LOOK_BACK",
    "OTHER_VARIABLES",
    "SLACK",
    "Settings",
    "address_of",
    "is_loopback",
    "way",
]

_WEB_IM = "wss://wss-goofish.dingtalk.com/"
_MTOP = "https://h5api.m.goofish.com/h5"
_ROOTS = {"path": True, "example": "company.pem"}
_PROXY = {"example": "socks5://127.0.0.1:1080"}
_STATUS = {"example": "127.0.0.1:8787"}
_STATUS_TOKEN = {"example": ""}  # refused, with how to make one
_LEAST_TOKEN = 16
_PORTS = {"ws": 80, "http": 80}  # where none is named; others have that of TLS
_MAY_BE_ZERO = ("handler_retries", "blocked_after")

OTHER_VARIABLES = (
    "XYFAST_CONFIG",
    "XYFAST_RETENTION_",
    "XYFAST_SECRETS_",
    "XYFAST_SECRETS_KEY",
    "XYFAST_SIMD",
    "XYFAST_STORE",
)
"""Variables, and beginnings of some, that are no fields of `Settings`."""

SLACK = 2_000
"""Milliseconds by which the times of one server may differ: its nodes have clocks of their own."""

LOOK_BACK = 600_000
"""Milliseconds before the position up to which an account has all, from which on a new run looks
for what was missed: the one before it may have ended before it had looked after a link that died
unnoticed, or for a message that was announced. Stores forget last what was handled there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a client does by default, and where it connects to.

    Durations are seconds and sizes bytes, unless a field says otherwise. A value out of range
    raises `ConfigError` naming its field.

    >>> Settings(heartbeat=10.0).heartbeat
    10.0
    """

    # Where to connect
    url: str = _WEB_IM
    """WebSocket address. ``ws://`` is taken for loopback hosts only."""
    token_url: str = _MTOP
    """Base of the HTTP calls; ``http://`` is taken for loopback hosts only."""
    allow_plain: bool = False
    """Take ``ws://`` and ``http://`` to other hosts too: cookies and tokens go out in clear."""
    roots: str | None = field(default=None, metadata=_ROOTS)
    """Path of a PEM file with certificate authorities to trust beside the system's. It is read
    when a client is made; one that cannot be used is a `ConfigError` then."""
    proxy: str | Secret | None = field(default=None, metadata=_PROXY)
    """What links and token calls go through: ``http://``, ``socks5://`` or ``socks5h://``, then
    ``user:password@`` if needed, host and port. Accounts may have their own, or none. Variables
    such as ``HTTPS_PROXY`` are not read."""

    # Links
    heartbeat: float = 15.0
    """Time between two heartbeats of a link."""
    heartbeat_timeout: float = 30.0
    """Most time without a good answer to a heartbeat; then the link is given up."""
    heartbeat_misses: int = 3
    """Heartbeats in a row answered with another code than 200 that end a link."""
    open_timeout: float = 10.0
    """Most time from dialling to the answer to /reg."""
    close_timeout: float = 5.0
    """Most time for the closing handshake, and before it for what is under way on a link that
    another one has replaced."""
    max_message: int = 4 * 1024 * 1024
    """Largest WebSocket message; a larger one ends its link."""
    max_frame: int = 4 * 1024 * 1024
    """Largest WebSocket frame: as large as a message, since a package comes in one frame."""
    mailbox_frames: int = 1024
    """Frames of one link that wait for the event loop before its socket is no longer read."""
    mailbox_bytes: int = 8 * 1024 * 1024
    """The same in bytes."""

    # Tokens
    token_refresh: float = 72_000.0
    """Age at which a token is replaced, give or take 5 %, or earlier if the server says so."""
    token_retry: float = 60.0
    """Least time between two tries to refresh the token of a link that is up."""
    token_timeout: float = 20.0
    """Most time for one HTTP call."""

    # Waits between dials
    healthy_after: float = 30.0
    """Age from which a link was healthy when it ends: the back-off starts anew."""
    first_retry: float = 1.0
    """Bound of the wait after a healthy link was lost."""
    backoff_scale: float = 1.0
    """Factor on every back-off bound; tests and demos shorten their waits with it."""
    dial_rate: float = 200.0
    """New links a second to one endpoint, over all accounts and clients of the process. While
    the endpoint is down one of them tries at a time. The strictest client's pace counts."""
    dial_burst: int = 20
    """New links that may go out at once after a quiet time."""
    token_rate: float = 20.0
    """Token calls a second, likewise; at most as many are under way at once."""
    token_burst: int = 20
    """Token calls that may go out at once after a quiet time."""
    max_failures: int = 5
    """Failed dials in a row before credentials are asked for."""
    failed_wait: float = 300.0
    """Bound of the wait in FAILED when no new credentials come; at least half of it."""

    # Requests, sending, and what is known
    request_timeout: float = 20.0
    """Most time for the server's answer to a request."""
    send_timeout: float = 30.0
    """Most time that a message waits for its turn and for a link before it is `NotSent`."""
    send_rate: float = 1.0
    """Messages a second that an account may send in the long run."""
    send_burst: int = 30
    """Messages that an account may send at once after a quiet time."""
    conversation_rate: float = 1.0
    """Messages a second that may go into one conversation in the long run."""
    conversation_burst: int = 5
    """Messages that may go into one conversation at once after a quiet time."""
    history_delay: float = 2.0
    """Time from writing a message without an answer to asking history; then once more."""
    clock_skew: float = 5.0
    """How far apart the server's own times may be when a sent message is looked for."""
    message_expiry: float = 300.0
    """Age on arrival past which a message goes to the handlers of `Expired`."""
    dedup_size: int = 10_000
    """Ids of an account that are known without asking the store."""
    dedup_ttl: float = 3600.0
    """Time for which they are, from the first sight."""

    # What was missed
    replay_wait: float = 0.5
    """Time without a package after which the server's replay is taken to be over."""
    history_pages: int = 20
    """Most pages of 20 messages that are read of one conversation for what was missed."""
    history_conversations: int = 500
    """Most conversations that are looked at for what was missed, not counting those whose last
    message is here."""
    hold_most: float = 30.0
    """Most time for which an account's messages wait while what was missed is fetched."""
    marker_wait: float = 10.0
    """Time within which a message that the server announces is to come by itself."""
    probe_after: float = 60.0
    """Time without a push, or a quarter less, after which the server is asked whether it has what
    the link did not bring; a link that hears nothing is replaced."""
    second_look: float = 90.0
    """Time, or a quarter more, from catching up over a link or from the end of another one to
    comparing with the server's lists again: by then it has given up links that died unnoticed."""

    # Handlers, memory and the store
    max_handlers: int = 100
    """Handlers running at once, over all accounts."""
    handler_timeout: float = 60.0
    """Most time for one run of a handler; then it is cancelled, again and again if it goes on.
    One that blocks the event loop (``time.sleep``) is not: use ``asyncio.to_thread`` for that."""
    handler_retries: int = 2
    """New tries of a handler that failed, 0 for none; then its message is a dead letter."""
    retry_wait: float = 1.0
    """Bound of the wait before the first new try; it doubles with each."""
    backlog: int = 1000
    """Messages in memory, over all accounts; the others wait in the store."""
    backlog_bytes: int = 16 * 1024 * 1024
    """The same in characters of their payloads; one larger message may come on top."""
    backlog_lane: int = 16
    """Messages of one conversation that are taken into memory as they come."""
    commit_batch: int = 256
    """Messages in one transaction of the store; the last frame in it may bring more."""
    outcome_wait: float = 0.05
    """Most time for which the record of a handled message waits to be committed with others; if
    the process is killed meanwhile, the message comes again."""
    intake_bytes: int = 16 * 1024 * 1024
    """Frames, with 1024 beside the text of each, that wait for the store before links are not
    read; if it fails, they are closed."""
    store_retry: float = 1.0
    """Time from a failure of the store to the next try."""
    sweep_every: float = 60.0
    """Time between two rounds in which the store forgets what was kept for long enough."""
    revived_every: float = 2.0
    """Time between two looks for messages that another process lets wait again."""
    measure_every: float = 5.0
    """Time between two looks at how accounts and the client stand, for observers, if any."""
    grace: float = 10.0
    """Time that running handlers get when the client stops, and then a store that fails."""
    blocked_after: float = 1.0
    """Time for which the event loop may stand still before the log says where; 0 for ever. Of
    several clients on one loop the first one's counts."""

    # The status page
    status: str | None = field(default=None, metadata=_STATUS)
    """Host and port, on loopback, at which the client serves its status page; port 0 is any free
    one. Without it there is no page."""
    status_token: str | Secret | None = field(default=None, metadata=_STATUS_TOKEN)
    """What whoever pauses accounts or replays dead letters there has to know: 16 characters or
    more. Without it nobody can."""

    @classmethod
    def load(
        cls,
        path: str | PathLike[str] | None = None,
        /,
        *,
        environ: Mapping[str, str] = os.environ,
        **values: object,
    ) -> Settings:
        """Read settings: the defaults, then a file, then variables, then ``values``.

        What comes later is stronger. The file is TOML with a table ``[settings]``, and may have
        the other sections of a `Config`, which are passed over; its ``roots`` is relative to it.
        The variable of ``heartbeat`` is ``XYFAST_HEARTBEAT``, that of a bool is ``true`` or
        ``false``, an empty one means none where there may be none. Raises `ConfigError` for
        unknown keys and variables, wrong types and values out of range: it names the file or
        variable, the key and the nearest known one.

        >>> Settings.load(environ={"XYFAST_HEARTBEAT": "10"}, grace=5.0).heartbeat
        10.0
        """
        layers = Layers(cls, "settings", PREFIX)
        if path is not None:
            homes = {each.name: "under `[settings]`" for each in fields(cls)}
            layers.take_table(path, read_config(path, homes).get("settings", {}))
        layers.take_variables(environ, OTHER_VARIABLES)
        layers.take_code(values)
        return layers.make()

    def __post_init__(self) -> None:
        self._check_address("url", "ws", "wss")
        self._check_address("token_url", "http", "https")
        if self.proxy is not None:
            object.__setattr__(self, "proxy", make_proxy(self.proxy))
        if not isinstance(self.allow_plain, bool):
            raise ConfigError("Settings.allow_plain must be True or False")
        if self.roots is not None:
            must_be(str, "a str", roots=self.roots)
        if self.status is not None:
            address_of(self.status)
        if self.status_token is not None:
            object.__setattr__(self, "status_token", _token(self.status_token))
        check_numbers(self, may_be_zero=_MAY_BE_ZERO)
        # A look is due at most 2.5 times `second_look` after what it looks for: another one may
        # come first, and each a quarter late. The rest is for the looking.
        if self.marker_wait + 3 * self.second_look > LOOK_BACK / 1000:
            raise ConfigError(
                "Settings.marker_wait and three times Settings.second_look may come to "
                f"{LOOK_BACK // 1000} s: no run looks further back for what the last one left"
            )

    def _check_address(self, name: str, plain: str, safe: str) -> None:
        address = getattr(self, name)
        must_be(str, "a str", **{name: address})
        scheme, host = _split(address)
        if scheme not in (plain, safe) or not host:
            raise ConfigError(
                f"Settings.{name} must start with {safe}:// ({plain}:// for this machine), "
                f"not {address!r}"
            )
        if scheme == plain and not (self.allow_plain or is_loopback(address)):
            raise ConfigError(
                f"Settings.{name} {address!r} would send cookies and tokens in clear; use "
                f"{safe}://, or say allow_plain=True"
            )


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine: ``localhost`` or a loopback address."""
    _, host = _split(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def way(url: str, proxy: str | None) -> str:
    """Where a URL leads, and through which proxy, as the log shows it: hosts and ports alone."""
    return _place(url) if proxy is None else f"{_place(url)} through {_place(proxy)}"


def address_of(status: str) -> tuple[str, int]:
    """Host and port of `Settings.status`; raises `ConfigError` if they are not on loopback."""
    must_be(str, "a str", status=status)
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^:]+)):([0-9]{1,5})", status, re.ASCII)
    if found is None or int(found[3]) > 65_535:
        raise ConfigError(
            f"Settings.status must be host:port, such as 127.0.0.1:8787, not {status!r}"
        )
    host = found[1] or found[2]
    if host == "localhost":
        host = "127.0.0.1"
    try:
        if ipaddress.ip_address(host).is_loopback:
            return host, int(found[3])
    except ValueError:
        pass
    raise ConfigError(
        f"Settings.status {status!r} is not on loopback: the page is not encrypted, and asks "
        f"nobody who they are. Use 127.0.0.1:{found[3]}; from elsewhere it is reached by "
        f"`ssh -L {found[3]}:127.0.0.1:{found[3]} HOST`, or through a reverse proxy that asks"
    )


def _token(given: str | Secret) -> Secret:
    """A token of the status page; what is wrong with it is said and it is not."""
    must_be((str, Secret), "a str", status_token=given)
    token = given if isinstance(given, Secret) else Secret(given)
    if not re.fullmatch(rf"[!-~]{{{_LEAST_TOKEN},}}", token.reveal()):
        raise ConfigError(
            f"Settings.status_token must have {_LEAST_TOKEN} ASCII characters or more, and no "
            'spaces; make one: python -c "import secrets; print(secrets.token_urlsafe())"'
        )
    return token


def _place(url: str) -> str:
    scheme, host = _split(url)
    host = f"[{host}]" if ":" in host else host
    try:
        port = urllib.parse.urlsplit(url).port
    except ValueError:  # no port that there can be
        return host
    return f"{host}:{port or _PORTS.get(scheme, 443)}"


def _split(url: str) -> tuple[str, str]:
    """Scheme and host of a URL, empty where it has none that can be read."""
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError:
        return "", ""
    return parts.scheme, parts.hostname or ""
