"""HTTP/1.1 as far as a status page needs it, and strictly: one request a connection, no bodies."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from xyfast.config import is_loopback

__all__ = ["HEAD_MOST", "Refused", "Request", "Response", "parse", "read", "stream_head"]

HEAD_MOST = 8 * 1024
"""Bytes of a request's head at most."""

_FIELDS = 64
_LINE = re.compile(r"([A-Z]{1,16}) (/[!-~]*) HTTP/([0-9]\.[0-9])")
# The spaces around a value are taken off later: here they would take for ever to be told apart.
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_SAFE = (
    # Nothing of the page is inline, and nothing comes from elsewhere.
    ("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; "
     "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
     "frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
)  # fmt: skip


class Refused(Exception):
    """A request that is not answered as its sender wished; says why, without quoting it."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be answered. ``fields`` have lower-case names; they hold secrets."""

    method: str
    path: tuple[str, ...]
    """What stands between slashes, decoded; ``("",)`` for ``/``."""
    query: Mapping[str, str]
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered: ``content`` is text for people unless ``kind`` says otherwise."""

    status: int
    content: bytes
    kind: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, value: object, status: int = 200, **headers: str) -> Response:
        """``value`` as JSON."""
        return cls(status, json.dumps(value).encode(), "application/json", headers)

    def encode(self) -> bytes:
        """As it goes out."""
        own = {**self.headers, "Content-Type": self.kind, "Content-Length": str(len(self.content))}
        return _head(self.status, own) + self.content


def stream_head() -> bytes:
    """What goes out before server-sent events."""
    return _head(200, {"Content-Type": "text/event-stream"})


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*headers.items(), *_SAFE)]
    return "\r\n".join((*lines, "", "")).encode("ascii")


async def read(reader: asyncio.StreamReader) -> Request | None:
    """Read a request, None if there is none; raises `Refused`.

    ``reader`` must have `HEAD_MOST` as its limit.
    """
    try:
        return parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        raise Refused(431, f"the head has more than {HEAD_MOST} bytes") from None
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise Refused(400, "the head has no end") from None


def parse(head: bytes, /) -> Request:
    """The request of a head with the empty line behind it; raises `Refused`."""
    line, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    found = _LINE.fullmatch(line)
    if found is None:
        raise Refused(400, "the first line is no request")
    if found[3] not in ("1.0", "1.1"):  # some reverse proxies speak the older one
        raise Refused(505, "only HTTP/1.1 is spoken here")
    fields = _fields(lines)
    _check_host(fields.get("host", ""))
    _check_site(fields)
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        raise Refused(413, "no request has a body here")
    try:
        path, _, query = found[2].partition("?")
        parts = tuple(unquote(part, errors="strict") for part in path[1:].split("/"))
        asked = dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=8))
    except ValueError:
        raise Refused(400, "the path cannot be read") from None
    return Request(found[1], parts, asked, fields)


def _fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > _FIELDS:
        raise Refused(431, f"the head has more than {_FIELDS} fields")
    fields: dict[str, str] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise Refused(400, "a line of the head is no field")
        name = found[1].lower()
        if name in fields and name in ("host", "authorization", "content-length"):
            raise Refused(400, f"there is more than one {name}")
        fields[name] = found[2].strip(" \t")
    return fields


def _check_site(fields: Mapping[str, str]) -> None:
    """Nothing for pages of other sites but a link to this one, which opens it in a tab.

    They cannot read answers, but they could have this machine make them, in frames too, and take
    the viewers' places. Browsers say whose page asks, and for what; who else asks says nothing.
    """
    site, wanted = fields.get("sec-fetch-site"), fields.get("sec-fetch-dest")
    if site in ("cross-site", "same-site") and wanted != "document":
        raise Refused(403, "a page of another site asks")


def _check_host(host: str) -> None:
    """Only the names of this machine: a page of another site may have its name lead here."""
    if re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+)(:[0-9]{1,5})?", host) is None:
        raise Refused(400, "Host is missing, or no host")
    if not is_loopback(f"//{host}"):
        raise Refused(
            421, "Host must be localhost or a loopback address; have the reverse proxy set it"
        )
