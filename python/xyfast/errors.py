"""Every exception of the package, in one tree.

::

    XyfastError
    ├── CodecError (ValueError)
    │   ├── DecodeError               bytes are not what they should be; says where
    │   │   ├── Base64Error           the same from codec.base64 (binascii.Error)
    │   │   ├── DecryptError          the same from decrypt(), with the text users know
    │   │   ├── ExtraData             one value was read, bytes are left
    │   │   ├── FormatError           a byte that starts no value (UnpackException)
    │   │   ├── StackError            lists and maps nested too deeply (UnpackException)
    │   │   ├── TextError             a string is not UTF-8 (UnicodeDecodeError)
    │   │   └── UnhashableKey         a list or map is a key (TypeError)
    │   └── EncodeError               an object has no MessagePack form
    │       ├── UnsupportedType (TypeError)
    │       ├── OutOfRange (OverflowError)
    │       └── LoneSurrogate (UnicodeEncodeError)
    ├── UnpackException
    │   ├── BufferFull                an Unpacker would have to hold more than it may
    │   └── OutOfData                 an Unpacker has no whole value
    ├── ConfigError (ValueError)      an account, option or file is wrong; says which
    ├── StateError (RuntimeError)     our caller did something out of turn
    ├── StoreError                    the inbox cannot be read or written
    │   └── StoreFull                 unhandled messages alone exceed its bounds
    ├── TokenError                    no token; may work later
    │   └── LoginRequired             no token until a human has acted
    └── RequestError
        ├── NotSent                   surely not out; sending again is safe
        ├── SendRefused               answered and refused; the reason is in it
        └── SendUnknown (TimeoutError) out, but no answer came

Cookies, tokens and message texts are never part of a message or attribute here.
"""

from __future__ import annotations

import binascii
from typing import Any

__all__ = [
    "Base64Error",
    "BufferFull",
    "CodecError",
    "ConfigError",
    "DecodeError",
    "DecryptError",
    "EncodeError",
    "ExtraData",
    "FormatError",
    "LoginRequired",
    "LoneSurrogate",
    "NotSent",
    "OutOfData",
    "OutOfRange",
    "RequestError",
    "SendRefused",
    "SendUnknown",
    "StackError",
    "StateError",
    "StoreError",
    "StoreFull",
    "TextError",
    "TokenError",
    "UnhashableKey",
    "UnpackException",
    "UnsupportedType",
    "XyfastError",
]


class XyfastError(Exception):
    """Base of all exceptions that xyfast raises on purpose."""


class CodecError(XyfastError, ValueError):
    """Something cannot be decoded or encoded."""


class DecodeError(CodecError):
    """The bytes are not what they should be.

    ``reason`` is a short stable word (``"truncated"``, ``"format"``, ``"utf8"``,
    ``"key"``, ``"depth"``, ``"base64"``, ``"json"``, ...), ``offset`` the place in
    the decoded bytes (in the text for ``"base64"`` and ``"json"``), counted from 0.
    ``index`` is the place of the payload in its batch or frame, None outside of one.
    """

    # src/py/errors.rs makes what the codec raises without this, from the same attributes.
    def __init__(self, message: str, reason: str = "format", offset: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.offset = offset
        self.index: int | None = None

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.index is None else f"{message} in payload {self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.reason, self.offset), {"index": self.index}


class Base64Error(DecodeError, binascii.Error):
    """Text is not base64; the message is that of ``binascii``."""

    def __init__(self, message: str, reason: str = "base64", offset: int = 0) -> None:
        super().__init__(message, reason, offset)


class DecryptError(DecodeError):
    """`decrypt` failed; the text starts with ``解密失败: `` as users know it."""


class ExtraData(DecodeError):
    """One whole value was read and ``extra`` (bytes) stands behind it.

    ``unpacked`` is the value.
    """

    _MESSAGE = "unpack(b) received extra data."

    def __init__(self, unpacked: object, extra: bytes, offset: int = 0) -> None:
        super().__init__(self._MESSAGE, "extra", offset)
        self.unpacked = unpacked
        self.extra = extra

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.unpacked, self.extra, self.offset)


class UnpackException(XyfastError):
    """Base of the exceptions of unpacking, beside ValueError."""


class BufferFull(UnpackException):
    """An `Unpacker` would have to hold more than ``max_buffer_size`` bytes."""


class OutOfData(UnpackException):
    """An `Unpacker` holds no whole value; feed it and call again."""


class FormatError(DecodeError, UnpackException):
    """A byte stands where a value should start, and no value starts with it."""


class StackError(DecodeError, UnpackException):
    """Lists and maps are nested more deeply than allowed."""


class TextError(DecodeError, UnicodeDecodeError):
    """A string is not UTF-8.

    ``start`` and ``end`` are places in the string. ``object`` is empty, since errors hold
    no texts.
    """

    def __init__(
        self, message: str, reason: str = "utf8", offset: int = 0, start: int = 0, end: int = 0
    ) -> None:
        UnicodeDecodeError.__init__(self, "utf-8", b"", start, end, reason)
        self._message = message
        self.offset = offset
        self.index = None

    def __str__(self) -> str:
        where = "" if self.index is None else f" in payload {self.index}"
        return self._message + where

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self._message, self.reason, self.offset, self.start, self.end)
        return type(self), parts, {"index": self.index}


class UnhashableKey(DecodeError, TypeError):
    """A list or map is the key of a map."""


class EncodeError(CodecError):
    """An object has no MessagePack form, or is nested too deeply, or is too long."""


class UnsupportedType(EncodeError, TypeError):
    """An object is of a type that has no MessagePack form; the message names the type."""


class OutOfRange(EncodeError, OverflowError):
    """A number needs more bits than there is room for."""


class LoneSurrogate(EncodeError, UnicodeEncodeError):
    """A str holds surrogates. They are the ``object``, without the text around them."""


class ConfigError(XyfastError, ValueError):
    """A setting, account or file is wrong; the message names it and says what to do."""


class StateError(XyfastError, RuntimeError):
    """A call came at a moment when it cannot be carried out."""


class StoreError(XyfastError):
    """The inbox cannot be opened, read or written."""


class StoreFull(StoreError):
    """Messages that wait, are being handled or are dead letters alone exceed the bounds."""


class TokenError(XyfastError):
    """The platform gave no token. ``code`` is its `ret` code, or ``"network"``."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class LoginRequired(TokenError):
    """The platform asks for a human. Nothing is tried until new cookies are given.

    ``url`` is the page that the platform wants opened, or None.
    """

    def __init__(self, message: str, code: str = "", url: str | None = None) -> None:
        super().__init__(message, code)
        self.url = url


class RequestError(XyfastError):
    """A request to the server did not end well. ``account_id`` says whose it was."""

    def __init__(self, message: str, *, account_id: str = "") -> None:
        super().__init__(message)
        self.account_id = account_id


class NotSent(RequestError):
    """The request surely did not go out; sending it again is safe."""


class SendRefused(RequestError):
    """The server answered and refused, under whatever code.

    ``code`` is the answer's code, ``reason`` its own words, ``error`` our class of
    it: ``"token"``, ``"limit"``, ``"throttled"``, ``"rejected"`` or ``"server"``.
    """

    def __init__(
        self,
        message: str,
        *,
        account_id: str = "",
        code: int | None = None,
        reason: str = "",
        error: str = "server",
    ) -> None:
        super().__init__(message, account_id=account_id)
        self.code = code
        self.reason = reason
        self.error = error


class SendUnknown(RequestError, TimeoutError):
    """The request went out and no answer came: it may or may not have been carried out."""
