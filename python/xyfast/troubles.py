"""The one table of errors: what can go wrong, what follows, what is raised and logged.

Links, token calls, answers and kicks name their troubles; a row is found by its name. Each row
has its words on the page of errors, under `Row.page`.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterable
from dataclasses import dataclass

from xyfast import errors
from xyfast.retry import Trouble

__all__ = [
    "ANSWERS",
    "EXCEPTIONS",
    "KICKS",
    "LINKS",
    "TOKENS",
    "Remedy",
    "Row",
    "docs_page",
    "judged",
    "raised",
]


class Remedy(enum.Enum):
    """What follows."""

    NONE = "nothing: it was wanted"
    RETRY = "tried again"
    RENEW = "tried again with a new token"
    CONFIGURE = "fatal configuration: tried again, in vain until it is set right"
    HUMAN = "needs a human: nothing is tried until there are new cookies"
    KICKED = "kicked: nothing is tried until the user wants it"
    CALLER = "raised: the caller decides"


@dataclass(frozen=True, slots=True)
class Row:
    """One trouble."""

    name: str
    remedy: Remedy
    sentence: str
    """What the log says."""
    error: type[errors.XyfastError] | None = None
    """What is raised to whom it concerns."""
    backoff: Trouble = Trouble.OTHER
    """How long the next try waits."""
    codes: tuple[str, ...] = ()
    """What the platform calls it."""

    @property
    def page(self) -> str | None:
        """The page of the documentation that explains it; None for what is no trouble."""
        if self.remedy is Remedy.NONE:
            return None
        anchor = "exceptions" if self.remedy is Remedy.CALLER else self.name.lower()
        return f"reference/errors#{anchor}"


def docs_page(place: str, /) -> str:
    """Name a page such as ``howto/run`` in a message: a wheel has no pages in it."""
    return f"the page {place} of the documentation"


def _table(*rows: Row) -> dict[str, Row]:
    return {row.name: row for row in rows}


_R = Remedy
_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN)
LINKS = _table(
    Row("closed", _R.NONE, "link closed"),
    Row("link", _R.RETRY, "link lost", errors.SendUnknown, Trouble.LINK),
    Row("deaf", _R.RENEW, "link has lost its session", errors.SendUnknown, Trouble.LINK),
    Row("network", _R.RETRY, "server not reached", errors.TokenError, Trouble.NETWORK),
    Row("exhausted", _R.RETRY, "machine is short of something", errors.TokenError, Trouble.LOCAL),
    Row(
        "proxy",
        _R.RETRY,
        "proxy not reached, or server not by it",
        errors.TokenError,
        Trouble.NETWORK,
    ),
    Row("proxy-refused", _R.CONFIGURE, "proxy refuses", errors.TokenError),
    Row("untrusted", _R.CONFIGURE, "server cannot be trusted", errors.TokenError),
    Row("refused", _R.RETRY, "handshake refused", errors.NotSent),
    Row("protocol", _R.RETRY, "server broke the protocol", errors.TokenError),
)
"""How links end, by `Closed.trouble`; token calls fail in the same ways."""

TOKENS = _table(
    Row(
        "signature",
        _R.RETRY,
        "signature refused",
        errors.TokenError,
        codes=(
            "FAIL_SYS_TOKEN_EMPTY",
            "FAIL_SYS_TOKEN_EXOIRED",
            "FAIL_SYS_TOKEN_EXPIRED",
            "FAIL_SYS_TOKEN_ILLEGAL",
        ),
    ),
    Row(
        "login",
        _R.HUMAN,
        "login is over",
        errors.LoginRequired,
        codes=("FAIL_SYS_SESSION_EXPIRED",),
    ),
    Row(
        "verification",
        _R.HUMAN,
        "platform asks for a human",
        errors.LoginRequired,
        codes=(
            "FAIL_SYS_USER_VALIDATE",
            "RGV587_ERROR",
            "RRXVv_ERROR",
            "哎哟喂,被挤爆啦",
            "挤爆",
            "punish",
            "captcha",
            "x5secdata",
            "FAIL_SYS_ILLEGAL_ACCESS",
            "FAIL_BIZ_WUA_IS_MACHINE",
        ),
    ),
    Row("no-token", _R.RETRY, "no token", errors.TokenError),
)
"""How token calls end that were answered."""

ANSWERS = _table(
    Row("token", _R.RENEW, "token refused", errors.SendRefused),
    Row("limit", _R.KICKED, "too many links", errors.SendRefused),
    Row("throttled", _R.RETRY, "asked to wait", errors.SendRefused),
    Row("rejected", _R.RETRY, "request rejected", errors.SendRefused),
    Row("server", _R.RETRY, "server busy or broken", errors.SendRefused),
)
"""Refusals of a registration or request, by `Verdict.error`."""

KICKS = _table(
    Row("kick", _R.KICKED, "another login"),
    Row("session_removed", _R.KICKED, "session removed"),
)
"""How the server ends a session, by `Frame.kind`."""


def _caller(sentence: str, *kinds: type[errors.XyfastError]) -> Iterable[Row]:
    return (Row(kind.__name__, _R.CALLER, sentence, kind) for kind in kinds)


EXCEPTIONS = _table(
    Row("ConfigError", _R.CONFIGURE, "configuration is wrong", errors.ConfigError),
    Row("StoreError", _R.RETRY, "store fails", errors.StoreError),
    Row("StoreFull", _R.RETRY, "store is full", errors.StoreFull),
    Row("unexpected", _R.RETRY, "unexpected exception"),
    *_caller("not sent", errors.NotSent),
    *_caller("unknown whether it was sent", errors.SendUnknown),
    *_caller("call out of turn", errors.StateError),
    *_caller(
        "bytes are not what they should be",
        errors.DecodeError,
        errors.Base64Error,
        errors.DecryptError,
        errors.ExtraData,
        errors.FormatError,
        errors.StackError,
        errors.TextError,
        errors.UnhashableKey,
    ),
    *_caller(
        "object has no MessagePack form",
        errors.EncodeError,
        errors.UnsupportedType,
        errors.OutOfRange,
        errors.LoneSurrogate,
    ),
    *_caller("unpacker holds too much or too little", errors.BufferFull, errors.OutOfData),
    *_caller(
        "base of other exceptions",
        errors.XyfastError,
        errors.CodecError,
        errors.UnpackException,
        errors.RequestError,
    ),
)
"""Exceptions that are no trouble of a link, token call or answer, by their names."""


def judged(ret: str, /) -> Row:
    """The row for what the platform's token call says in ``ret``, which is no success."""
    rows = (TOKENS[name] for name in ("login", "verification", "signature"))
    return next((row for row in rows if any(code in ret for code in row.codes)), TOKENS["no-token"])


def raised(error: BaseException, /) -> Row:
    """The row for an exception that a token call, a dial or a store has raised."""
    match error:
        case errors.LoginRequired():
            row = judged(error.code)
            return row if row.remedy is Remedy.HUMAN else TOKENS["verification"]
        case errors.TokenError():
            return LINKS.get(error.code, TOKENS["no-token"])
        case errors.ConfigError():
            return EXCEPTIONS["ConfigError"]
        case errors.StoreFull():
            return EXCEPTIONS["StoreFull"]
        case errors.StoreError():
            return EXCEPTIONS["StoreError"]
        case OSError() if error.errno in _LACKS:
            return LINKS["exhausted"]
    return EXCEPTIONS["unexpected"]
