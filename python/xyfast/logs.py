"""One voice for the log: a constant sentence, and its facts in the text and as fields."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any, TextIO

from xyfast.arguments import must_be
from xyfast.errors import XyfastError
from xyfast.redaction import Redaction, redact
from xyfast.shown import fitting, json_text, printable

__all__ = [
    "JsonFormatter",
    "complain",
    "logger",
    "logging_json",
    "say",
    "seconds",
    "told",
    "words_shown",
]

_SAID = "%s (%s)%s"
_OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
_REDACTION = Redaction()
_showing: list[object] = []  # who wants the words of foreign exceptions


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
    lines it came through are shown, and its words only while `words_shown`. So are the lines
    of a ``stack``.
    """
    if not log.isEnabledFor(level):
        return
    known = {name: value for name, value in facts.items() if value is not None}
    shown = ", ".join(f"{name}={printable(str(value))}" for name, value in known.items())
    where = ""
    if error is not None:
        known["error"] = type(error).__name__
        ours = isinstance(error, XyfastError)
        words = f"{type(error).__name__}: {printable(str(error))}" if ours else told(error)
        where = f"\n{''.join(traceback.format_tb(error.__traceback__))}{words}"
    if stack is not None:
        where = "\n" + "".join(stack.format()).rstrip()
    log.log(level, _SAID, sentence, shown, where, extra=known, stacklevel=2)


@contextlib.contextmanager
def words_shown() -> Iterator[None]:
    """Meanwhile the words of foreign exceptions are shown, without secrets, to who develops a bot.

    They may quote messages.
    """
    who = object()
    _showing.append(who)
    try:
        yield
    finally:
        _showing.remove(who)


def told(error: BaseException, /) -> str:
    """The class of a foreign exception, and its words while `words_shown`."""
    name = type(error).__name__
    if not _showing:
        return name
    try:
        return f"{name}: {printable(redact(str(error)))}"
    except Exception:  # of its own: to log must never fail
        return name


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


class JsonFormatter(logging.Formatter):
    """One line of JSON for each record: ``time`` (UTC), ``level``, ``logger``, ``message``.

    What xyfast says has its bare sentence as ``message`` and each fact as a key; ``trace`` holds
    the lines that an exception came through. Of records of others the attributes that were
    given as ``extra`` are keys. A fact named as one of the five comes as ``fact_time`` and so on.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON text without line breaks."""
        message, trace = self._told(record)
        time = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
        }
        taken = {*line, "trace"}
        for name, value in vars(record).items():
            if name not in _OF_LOGGING:
                line[f"fact_{name}" if name in taken else name] = value
        if trace:
            line["trace"] = trace
        return json_text(line, default=str)

    def _told(self, record: logging.LogRecord) -> tuple[str, str]:
        """Its sentence, and the lines behind it."""
        if record.msg is _SAID and isinstance(record.args, tuple):
            sentence, _, trace = record.args
            return str(sentence), str(trace).strip("\n")
        parts = [record.stack_info or "", record.exc_text or ""]
        if record.exc_info and not record.exc_text:
            parts.append(self.formatException(record.exc_info))
        return record.getMessage(), "\n".join(part for part in parts if part)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic from Python 3.11 on
    """Its lines are JSON whatever the stream does with letters that its encoding lacks."""

    def format(self, record: logging.LogRecord) -> str:
        return fitting(super().format(record), self.stream)


def logging_json(*, level: int = logging.INFO, stream: TextIO | None = None) -> logging.Handler:
    """Write what xyfast logs as lines of JSON, to standard error unless a ``stream`` is given.

    Takes the place of what an earlier call has set up; the root logger's handlers do not get
    these records any more. Returns the handler: it takes filters, which see a record before it
    is written and may change it, and other loggers can use it too.
    """
    must_be(int, "a level of logging", level=level)
    log = logging.getLogger("xyfast")
    for old in log.handlers[:]:
        if isinstance(old.formatter, JsonFormatter):
            log.removeHandler(old)
    handler = _Handler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_REDACTION)  # for other loggers; ours have it
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False
    return handler
