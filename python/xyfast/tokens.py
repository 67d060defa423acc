"""The token that /reg needs, and where it comes from.

`TokenProvider` is the protocol; `PlatformTokens` is the platform's own HTTP call
(``mtop.taobao.idlemessage.pc.login.token`` 1.0): a signed form whose answer also rotates
the account's cookies.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from xyfast._core import post
from xyfast.account import Account, format_cookies
from xyfast.config import Settings, way
from xyfast.errors import LoginRequired, TokenError
from xyfast.redaction import redact
from xyfast.requests import APP_KEY
from xyfast.secret import Secret, reveal
from xyfast.transport import read_roots
from xyfast.troubles import TOKENS, Remedy, judged

__all__ = ["PlatformTokens", "Token", "TokenProvider", "sign"]

T = TypeVar("T")
_API = "mtop.taobao.idlemessage.pc.login.token"
_MTOP_APP_KEY = "34839810"
_TRIES = 5  # in all, while the answers only rotate the signing cookie
_SIGNING_COOKIES = ("_m_h5_tk", "_m_h5_tk_enc", "_m_h5_c")
_ILLEGAL = "FAIL_SYS_TOKEN_ILLEGAL"  # signed anew once
_HUMAN_HINT = (
    "open the message page in the browser the cookies come from, do what it asks, then "
    "give the new cookies; after several failures wait five to ten minutes"
)


@dataclass(frozen=True, slots=True, init=False)
class Token:
    """What /reg is sent with, and how long it lives (seconds; None if not said).

    ``value`` may be given as text, and is a `Secret` from then on.
    """

    value: Secret
    lifetime: float | None

    def __init__(self, value: str | Secret, lifetime: float | None = None) -> None:
        value = value if isinstance(value, Secret) else Secret(value)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "lifetime", lifetime)


@dataclass(frozen=True, slots=True, repr=False)
class _Answer:
    """What the call was answered with. It has no repr: asyncio shows results when it debugs."""

    headers: list[tuple[str, str]]
    body: bytes


class TokenProvider(Protocol):
    """Whoever can get a token for an account."""

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        """Get a token for ``account``, whose ``device_id`` is set.

        ``keep`` is called with the account whenever an answer changed its cookies, also
        when the call fails in the end. Raises `LoginRequired` when only a human can help,
        `TokenError` otherwise.
        """
        ...


def sign(token: str, t: int, data: str) -> str:
    """The signature of an mtop call: hex MD5 over signing token, milliseconds and data.

    ``token`` is the part of cookie ``_m_h5_tk`` before its underscore.

    >>> sign("synthetic", 1767225600000, "{}")
    '792ec1e8ad197c6a9ab0081b7d6b820f'
    """
    text = f"{token}&{t}&{_MTOP_APP_KEY}&{data}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class PlatformTokens:
    """Tokens by the platform's HTTP call, on a thread of its own.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._base = settings.token_url.rstrip("/")
        self._proxy = settings.proxy
        self._clock = clock
        self._post = partial(
            post,
            timeout=settings.token_timeout,
            allow_plain=settings.allow_plain,
            roots=read_roots(settings),
        )

    async def token(self, account: Account, keep: Callable[[Account], None], /) -> Token:
        """See `TokenProvider.token`."""
        device_id = reveal(account.device_id)
        data = json.dumps({"appKey": APP_KEY, "deviceId": device_id}, separators=(",", ":"))
        answer: dict[str, Any] = {}
        resigned = False
        for _ in range(_TRIES):
            try:
                got = await _off_loop(self._request(account, data))
            except TokenError as error:
                server = way(self._base, account.proxy_or(self._proxy))
                raise TokenError(f"token call to {server} failed: {error}", error.code) from None
            set_cookie = [value for name, value in got.headers if name.lower() == "set-cookie"]
            rotated = account.merged(set_cookie, now=self._clock())
            if rotated != account:
                account = rotated
                keep(account)
            answer = _parse(got.body)
            ret = _ret(answer)
            if "SUCCESS" in ret:
                return _granted(answer)
            if _ILLEGAL in ret:
                if resigned:
                    break
                resigned = True
            elif not any(code in ret for code in TOKENS["signature"].codes):
                break
        else:
            left = {k: v for k, v in account.cookies.items() if k not in _SIGNING_COOKIES}
            keep(replace(account, cookies=left))
        raise _refusal(answer)

    def _request(self, account: Account, data: str) -> Callable[[], _Answer]:
        t = int(self._clock() * 1000)
        signing_token = reveal(account.cookies.get("_m_h5_tk", "")).partition("_")[0]
        query = {
            "jsv": "2.7.2",
            "appKey": _MTOP_APP_KEY,
            "t": str(t),
            "sign": sign(signing_token, t, data),
            "v": "1.0",
            "type": "originaljson",
            "accountSite": "xianyu",
            "dataType": "json",
            "timeout": "20000",
            "api": _API,
            "sessionOption": "AutoLoginOnly",
            "spm_cnt": "a21ybx.im.0.0",
        }
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": format_cookies(account.cookies),
            "Origin": "https://www.goofish.com",
            "Referer": "https://www.goofish.com/",
            "User-Agent": account.user_agent,
        }

        def call() -> _Answer:
            _, told, body = self._post(
                f"{self._base}/{_API}/1.0/?{urllib.parse.urlencode(query)}",
                headers=list(headers.items()),
                body=urllib.parse.urlencode({"data": data}).encode(),
                proxy=account.proxy_or(self._proxy),
            )
            return _Answer(told, body)

        return call


