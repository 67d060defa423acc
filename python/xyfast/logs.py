"""One voice for the log: a constant sentence, and its facts in the text and as fields."""

from __future__ import annotations

import logging

__all__ = ["say"]


def say(
    log: logging.Logger,
    level: int,
    sentence: str,
    /,
    *,
    exc_info: BaseException | None = None,
    **facts: object,
) -> None:
    """Log ``sentence (name=value, ...)``; each fact is an attribute of the record too.

    Facts that are None are left out. Secrets and message texts are no facts.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    shown = ", ".join(f"{name}={value}" for name, value in known.items())
    log.log(level, "%s (%s)", sentence, shown, exc_info=exc_info, extra=known, stacklevel=2)
