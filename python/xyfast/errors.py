"""Every exception of the package, in one tree.

::

    XyfastError
    ├── CodecError (ValueError)
    │   ├── DecodeError               bytes are not what they should be; says where
    │   │   ├── DecryptError          the same from decrypt(), with the text users know
    │   │   └── ExtraData             one value was read, bytes are left
    │   └── EncodeError               an object has no MessagePack form
    │       ├── UnsupportedType (TypeError)
    │       ├── OutOfRange (OverflowError)
    │       └── LoneSurrogate (UnicodeEncodeError)
    ├── ConfigError (ValueError)      an account, option or file is wrong; says which
    ├── StateError (RuntimeError)     our caller did something out of turn
    ├── ProtocolError                 the server did something out of turn
    ├── StoreError                    the inbox cannot be read or written
    ├── TokenError                    no token; may work later
    │   └── LoginRequired             no token until a human has acted
    └── RequestError
        ├── NotSent                   surely not out; sending again is safe
        ├── SendRefused               answered and refused; the reason is in it
        └── SendUnknown (TimeoutError) out, but no answer came

Cookies, tokens and message texts are never part of a message or attribute here.
"""

from __future__ import annotations

__all__ = [
    "CodecError",
    "ConfigError",
    "DecodeError",
    "DecryptError",
    "EncodeError",
    "ExtraData",
    "LoginRequired",
    "LoneSurrogate",
    "NotSent",
    "OutOfRange",
    "ProtocolError",
    "RequestError",
    "SendRefused",
    "SendUnknown",
    "StateError",
    "StoreError",
    "TokenError",
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
    """

    def __init__(self, message: str, reason: str = "format", offset: int = 0) -> None:
        super().__init__(message)
        self.reason = reason
        self.offset = offset

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str, int]]:
        return type(self), (str(self), self.reason, self.offset)


class DecryptError(DecodeError):
    """`decrypt` failed; the text starts with ``解密失败: `` as users know it."""


class ExtraData(DecodeError):
    """One whole value was read and ``extra`` (bytes) stands behind it.

    ``unpacked`` is the value.
    """

    def __init__(self, unpacked: object, extra: bytes, offset: int = 0) -> None:
        super().__init__("unpack(b) received extra data.", "extra", offset)
        self.unpacked = unpacked
        self.extra = extra

    def __reduce__(self) -> tuple[type[ExtraData], tuple[object, bytes, int]]:  # type: ignore[override]
        return type(self), (self.unpacked, self.extra, self.offset)


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


class ProtocolError(XyfastError):
    """The server's frame or answer is not what the protocol allows."""


class StoreError(XyfastError):
    """The inbox cannot be opened, read or written."""


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
