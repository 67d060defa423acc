"""What users give, checked when they give it: what is wrong is named and never shown."""

from __future__ import annotations

from xyfast.errors import ConfigError

__all__ = ["must_be", "must_be_text", "must_have"]


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


def _named(value: object) -> str:
    return "None" if value is None else type(value).__name__
