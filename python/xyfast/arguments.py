"""What users give, checked when they give it: what is wrong is named and never shown."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from xyfast.errors import ConfigError

__all__ = ["check_numbers", "must_be", "must_be_text", "must_have"]

_MOST = 2**63 - 1  # what SQLite and the Rust module can count


def must_be(kind: type | tuple[type, ...], what: str, /, **given: object) -> None:
    """Raise `ConfigError` naming the one that is not of ``kind``, ``what`` in words.

    A bool is no number here.
    """
    for name, value in given.items():
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(f"{name} must be {what}, not {_named(value)}")


def must_be_text(**given: object) -> None:
    """Raise `ConfigError` naming the one that is no str, is empty or is not Unicode."""
    must_be(str, "a str", **given)
    for name, value in given.items():
        if not value:
            raise ConfigError(f"{name} is empty")
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{name} has a lone surrogate at {error.start}") from None


def must_have(method: str, what: str, /, **given: object) -> None:
    """Raise `ConfigError` naming the one that has no such method, and is not None."""
    for name, value in given.items():
        if value is not None and not callable(getattr(value, method, None)):
            raise ConfigError(f"{name} must be {what}, not {_named(value)}")


def check_numbers(given: Any, /, *, may_be_zero: Collection[str] = ()) -> None:
    """Raise `ConfigError` naming the first int or float of a dataclass that is out of range.

    Each is finite and above zero, or zero or more if ``may_be_zero`` has its name.
    """
    for each in fields(given):
        if each.type not in ("int", "float"):
            continue
        name, value = f"{type(given).__name__}.{each.name}", getattr(given, each.name)
        whole = each.type == "int"
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            kind = "a whole number" if whole else "a number"
            raise ConfigError(f"{name} must be {kind}, not {value!r}")
        if not value >= 0 or (value == 0 and each.name not in may_be_zero):
            least = "zero or more" if each.name in may_be_zero else "above zero"
            raise ConfigError(f"{name} must be {least}, not {value!r}")
        if value > (_MOST if whole else sys.float_info.max):
            raise ConfigError(f"{name} is too large")


def _named(value: object) -> str:
    return "None" if value is None else type(value).__name__
