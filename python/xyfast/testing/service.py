"""The IM service on a link: registration, heartbeats, acks, and who answers what."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any
from urllib.parse import unquote

from xyfast.testing.faults import Fault
from xyfast.testing.ledger import Registration
from xyfast.testing.link import Link
from xyfast.testing.platform import AccountState, Grant, Platform
from xyfast.testing.routes import ROUTES, Answer, Context
from xyfast.testing.samples import SUFFIX, compact
from xyfast.testing.settings import OldToken
from xyfast.testing.sync import APP_KEY, Seat, SyncChannel

__all__ = ["Service"]

SEND = "/r/MessageSend/sendByReceiverScope"
POSITION = ("/r/SyncStatus/ackDiff", "/r/SyncStatus/getState")
LISTS = ("/r/Conversation/listNewestPagination", "/r/MessageManager/listUserMessages")
SESSION_GONE = Answer(401, {"code": "4000001", "reason": "token is not found", "scope": "reg"})
TOKEN_UNKNOWN = Answer(401, {"reason": "token is not found"})
THROTTLED = Answer(400, {"code": "400600001", "reason": "synthetic flow control"})
UNKNOWN_PATH = Answer(400, {"reason": "unknown path"})
REFUSED = Answer(400, {"reason": "synthetic refusal"})


class Service:
    """Answers what links ask; the owner of every open `Link`."""

    def __init__(self, platform: Platform) -> None:
        self.links: set[Link] = set()
        """Every connection, from its first byte to its last."""
        self.channels = {a.id: SyncChannel(a, platform) for a in platform.accounts.values()}
        self._platform = platform
        self._settings = platform.settings
        self._loop = asyncio.get_running_loop()
        self._seats: dict[Link, Seat] = {}
        self._beats: dict[Link, float] = {}
        self._sids = itertools.count(1)

    def seats(self, account_id: str | None) -> list[Seat]:
        """Return the registered links of an account, or of all, oldest first."""
        if account_id is not None:
            return list(self.channels[account_id].seats)
        return [seat for channel in self.channels.values() for seat in channel.seats]

    # LinkOwner

    def link_made(self, link: Link) -> None:
        """Take note of a new connection."""
        self.links.add(link)

    def handshake_delay(self) -> float:
        """Return the seconds to wait before a handshake is answered."""
        return self._settings.slow if self._platform.has(Fault.SLOW_HANDSHAKE) else 0.0

    def trickles(self, link: Link) -> bool:
        """Return whether a link's frames are written in small pieces."""
        seat = self._seats.get(link)
        return self._platform.has(Fault.TRICKLE, None if seat is None else seat.account)

    def link_opened(self, link: Link) -> None:
        """Start the clocks that a link lives by."""
        self._beats[link] = self._loop.time()
        if self._settings.heartbeat_timeout is not None:
            link.later(self._settings.heartbeat_timeout, self._check_beat, link)
        if self._settings.link_life is not None:
            link.later(self._settings.link_life, link.close, 1000)

    def link_lost(self, link: Link) -> None:
        """Forget a link."""
        self.links.discard(link)
        self._beats.pop(link, None)
        seat = self._seats.pop(link, None)
        if seat is not None:
            self.channels[seat.account.id].leave(seat)
        self._platform.changes.notify()

    def text_received(self, link: Link, text: str) -> None:
        """Take one frame: an ack or answer is noted, a request is answered."""
        seat = self._seats.get(link)
        if seat is not None:
            seat.account.ledger.received.append(text)
        match _parse(text):
            case {"lwp": str(lwp), "headers": dict(headers), **rest}:
                self._request(link, lwp, headers, rest.get("body"))
            case {"code": 200 | "200", "headers": {"mid": str(mid)}} if seat is not None:
                self.channels[seat.account.id].ack(seat, mid)
            case {"code": int() | str(), "headers": dict()}:
                pass
            case _ if seat is not None:
                seat.account.ledger.invalid += 1
        self._platform.changes.notify()

    # Requests

    def _request(self, link: Link, lwp: str, headers: dict[str, Any], body: Any) -> None:
        fields = {name.lower(): value for name, value in headers.items()}
        mid = str(fields.get("mid", ""))
        if lwp == "/reg":
            self._register(link, mid, fields)
            return
        seat = self._seats.get(link)
        if seat is None or self._session_gone(seat):
            self._answer(link, mid, SESSION_GONE)
            return
        account = seat.account
        if lwp == "/!":
            account.ledger.heartbeats += 1
            self._beats[link] = self._loop.time()
            if not self._has(Fault.HEARTBEAT_UNANSWERED, account):
                self._answer(link, mid, Answer(200, None))
            return
        quiet_until = seat.since + self._settings.quiet_time
        throttled = self._has(Fault.FLOW_CONTROL, account) or (
            lwp in LISTS and self._has(Fault.LISTS_THROTTLED, account)
        )
        if throttled or self._loop.time() < quiet_until:
            self._answer(link, mid, THROTTLED)
            return
        if self._swallows(lwp, account):
            return
        if lwp in POSITION and self._has(Fault.POSITION_REFUSED, account):
            self._answer(link, mid, REFUSED)
            return
        route = ROUTES.get(lwp)
        context = Context(self._platform, self.channels, seat, mid)
        answer = UNKNOWN_PATH if route is None else route(context, body)
        silent = lwp == SEND and self._has(Fault.SEND_UNANSWERED, account)
        if answer.before is not None:
            answer.before()
        if not silent:
            self._answer(link, mid, answer)
        if answer.after is not None:
            answer.after()

    def _register(self, link: Link, mid: str, fields: dict[str, Any]) -> None:
        grant = self._platform.grant(unquote(str(fields.get("token", ""))))
        if grant is None:
            self._answer(link, mid, TOKEN_UNKNOWN)
        elif self._has(Fault.SLOW_REGISTRATION, grant.account):
            link.later(self._settings.slow, self._take_or_refuse, link, mid, fields, grant)
        else:
            self._take_or_refuse(link, mid, fields, grant)

    def _take_or_refuse(self, link: Link, mid: str, fields: dict[str, Any], grant: Grant) -> None:
        refusal = self._refusal(fields, grant)
        record = Registration(str(fields.get("did", "")), 200 if refusal is None else refusal.code)
        grant.account.ledger.registrations.append(record)
        if refusal is None:
            self._take(link, mid, fields, grant)
        else:
            self._answer(link, mid, refusal)
        self._platform.changes.notify()

    def _refusal(self, fields: dict[str, Any], grant: Grant) -> Answer | None:
        account = grant.account
        if not self._platform.valid(grant):
            return TOKEN_UNKNOWN
        if self._has(Fault.REGISTRATION_REFUSED, account):
            return Answer(401, {"reason": "invalid token"})
        if fields.get("did") != grant.device_id or fields.get("app-key") != APP_KEY:
            return Answer(401, {"reason": "device id or appkey is not equal"})
        if self._has(Fault.REGISTRATION_LIMITED, account):
            return Answer(400, {"reason": "connect limit"})
        return None

    def _take(self, link: Link, mid: str, fields: dict[str, Any], grant: Grant) -> None:
        before = self._seats.pop(link, None)
        if before is not None:
            self.channels[before.account.id].leave(before)
        seat = Seat(
            link=link,
            grant=grant,
            sid=f"synthetic-sid-{next(self._sids):04d}",
            ua=str(fields.get("ua", "")),
            since=self._loop.time(),
            tokens_then=self._platform.tokens_issued,
        )
        headers = {
            "sid": seat.sid,
            "reg-sid": f"reg-{seat.sid}",
            "reg-uid": self._settings.registered_as or seat.account.id + SUFFIX,
            "dt": "j",
            "unitName": "synthetic",
        }
        if self._settings.registration_time:
            headers["timestamp"] = str(self._platform.clock())
        self._answer(link, mid, Answer(200, {}), headers)
        self._seats[link] = seat
        self.channels[seat.account.id].register(seat)

    def _answer(
        self, link: Link, mid: str, answer: Answer, extra: dict[str, str] | None = None
    ) -> None:
        headers = {"mid": mid}
        seat = self._seats.get(link)
        if seat is not None:
            headers["sid"] = seat.sid
            headers["server-timestamp"] = str(self._platform.clock())
        headers |= extra or {}
        frame: dict[str, Any] = {"code": answer.code, "headers": headers}
        if answer.body is not None:
            frame["body"] = answer.body
        link.send_text(compact(frame))

    def _swallows(self, lwp: str, account: AccountState) -> bool:
        """Whether a request is neither carried out nor answered."""
        return (
            self._has(Fault.MUTE, account)
            or (lwp == SEND and self._has(Fault.SEND_LOST, account))
            or (lwp in POSITION and self._has(Fault.POSITION_UNANSWERED, account))
        )

    def _session_gone(self, seat: Seat) -> bool:
        if self._has(Fault.UNAUTHORISED, seat.account):
            return True
        if self._settings.old_token is not OldToken.UNAUTHORISED:
            return False
        return self._platform.stale(seat.grant, seat.tokens_then)

    def _has(self, fault: Fault, account: AccountState | None) -> bool:
        return self._platform.has(fault, account)

    def _check_beat(self, link: Link) -> None:
        timeout = self._settings.heartbeat_timeout
        assert timeout is not None
        left = self._beats[link] + timeout - self._loop.time()
        if left <= 0:
            link.close(1000, "no heartbeat")
        else:
            link.later(left, self._check_beat, link)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
