"""Accounts: cookies in, cookies out, and nothing of them in sight."""

from __future__ import annotations

import dataclasses
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast.account import (
    DEFAULT_USER_AGENT,
    Account,
    format_cookies,
    make_device_id,
    merge_cookies,
    parse_cookies,
)
from xyfast.errors import ConfigError
from xyfast.secret import reveal

OWN = "9000000000001"
COOKIES = f"cna=synthetic; unb={OWN}; cookie2=synthetic-secret; _m_h5_tk=0123_1767225600000"
NOW = 1767225600.0

NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";="), min_size=1
)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";"))


def test_the_id_is_the_cookie_unb() -> None:
    account = Account.from_cookies(COOKIES)
    assert account.id == OWN
    assert account.cookies["cookie2"].reveal() == "synthetic-secret"
    assert (account.device_id, account.user_agent) == (None, DEFAULT_USER_AGENT)
    assert account.send_cookies is False


def test_the_repr_shows_id_and_name_only() -> None:
    account = Account.from_cookies(COOKIES, device_id="synthetic-device", name="shop")
    assert repr(account) == f"Account(id='{OWN}', name='shop')"


def test_cookies_cannot_be_changed_in_place() -> None:
    given_cookies = {"unb": OWN}
    account = Account(given_cookies)
    given_cookies["unb"] = "1"
    assert account.id == OWN
    with pytest.raises(TypeError):
        account.cookies["unb"] = "1"  # type: ignore[index]


