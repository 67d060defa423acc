"""One voice for the log: a constant sentence, and its facts in the text and as fields."""

from __future__ import annotations

import logging
import traceback

from xyfast.errors import XyfastError
from xyfast.redaction import Redaction

__all__ = ["complain", "logger", "say", "seconds"]

_REDACTION = Redaction()


def logger(name: str, /) -> logging.Logger:
    """The logger of a module, whose records hold no secrets."""
    log = logging.getLogger(name)
    log.addFilter(_REDACTION)
    return log


def say(
    log: logging.Logger,
    level: int,
    sentence: str,
    /,
    *,
    error: BaseException | None = None,
    stack: traceback.StackSummary | None = None,
    **facts: object,
) -> None:
    """Log ``sentence (name=value, ...)``; each fact is an attribute of the record too.

    Facts that are None are left out. Secrets and message texts are no facts; nor are the
    words of a foreign exception, which may quote them: of an ``error`` its class and the
    lines it came through are shown. So are those of a ``stack``.
    """
    if not log.isEnabledFor(level):
        return
    known = {name: value for name, value in facts.items() if value is not None}
    shown = ", ".join(f"{name}={value}" for name, value in known.items())
    where = ""
    if error is not None:
        known["error"] = type(error).__name__
        words = f": {error}" if isinstance(error, XyfastError) else ""
        lines = "".join(traceback.format_tb(error.__traceback__))
        where = f"\n{lines}{type(error).__name__}{words}"
    if stack is not None:
        where = "\n" + "".join(stack.format()).rstrip()
    log.log(level, "%s (%s)%s", sentence, shown, where, extra=known, stacklevel=2)


def complain(
    log: logging.Logger, level: int, sentence: str, account_id: str, error: Exception
) -> None:
    """Log what failed: the words of an error that is ours, the class and lines of another."""
    ours = isinstance(error, XyfastError)
    reason, foreign = (error, None) if ours else (None, error)
    say(log, level, sentence, account=account_id, reason=reason, error=foreign)


def seconds(duration: float) -> str:
    """A duration as the log shows each: with its unit."""
    return f"{duration:.3g} s"
