"""One account of the user's own: who it is, and the cookies it is logged in with."""

from __future__ import annotations

import email.utils
import os
import random
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from xyfast._core import check_proxy
from xyfast.arguments import must_be
from xyfast.errors import ConfigError
from xyfast.secret import Secret, reveal
from xyfast.tables import PREFIX, hint, quoted, read_text, read_toml

__all__ = [
    "ACCOUNT_KEYS",
    "DEFAULT_USER_AGENT",
    "DIRECT",
    "Account",
    "account_of",
    "check_table",
    "format_cookies",
    "make_device_id",
    "make_proxy",
    "merge_cookies",
    "parse_cookies",
]

DEFAULT_USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/146.0.0.0 Safari/537.36"
)
"""The browser that an account claims to be when it names no other."""

DIRECT = "direct"
"""What an account has as its proxy that goes through none, whatever the settings say."""

T = TypeVar("T")

_HINT = (
    "copy the cookies of the message page (https://www.goofish.com/im) from a request in the "
    "browser's network tools; document.cookie lacks the HttpOnly ones"
)
_LOGIN = "cookie2"
_COOKIES = ("cookies", "cookies_file", "cookies_env")
ACCOUNT_KEYS = {
    **dict.fromkeys((*_COOKIES, "device_id", "user_agent", "name", "proxy"), str),
    "send_cookies": bool,
}
"""The keys of an account's table, and their types."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Account:
    """One account, ready to be given to a client.

    ``cookies`` are the logged-in browser's, by name; they are kept read-only. ``device_id``
    names this installation to the server; None until the client makes one, then it stays the
    same for ever. ``user_agent`` should be that of the browser the cookies come from: the
    platform binds passed checks to it. ``name`` is for people. ``send_cookies`` also puts the
    cookies into the WebSocket handshake, which the server does not ask for. ``proxy`` is what
    links and token calls of this account go through, as in `Settings.proxy`, which counts where
    this is None; ``"direct"`` is no proxy, whatever the settings say. What is secret may be given
    as text, and is a `Secret` from then on.

    Raises `ConfigError` for a value that cannot be used. The ``repr`` shows id and name only.
    """

    cookies: Mapping[str, Secret] = field(hash=False)
    device_id: Secret | None
    user_agent: str
    name: str
    send_cookies: bool
    proxy: Secret | None

    def __init__(
        self,
        cookies: Mapping[str, str | Secret],
        device_id: str | Secret | None = None,
        user_agent: str = DEFAULT_USER_AGENT,
        name: str = "",
        send_cookies: bool = False,
        proxy: str | Secret | None = None,
    ) -> None:
        must_be(Mapping, "a mapping (Account.from_cookies takes text)", cookies=cookies)
        _check_printable("user_agent", user_agent)
        values: dict[str, object] = {
            "cookies": MappingProxyType(_make_cookies(cookies)),
            "device_id": None if device_id is None else _device_id(device_id),
            "user_agent": user_agent,
            "name": name,
            "send_cookies": send_cookies,
            "proxy": None if proxy is None else _proxy(proxy),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def id(self) -> str:
        """The own user id: the value of the cookie ``unb``, digits."""
        return self.cookies["unb"].reveal()

    def proxy_or(self, general: str | Secret | None, /) -> str | None:
        """What this account goes through, ``general`` unless it has its own; None: no proxy."""
        own = reveal(self.proxy)
        return None if own == DIRECT else own or reveal(general)

    def __repr__(self) -> str:
        return f"Account(id={self.id!r}, name={self.name!r})"

    @classmethod
    def from_cookies(
        cls,
        text: str | Secret,
        /,
        *,
        device_id: str | Secret | None = None,
        user_agent: str = DEFAULT_USER_AGENT,
        name: str = "",
        send_cookies: bool = False,
        proxy: str | Secret | None = None,
    ) -> Account:
        """Make an account from a browser's cookie string (``a=1; b=2``).

        Raises `ConfigError` if the string has no usable ``unb``, or another value is wrong.
        """
        must_be((str, Secret), "a cookie string (Account takes a mapping)", cookies=text)
        cookies = parse_cookies(reveal(text))
        return cls(cookies, device_id, user_agent, name, send_cookies, proxy)

    @classmethod
    def from_file(cls, path: str | PathLike[str], /) -> Account:
        """Read an account from a TOML file.

        Its keys are the fields of this class. In place of ``cookies`` (the cookie string) it may
        have ``cookies_file``, a text file with them beside it, or ``cookies_env``, a variable that
        holds them; one of the three is required. Raises `ConfigError` if a file cannot be read,
        the TOML holds an unknown key or a value of a wrong type, or the cookies lack ``unb`` or
        ``cookie2``, without which there is no login; the message names file and key, and shows no
        secret.
        """
        return account_of(read_toml(path), path, "", os.environ)

    def merged(self, set_cookie: Iterable[str], /, *, now: float) -> Account:
        """Give the account with the cookies of an answer merged in, as `merge_cookies` does.

        ``unb`` stays: a server that ends a login may remove it, the account is still the same.
        """
        cookies = merge_cookies(self.cookies, set_cookie, now)
        return Account(
            {**cookies, "unb": self.cookies["unb"]},
            self.device_id,
            self.user_agent,
            self.name,
            self.send_cookies,
            self.proxy,
        )


def check_table(
    table: Mapping[str, Any],
    path: str | PathLike[str],
    before: str,
    homes: Mapping[str, str] | None = None,
) -> None:
    """Raise `ConfigError` if an account's table has other keys or types, or no cookies.

    ``before`` is what stands before a key in the file ``path``, ``homes`` where keys belong that
    others have.
    """
    for key, value in table.items():
        if key not in ACCOUNT_KEYS:
            meant = hint(key, ACCOUNT_KEYS, before, homes)
            raise ConfigError(f"{path}: unknown key {quoted(before + key)}; {meant}")
        if not isinstance(value, ACCOUNT_KEYS[key]):
            want = "true or false" if ACCOUNT_KEYS[key] is bool else "a string"
            raise ConfigError(f"{path}: `{before}{key}` must be {want}")
    given = [f"`{before}{key}`" for key in _COOKIES if key in table]
    if not given:
        raise ConfigError(f"{path}: `{before}cookies` is missing: {_HINT}")
    if len(given) > 1:
        raise ConfigError(f"{path}: give one of {' and '.join(given)}, not more")
    # Who has put cookies there by mistake does not want to see them in a log.
    if not _VARIABLE.fullmatch(table.get("cookies_env", "_")):
        raise ConfigError(
            f"{path}: `{before}cookies_env` must be the name of a variable; cookies themselves "
            f"stand under `{before}cookies`"
        )
    if re.search(r"[;\x00-\x1f\x7f]", table.get("cookies_file", "")):
        raise ConfigError(
            f"{path}: `{before}cookies_file` must be the name of a file; cookies themselves "
            f"stand under `{before}cookies`"
        )
    if table.get("cookies_env", "").startswith(PREFIX):
        raise ConfigError(
            f"{path}: `{before}cookies_env` must not begin with {PREFIX}: such variables are "
            "settings"
        )


def account_of(
    table: Mapping[str, Any],
    path: str | PathLike[str],
    before: str,
    environ: Mapping[str, str],
) -> Account:
    """Make the account that a table in the file ``path`` describes; see `Account.from_file`."""
    check_table(table, path, before)
    values = dict(table)
    where = f"{path}: "
    if (name := values.pop("cookies_file", None)) is not None:
        file = Path(path).parent / name
        where = f"{where}{quoted(str(file))}: "
        try:
            values["cookies"] = read_text(file)
        except OSError as error:
            raise ConfigError(f"{where}cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigError(f"{where}is not UTF-8 text") from None
    elif (name := values.pop("cookies_env", None)) is not None:
        where = f"{where}variable {quoted(name)}: "
        if name not in environ:
            raise ConfigError(f"{where}is not set")
        values["cookies"] = environ[name]
    elif before:
        where = f"{where}`{before}cookies`: "
    try:
        account = Account.from_cookies(values.pop("cookies"), **values)
        if _LOGIN not in account.cookies:  # programs may have tokens from elsewhere
            raise ConfigError(f"the cookies have no `{_LOGIN}`, the login: {_HINT}")
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None
    return account


def parse_cookies(text: str, /) -> dict[str, str]:
    """Split a pasted cookie string (``a=1; b=2``) into names and values.

    Values are kept as they are spelled. Line breaks from pasting and a leading ``Cookie:``
    are dropped; of a name that stands there twice the last counts.
    """
    text = re.sub(r"\A\s*cookie:|[\r\n]", "", text, flags=re.IGNORECASE)
    pairs = (part.strip().partition("=") for part in text.split(";"))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals and name.strip()}


def format_cookies(cookies: Mapping[str, str | Secret], /) -> str:
    """Give the value of a ``Cookie`` header, in clear."""
    return "; ".join(f"{name}={reveal(value)}" for name, value in cookies.items())


def make_proxy(url: str | Secret, /) -> Secret:
    """Give the URL of a proxy as a secret, of which its password may not be logged.

    Raises `ConfigError` for one that cannot be used.
    """
    must_be((str, Secret), "a str", proxy=url)
    text = reveal(url)
    check_proxy(text)
    password = urlsplit(text).password
    return Secret(text, parts=() if password is None else (password, unquote(password)))


def merge_cookies(
    cookies: Mapping[str, T], set_cookie: Iterable[str], now: float, /
) -> dict[str, T | str]:
    """Give ``cookies`` after the ``Set-Cookie`` header values of one answer.

    ``now`` is seconds since 1970. A cookie is removed by ``Max-Age`` of 0 or less, else by an
    ``Expires`` in the past, and by the value ``deleted``. What is no cookie is ignored.
    Domain and path do not matter: all hosts that we talk to are one site.
    """
    merged: dict[str, T | str] = dict(cookies)
    for header in set_cookie:
        # RFC 6265, section 5.2. http.cookies would unquote values and gives up a whole
        # header for one attribute that it does not like.
        pair, *attributes = header.split(";")
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (equals and name) or _CONTROL.search(pair):
            continue
        if value == "deleted" or _is_over(attributes, now):
            merged.pop(name, None)
        else:
            merged[name] = value
    return merged


def make_device_id(account_id: str, /, dice: random.Random) -> str:
    """Make a device id: a random UUID in upper case, ``-``, and the account's id.

    The token call and the registration of a link must name the same one (else code 401), so
    it is made once per account and kept.
    """
    return f"{str(uuid.UUID(int=dice.getrandbits(128), version=4)).upper()}-{account_id}"


def _make_cookies(given: Mapping[str, str | Secret]) -> dict[str, Secret]:
    if not all(isinstance(n, str) and isinstance(v, (str, Secret)) for n, v in given.items()):
        raise ConfigError("cookies must have names and values that are str")
    if any(_CONTROL.search(name + reveal(value)) for name, value in given.items()):
        raise ConfigError(f"the cookies hold a control character: {_HINT}")
    if "unb" not in given:
        raise ConfigError(f"the cookies have no `unb`, the id of the account: {_HINT}")
    unb = reveal(given["unb"])
    if not (unb.isascii() and unb.isdigit()):
        raise ConfigError(f"the cookie `unb` is not a number: {_HINT}")
    return {name: _cookie(value, unb) for name, value in given.items()}


def _cookie(value: str | Secret, unb: str) -> Secret:
    if reveal(value) == unb:
        return Secret(unb, parts=())  # ids are shown, under whatever name this one comes again
    return value if isinstance(value, Secret) else Secret(value)


def _device_id(given: str | Secret) -> Secret:
    must_be((str, Secret), "a str", device_id=given)
    _check_printable("device_id", reveal(given))
    return given if isinstance(given, Secret) else Secret(given)


def _proxy(given: str | Secret) -> Secret:
    return Secret(DIRECT, parts=()) if reveal(given) == DIRECT else make_proxy(given)


def _check_printable(key: str, value: str) -> None:
    must_be(str, "a str", **{key: value})
    if not value or not value.isascii() or _CONTROL.search(value):
        raise ConfigError(f"`{key}` must be printable ASCII and not empty")


def _is_over(attributes: list[str], now: float) -> bool:
    named = {
        name.strip().lower(): value.strip()
        for name, _, value in (attribute.partition("=") for attribute in attributes)
    }
    if re.fullmatch(r"-?[0-9]+", age := named.get("max-age", "")):
        return age.startswith("-") or not age.strip("0")
    try:
        date = email.utils.parsedate_tz(named.get("expires", ""))
        return date is not None and email.utils.mktime_tz(date) <= now
    except (ValueError, OverflowError):
        return False