@pytest.mark.parametrize(
    ("cookies", "complaint"),
    [
        ("", "no `unb`"),
        ("cna=synthetic-secret", "no `unb`"),
        ("unb=", "not a number"),
        ("unb=synthetic-secret", "not a number"),
        ("unb=９０００", "not a number"),
        (f"unb={OWN}; a=synthetic-secret\x00", "control character"),
    ],
)
def test_unusable_cookies_are_refused_with_a_hint_and_without_a_value(
    cookies: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        Account.from_cookies(cookies)
    assert "HttpOnly" in str(refused.value)
    assert "synthetic-secret" not in str(refused.value)


@pytest.mark.parametrize("field", ["device_id", "user_agent"])
@pytest.mark.parametrize("value", ["", "two\r\nlines", "名字"])
def test_what_goes_into_headers_is_printable_ascii(field: str, value: str) -> None:
    with pytest.raises(ConfigError, match=field):
        dataclasses.replace(Account.from_cookies(COOKIES), **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "cookies"),
    [
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;", {"a": "1", "b": "2"}),
        ("Cookie: a=1; b=2\r\n", {"a": "1", "b": "2"}),
        (" a = 1 ;\n b=2", {"a": "1", "b": "2"}),
        ('a="x=%20y"', {"a": '"x=%20y"'}),
        ("a=; b; =c", {"a": ""}),
        ("a=1; a=2", {"a": "2"}),
        ("a=12\r\n34; b\n=2", {"a": "1234", "b": "2"}),
        ("", {}),
    ],
)
def test_a_pasted_cookie_string_is_split(text: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(text) == cookies


@given(st.dictionaries(NAMES, VALUES))
def test_cookies_survive_being_written_and_read(cookies: dict[str, str]) -> None:
    assert parse_cookies("Cookie:" + format_cookies(cookies)) == cookies


@pytest.mark.parametrize(
    "gone",
    [
        "b=; Max-Age=0",
        "b=2; max-age=-1; Path=/",
        "b=deleted",
        "b=2; Expires=Thu, 01-Jan-1970 00:00:10 GMT; Path=/; HttpOnly",
        "b=2; expires=Wed, 31 Dec 2025 23:59:59 GMT",
        "b=2; Max-Age=0; Expires=Wed, 21 Oct 2099 07:28:00 GMT",
    ],
)
def test_an_answer_can_remove_a_cookie(gone: str) -> None:
    assert merge_cookies({"a": "1", "b": "1"}, [gone], NOW) == {"a": "1"}


@pytest.mark.parametrize(
    "kept",
    [
        "b=2",
        "b=2;Domain=.goofish.com;Path=/;Secure;SameSite=None;Partitioned",
        "b = 2 ; Expires=Thu, 01 Jan 2026 00:00:01 GMT",
        "b=2; Expires=Thu, 01 Jan 1970 00:00:10 GMT; Max-Age=60",
        "b=2; Max-Age=soon; Expires=never",
        "b=2; Expires=Wed, 99 Foo 2025 99:99:99 GMT",
        "b=2; Expires=Wed, 01 Jan 99999999999999999999 00:00:00 GMT",
    ],
)
def test_an_answer_can_replace_a_cookie(kept: str) -> None:
    assert merge_cookies({"a": "1", "b": "1"}, [kept], NOW) == {"a": "1", "b": "2"}


def test_values_are_kept_as_they_are_spelled() -> None:
    header = '_m_h5_tk="0123%5F_1767225600000=="; Path=/'
    assert merge_cookies({}, [header], NOW) == {"_m_h5_tk": '"0123%5F_1767225600000=="'}


@pytest.mark.parametrize("header", ["", ";", "no equals", "=x", "; Path=/", "b=1\r\nX-Evil: 1"])
def test_what_is_no_cookie_is_ignored(header: str) -> None:
    assert merge_cookies({"a": "1"}, [header], NOW) == {"a": "1"}


@given(st.lists(st.text() | st.text().map("a=1; Expires={}".format)), st.floats(allow_nan=False))
def test_no_answer_breaks_the_merge(headers: list[str], now: float) -> None:
    before = {"unb": OWN, "a": "1"}
    merge_cookies(before, headers, now)
    assert before == {"unb": OWN, "a": "1"}
    assert Account(before).merged(headers, now=now).id == OWN


def test_merging_keeps_who_the_account_is() -> None:
    account = Account.from_cookies(COOKIES, device_id="synthetic-device", name="shop")
    merged = account.merged(["unb=; Max-Age=0", "cookie2=; Max-Age=0", "x=1"], now=NOW)
    assert (merged.id, reveal(merged.device_id), merged.name) == (OWN, "synthetic-device", "shop")
    assert "cookie2" not in merged.cookies
    assert merged.cookies["x"].reveal() == "1"
    assert merged != account


@given(st.randoms())
def test_a_device_id_has_the_web_pages_format(dice: random.Random) -> None:
    device_id = make_device_id(OWN, dice)
    assert re.fullmatch(
        rf"[0-9A-F]{{8}}-[0-9A-F]{{4}}-4[0-9A-F]{{3}}-[89AB][0-9A-F]{{3}}-[0-9A-F]{{12}}-{OWN}",
        device_id,
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "seller.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_gives_every_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f'cookies = "{COOKIES}"\ndevice_id = "D-1"\nuser_agent = "Browser/1"\n'
        'name = "店"\nsend_cookies = true\n',
    )
    assert Account.from_file(path) == Account.from_cookies(
        COOKIES, device_id="D-1", user_agent="Browser/1", name="店", send_cookies=True
    )


def test_a_file_needs_cookies_only(tmp_path: Path) -> None:
    assert Account.from_file(str(write(tmp_path, f'cookies = "{COOKIES}"'))).id == OWN


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f'cookie = "{COOKIES}"', "unknown key `cookie`; did you mean `cookies`?"),
        (f'cookies = "{COOKIES}"\ndevice = "x"', "unknown key `device`; did you mean `device_id`?"),
        ("cookies = 5", "`cookies` must be a string"),
        (f'cookies = "{COOKIES}"\nsend_cookies = 1', "`send_cookies` must be true or false"),
        ('name = "shop"', "`cookies` is missing"),
        ('cookies = "cookie2=synthetic-secret"', "no `unb`"),
        ('cookies = "unb=1; a=synthetic-secret"', "the cookies have no `cookie2`, the login: copy"),
        (
            'cookies = "a"\nheartbeat = 1',
            "unknown key `heartbeat`; known: `cookies`, `cookies_file`",
        ),
        ("cookies = synthetic-secret", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(complaint)) as refused:
        Account.from_file(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "synthetic-secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        Account.from_file(tmp_path / "none.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'cookies = "\xff"')
    with pytest.raises(ConfigError, match=r"latin\.toml: is not UTF-8"):
        Account.from_file(path)


def test_without_a_toml_reader_the_cure_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(ConfigError, match="pip install tomli"):
        Account.from_file(write(tmp_path, f'cookies = "{COOKIES}"'))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Account.from_cookies({"unb": "secret"}),  # type: ignore[arg-type]
        lambda: Account("unb=secret"),  # type: ignore[arg-type]
        lambda: Account({"unb": 5}),  # type: ignore[dict-item]
        lambda: Account({"unb": "9000000000001"}, device_id=5),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_are_named_and_not_shown(make: Callable[[], Account]) -> None:
    with pytest.raises(ConfigError, match=r"(cookies|device_id) must") as caught:
        make()
    assert "secret" not in str(caught.value)
