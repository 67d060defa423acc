"""Takes secrets out of what is logged: by their values, and by the shape of what stands there.

By value all are found that live as a `Secret`: as they are, percent-encoded, escaped as in JSON
or in a Python literal, in base64, and in up to three of these within each other, base64 once. By
shape found is what is never logged for a good reason: cookies and tokens by their names, headers
with them, device ids, and users with their passwords in URLs.
"""

from __future__ import annotations

import binascii
import json
import logging
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from xyfast.secret import HIDDEN, KNOWN, PERCENT, undone

__all__ = ["Redaction", "redact"]

_MOST = 32_768  # characters of a text that are shown at most
_BEYOND = 8_192  # so many more are looked through: a secret may begin before the cut
_DEPTH = 3  # encodings within each other

# --- by value -----------------------------------------------------------------------------

_HEX4 = rb"[0-9a-fA-F]{4}"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u" + _HEX4 + rb"|x[0-9a-fA-F]{2}|[\"\\/'bfnrt])",
    re.DOTALL,
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")  # a shorter one may be any word
_STANDARD = bytes.maketrans(b"-_", b"+/")


def _unescaped(match: re.Match[bytes]) -> bytes:
    """What an escape stands for: a byte by an x, as in the repr of bytes; else a character."""
    escape = match[0]
    if escape[1:2] == b"x":
        return bytes((int(escape[2:], 16),))
    if escape == b"\\'":
        return b"'"
    try:
        text: str = json.loads(b'"%s"' % escape)
    except ValueError:  # half of a pair, and something else behind it
        return escape
    return text.encode("utf-8", "surrogatepass")


def _from_base64(match: re.Match[bytes]) -> bytes:
    """A run decoded from each of its first four characters on: text may begin at any of them."""
    run = match[0].rstrip(b"=").translate(_STANDARD)
    views = []
    for skip in range(4):
        part = run[skip:]
        if len(part) % 4 == 1:
            part = part[:-1]
        views.append(binascii.a2b_base64(part + b"=" * (-len(part) % 4)))
    return b"\0".join((*views, b""))


class _Encoding(NamedTuple):
    """What is encoded, how it is decoded, and whether what stands around it belongs to it."""

    pattern: re.Pattern[bytes]
    decode: Callable[[re.Match[bytes]], bytes]
    around: bool


_ESCAPES = (_Encoding(PERCENT, undone, around=True), _Encoding(_ESCAPE, _unescaped, around=True))
_ALL = (*_ESCAPES, _Encoding(_BASE64, _from_base64, around=False))


class _Piece(NamedTuple):
    """A part of what was decoded: where it begins, and where it came from."""

    at: int
    start: int
    end: int
    encoded: bool

    def place(self, at: int) -> tuple[int, int]:
        """Where the byte ``at`` came from; all of what was encoded counts as one place."""
        if self.encoded:
            return self.start, self.end
        place = self.start + at - self.at
        return place, place + 1


def _spans(
    data: bytes, depth: int = _DEPTH, encodings: Iterable[_Encoding] = _ALL
) -> list[tuple[int, int]]:
    """Where secrets stand in ``data``, encoded up to ``depth`` times."""
    found = KNOWN.find(data.replace(b"+", b" "))
    if depth:
        for encoding in encodings:
            # What is decoded from base64 is three times as long as it: once is enough.
            found += _within(data, encoding, depth, encodings if encoding.around else _ESCAPES)
    return found


def _within(
    data: bytes, encoding: _Encoding, depth: int, others: Iterable[_Encoding]
) -> list[tuple[int, int]]:
    """Where they stand once one encoding is undone, and then ``others``."""
    view, pieces, end = bytearray(), [], 0
    for match in encoding.pattern.finditer(data):
        if encoding.around and match.start() > end:
            pieces.append(_Piece(len(view), end, match.start(), encoded=False))
            view += data[end : match.start()]
        pieces.append(_Piece(len(view), *match.span(), encoded=True))
        view += encoding.decode(match)
        end = match.end()
    if not pieces:
        return []
    if encoding.around and end < len(data):
        pieces.append(_Piece(len(view), end, len(data), encoded=False))
        view += data[end:]
    found = []
    starts = [piece.at for piece in pieces]
    for start, stop in _spans(bytes(view), depth - 1, others):
        first = pieces[bisect_right(starts, start) - 1].place(start)
        last = pieces[bisect_right(starts, stop - 1) - 1].place(stop - 1)
        found.append((first[0], last[1]))
    return found


def _without(data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """``data`` without what stands there; spans may reach, or be, beyond its end."""
    kept, end = [], 0
    for start, stop in sorted(spans):
        if start >= len(data):
            break
        if start >= end:
            kept += [data[end:start], HIDDEN.encode()]
        end = max(end, stop)
    return b"".join((*kept, data[end:]))


# --- by shape -----------------------------------------------------------------------------

_NAMES = (
    "_m_h5_tk_enc|_m_h5_tk|_m_h5_c|cookie2|sgcookie|_tb_token_|cna|tfstk|x5secdata|x5sec|"
    "access_?token|refresh_?token"
)
# As many escapes as four encodings in JSON take; any number of them would take quadratic time.
_QUOTE = r"""(?:\\{0,16}["']|%22|%27)"""
_SHAPES: Final = (
    # A quoted header value ends at its quote, another one at the end of its line.
    (
        re.compile(
            r"(?<![\w-])((?:proxy-)?authorization|(?:set-)?cookies?)"
            rf"({_QUOTE}?\s*(?:[:=]|(?<=[\"'])\s*,)\s*)(?:({_QUOTE})(?:(?!\3).)+|[^\r\n]+)",
            re.IGNORECASE,
        ),
        rf"\1\2\3{HIDDEN}",
    ),
    (
        re.compile(
            rf"(?<![A-Za-z0-9_])((?:{_NAMES}){_QUOTE}?|(?<=[\"'])token{_QUOTE})"
            rf"(\s*(?:[=:]|%3[AaDd]|(?<=[\"'])\s*,)\s*{_QUOTE}?)[^\s\"'\\;,&<>()\[\]{{}}]+",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
    (
        re.compile(r"((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#'\"<>]+@"),
        rf"\1{HIDDEN}@",
    ),
    (re.compile(r"\b[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}-[0-9]+\b"), HIDDEN),
)


def redact(text: str, /) -> str:
    """Give ``text`` with ``<secret>`` in place of what is known to be one, or looks like one.

    Of a text with more than 32 768 characters the rest is left out. A secret of fewer than six
    bytes is found by its shape only, and base64 of fewer than 16 characters is not looked into.

    >>> redact("GET http://me:synthetic@127.0.0.1/ cookie2=synthetic; a=1")
    'GET http://<secret>@127.0.0.1/ cookie2=<secret>; a=1'
    """
    rest = len(text) - _MOST
    if rest <= 0:
        return _redacted(text, len(text))
    return f"{_redacted(text[: _MOST + _BEYOND], _MOST)}... ({rest} more characters)"


def _redacted(text: str, cut: int) -> str:
    """Look through ``text``; give what becomes of its first ``cut`` characters.

    A secret across the cut is left out as a whole.
    """
    data = _encoded(text)
    if spans := _spans(data):
        shown = _without(data[: len(_encoded(text[:cut]))], spans)
        text, cut = _decoded(_without(data, spans)), len(_decoded(shown))
    for pattern, form in _SHAPES:
        kept, end = [], 0
        for match in pattern.finditer(text):
            if match.start() >= cut:
                break
            kept += [text[end : match.start()], match.expand(form)]
            end = match.end()
        before = "".join(kept)
        text, cut = before + text[end:], len(before) + max(0, cut - end)
    return text[:cut]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


# --- log records --------------------------------------------------------------------------

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_NUMBERS = (int, float, bool, type(None))


class Redaction(logging.Filter):
    """Takes secrets out of log records, for whatever handler and formatter comes after it.

    All loggers of xyfast have it. For those of others put it on a handler:
    ``handler.addFilter(Redaction())``. Of an exception only the text stays, in ``exc_text``;
    attributes that are no text and no number become text. It lets every record pass.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter.filter`."""
        message = _redact_message(record)
        if record.exc_info:
            if not record.exc_text:
                record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        for name, value in record.__dict__.items():
            if name in _STANDARD_FIELDS or type(value) in _NUMBERS:
                continue
            if type(value) is not str or value not in message:
                record.__dict__[name] = redact(_text(value))
        return True


def _text(value: object) -> str:
    """What is shown of a value, whatever it does when it is asked: to log must never fail."""
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__} that cannot be shown>"


def _redact_message(record: logging.LogRecord) -> str:
    """What said nothing secret, and keeps its arguments if they are plain; else only text is left.

    Returns what was found to be clean: the whole message, or nothing of it.
    """
    try:
        message = record.getMessage()
    except Exception:  # logging itself would show the arguments on standard error
        record.msg, record.args = f"{_text(record.msg)} (with arguments that do not fit)", None
        message = record.msg
    shown = redact(message)
    arguments = record.args.values() if isinstance(record.args, dict) else record.args or ()
    if shown != message or not all(type(each) in (str, *_NUMBERS) for each in arguments):
        record.msg, record.args = shown, None
    return message if shown == message else ""
