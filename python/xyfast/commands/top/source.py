"""Where a status page is, and what it tells, checked."""

from __future__ import annotations

import json
import re
from functools import cache
from http.client import HTTPConnection, HTTPException
from types import UnionType
from typing import Any, NamedTuple, cast, get_args, get_origin, get_type_hints, is_typeddict
from urllib.parse import urlencode

from xyfast.config import is_loopback
from xyfast.errors import ConfigError
from xyfast.status import Status

__all__ = ["Address", "Unreadable"]

_PATIENCE = 5.0  # seconds without a byte
_MOST = 16 * 1024**2  # bytes of an answer
_NUMBER_MOST = 1e15


class Unreadable(Exception):
    """The status page could not be read; says why, and what to do."""


class Address(NamedTuple):
    """Where a status page is served."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """Read ``host:port``, also as the log has it; raises `ConfigError`."""
        found = re.fullmatch(
            r"(?:http://)?(?:\[([^\[\]/]+)\]|([^\[\]:/]+)):([0-9]{1,5})/?", text, re.ASCII
        )
        if found is None or not 0 < int(found[3]) < 65_536:
            raise ConfigError(f"{text!r} is no host:port of a status page, such as 127.0.0.1:8787")
        where = cls(found[1] or found[2], int(found[3]))
        if not is_loopback(f"//{where}"):
            raise ConfigError(
                f"{text!r} is not on this machine, and a status page answers on its own alone: "
                f"ssh -L {where.port}:127.0.0.1:{where.port} HOST, then xyfast top"
            )
        return where

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def ask(self, query: str = "") -> Status:
        """How the client stands, with the accounts that ``query`` finds; raises `Unreadable`."""
        number, data = self._get(f"/status.json?{urlencode({'query': query})}")
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            raise self._other() from None
        if number != 200:
            reason = found.get("error") if isinstance(found, dict) else None
            if not isinstance(reason, str):
                raise self._other()
            raise Unreadable(f"the status page at {self} answers {number}: {reason}")
        if not _fits(Status, found):
            raise self._other()
        return cast("Status", found)

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = HTTPConnection(self.host, self.port, timeout=_PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            data = answer.read(_MOST + 1)
        except ConnectionRefusedError:
            raise Unreadable(
                f"nothing listens at {self}: start the bot by xyfast run BOT.py --status {self}, "
                "or give the ADDRESS of its status page"
            ) from None
        except TimeoutError:
            raise Unreadable(
                f"{self} does not answer within {_PATIENCE:g} s: the bot may be blocked, "
                "look at its log"
            ) from None
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise Unreadable(
                f"{self} cannot be read ({why}): see whether the bot runs, and its log"
            ) from None
        except HTTPException:
            raise self._other() from None
        finally:
            connection.close()
        if len(data) > _MOST:
            raise self._other()
        return answer.status, data

    def _other(self) -> Unreadable:
        return Unreadable(
            f"what listens at {self} is no status page of this version of xyfast: give the "
            "ADDRESS of one, or the xyfast that the bot runs with"
        )


@cache
def _hints(shape: Any) -> dict[str, Any]:
    return get_type_hints(shape)


def _fits(shape: Any, value: Any) -> bool:
    """Whether JSON has a type, with all that it names; numbers are of a size to reckon with."""
    if is_typeddict(shape):
        return isinstance(value, dict) and all(
            name in value and _fits(hint, value[name]) for name, hint in _hints(shape).items()
        )
    kind, inner = get_origin(shape), get_args(shape)
    if kind is UnionType:
        return any(_fits(each, value) for each in inner)
    if kind is list:
        return isinstance(value, list) and all(_fits(inner[0], each) for each in value)
    if kind is dict:
        return isinstance(value, dict) and all(_fits(inner[1], each) for each in value.values())
    if kind is tuple:
        return (
            isinstance(value, list) and len(value) == len(inner) and all(map(_fits, inner, value))
        )
    if shape in (int, float):
        numbers = (int, float) if shape is float else (int,)
        # True is an int to Python; NaN is not below anything.
        return type(value) in numbers and abs(value) < _NUMBER_MOST
    return isinstance(value, shape)