async def _off_loop(work: Callable[[], T]) -> T:
    """Run ``work`` on a daemon thread, so that a slow endpoint never delays closing or exit."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(cast("T", result))
        else:
            future.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, name="xyfast-token", daemon=True).start()
    return await future


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        # Risk answers may be HTML pages; their words are judged all the same.
        return {"ret": [body[:4096].decode("utf-8", "replace")], "html": True}
    return answer if isinstance(answer, dict) else {}


def _ret(answer: Mapping[str, Any]) -> str:
    ret = answer.get("ret")
    return " ".join(map(str, ret)) if isinstance(ret, list) else str(ret or "")


def _granted(answer: Mapping[str, Any]) -> Token:
    data = answer.get("data")
    granted = data if isinstance(data, dict) else {}
    value = granted.get("accessToken")
    if not isinstance(value, str) or not value:
        raise TokenError("token call succeeded without an accessToken", "SUCCESS")
    # The page percent-decodes the token before /reg; a plus sign stays.
    return Token(urllib.parse.unquote(value), _lifetime(granted.get("accessTokenExpiredTime")))


def _lifetime(stated: object) -> float | None:
    """Seconds; the platform states milliseconds as a digit string, others state seconds."""
    try:
        number = float(str(stated))
    except ValueError:
        return None
    if not 0 < number < 1e10:
        return None
    return number if number < 1_000_000 else number / 1000


def _refusal(answer: Mapping[str, Any]) -> TokenError:
    ret = _ret(answer)
    data = answer.get("data")
    url = data.get("url") if isinstance(data, dict) else None
    url = url if isinstance(url, str) and url else None
    code = redact(ret[:1000]).partition("::")[0].strip()[:80] or "EMPTY"
    if answer.get("html"):
        code = "HTML"
    row = judged(ret)
    asks = url is not None and any(word in url for word in ("punish", "captcha", "validate"))
    if asks and row.remedy is not Remedy.HUMAN:
        row = TOKENS["verification"]
    if row.remedy is Remedy.HUMAN:
        return LoginRequired(f"the {row.sentence} ({code}): {_HUMAN_HINT}", code, url)
    return TokenError(f"token call refused: {code}", code)
