"""What the platform's HTTP gateway answers: signatures, logins, the token call."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

from xyfast.testing.faults import Fault
from xyfast.testing.ledger import Call
from xyfast.testing.platform import AccountState, Platform
from xyfast.testing.samples import compact
from xyfast.testing.sync import APP_KEY

__all__ = ["Request", "Response", "answer"]

MTOP_KEY = "34839810"
PUNISH_URL = "https://punish.example.invalid/punish?x5secdata=synthetic"


class Request(NamedTuple):
    """One HTTP request, whole; header names are in lower case."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes


class Response(NamedTuple):
    """One HTTP response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    delay: float = 0.0
    dropped: bool = False
    """Whether the connection is cut instead."""


def answer(platform: Platform, request: Request) -> Response:
    """Answer one call of the gateway."""
    path = urlsplit(request.target).path.strip("/").split("/")
    if len(path) != 3 or path[0] != "h5":
        return Response(404, [], b"")
    cookies = _cookies(request)
    account = platform.accounts.get(cookies.get("unb", ""))
    response = _fault(platform, account)
    code = "HTTP"
    if response is None:
        ret, data, set_cookies = _judge(platform, account, cookies, request, path[1])
        code = ret[0].partition("::")[0]
        text = compact({"api": path[1], "data": data, "ret": ret, "v": path[2]})
        headers = [("content-type", "application/json;charset=UTF-8"), *set_cookies]
        delay = platform.settings.slow if platform.has(Fault.HTTP_SLOW, account) else 0.0
        response = Response(200, headers, text.encode(), delay)
    if account is not None:
        account.ledger.calls.append(Call(path[1], code))
    platform.changes.notify()
    return response


def _fault(platform: Platform, account: AccountState | None) -> Response | None:
    if platform.has(Fault.HTTP_DROPPED, account):
        return Response(0, [], b"", dropped=True)
    if platform.has(Fault.HTTP_ERROR, account):
        return Response(502, [("content-type", "text/html")], b"<html>502 Bad Gateway</html>")
    return None


Verdict = tuple[list[str], dict[str, Any], list[tuple[str, str]]]


def _judge(
    platform: Platform,
    account: AccountState | None,
    cookies: dict[str, str],
    request: Request,
    api: str,
) -> Verdict:
    if account is None:
        return ["FAIL_SYS_SESSION_EXPIRED::Session过期"], {}, []
    token = cookies.get("_m_h5_tk", "").partition("_")[0]
    if not token:
        return ["FAIL_SYS_TOKEN_EMPTY::令牌为空"], {}, _rotate(account)
    if not account.signs(token) or platform.has(Fault.SIGNATURE_STALE, account):
        return ["FAIL_SYS_TOKEN_EXOIRED::令牌过期"], {}, _rotate(account)
    query = _fields(urlsplit(request.target).query)
    data = _data(request, query)
    if not _signed(query, data, token):
        return ["FAIL_SYS_ILLEGAL_REQUEST::非法请求"], {}, []
    expired = platform.has(Fault.SESSION_EXPIRED, account)
    if cookies.get("cookie2") != account.login or expired:
        return ["FAIL_SYS_SESSION_EXPIRED::Session过期"], {}, []
    if platform.has(Fault.RISK_CONTROL, account):
        ret = [
            "FAIL_SYS_USER_VALIDATE::哎哟喂,被挤爆啦,请稍后重试",
            "RGV587_ERROR::SM::哎哟喂,被挤爆啦,请稍后重试",
        ]
        return ret, {"url": PUNISH_URL}, []
    if platform.has(Fault.TRAFFIC_LIMIT, account):
        return ["FAIL_SYS_TRAFFIC_LIMIT::请求过于频繁"], {}, []
    try:
        arguments = json.loads(data)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return ["FAIL_SYS_ILLEGAL_REQUEST::非法请求"], {}, []
    word, result = _call(platform, account, api, arguments)
    return [word], result, []


def _call(
    platform: Platform, account: AccountState, api: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    success = "SUCCESS::调用成功"
    match api:
        case "mtop.taobao.idlemessage.pc.login.token":
            device_id = arguments.get("deviceId")
            if arguments.get("appKey") != APP_KEY or not device_id:
                return "FAIL_SYS_ILLEGAL_REQUEST::非法请求", {}
            token = platform.issue_token(account, str(device_id))
            return success, {
                "accessToken": quote(token, safe=""),
                "accessTokenExpiredTime": str(int(platform.settings.token_life * 1000)),
                "refreshToken": "synthetic",
            }
        case "mtop.taobao.idlemessage.pc.loginuser.get":
            return success, {"userId": account.id, "nick": "测试卖家"}
        case "mtop.taobao.idlemessage.pc.user.query":
            conversation = account.conversations.get(str(arguments.get("sessionId")))
            peer = conversation.peer if conversation is not None else ""
            return success, {"userInfo": {"userId": peer, "nick": "测试买家", "logo": ""}}
        case "mtop.taobao.idle.pc.detail":
            item = str(arguments.get("itemId", ""))
            detail = {"itemId": item, "title": "测试商品", "desc": "synthetic", "soldPrice": "9.90"}
            return success, {"itemDO": detail, "sellerDO": {"sellerId": account.id}}
    return success, {}


def _signed(query: dict[str, str], data: str, token: str) -> bool:
    text = f"{token}&{query.get('t', '')}&{MTOP_KEY}&{data}"
    expected = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return query.get("appKey") == MTOP_KEY and query.get("sign") == expected


def _rotate(account: AccountState) -> list[tuple[str, str]]:
    value = account.new_signing_cookie()
    attributes = "Path=/; Domain=goofish.com; Secure; SameSite=None"
    return [
        ("set-cookie", f"_m_h5_tk={value}; {attributes}"),
        ("set-cookie", f"_m_h5_tk_enc={value[:32]}; {attributes}"),
    ]


def _cookies(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.headers:
        if name == "cookie":
            for part in value.split(";"):
                key, separator, text = part.strip().partition("=")
                if separator:
                    found[key] = text
    return found


def _fields(text: str) -> dict[str, str]:
    parsed = parse_qs(text, keep_blank_values=True)
    return {name: values[0] for name, values in parsed.items()}


def _data(request: Request, query: dict[str, str]) -> str:
    body = _fields(request.body.decode(errors="replace"))
    return body.get("data", query.get("data", ""))
