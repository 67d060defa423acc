"""Settings that make no sense are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from xyfast import Client, ConfigError, Settings
from xyfast.config import way

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBbjCCARWgAwIBAgIUFJMkuTGCl7W3um57i6Qbym7tUBowCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBczAgFw0yNjExMjgwOTM0MzlaGA8yMTI2MTEwNDA5MzQzOVow
DDEKMAgGA1UEAwwBczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHop9roPGzT8
+YBxLto38fdIeB9VKhbSC6XOZJJ0n3/vNdUahymZHDSXQukWFzf1ho8CbWopQNsD
t61h2PkQxT2jUzBRMB0GA1UdDgQWBBSAgdJjUfl+xe6eJT/oLYaYaryjrDAfBgNV
HSMEGDAWgBSAgdJjUfl+xe6eJT/oLYaYaryjrDAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0cAMEQCIHkh5ngmW/Kbcz2MeuepdC4jBkDHF9/is9wdOlz/iUAz
AiAq+pfiQca3HOJdQgSCt2sfP9S9qJ5F3G9+bEz736nN+A==
-----END CERTIFICATE-----
"""


def test_settings_refuse_what_makes_no_sense() -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"heartbeat": 0}, "heartbeat must be above zero"),
        ({"heartbeat": float("nan")}, "heartbeat must be above zero"),
        ({"max_handlers": 1.5}, "max_handlers must be a whole number"),
        ({"grace": "10"}, "grace must be a number"),
        ({"max_frame": True}, "max_frame must be a whole number"),
        ({"url": "ws://example.invalid/"}, "in clear"),
        ({"url": "https://example.invalid/"}, "must start with wss://"),
    ]
    for change, reason in changes:
        with pytest.raises(ValueError, match=reason):
            Settings(**change)
    with pytest.raises(ConfigError, match="second_look may come to 600 s"):
        Settings(second_look=197.0)
    assert Settings(url="ws://example.invalid/", allow_plain=True).allow_plain
    assert Settings(url="ws://[::1]:80/").url


@pytest.mark.parametrize(
    ("url", "proxy", "shown"),
    [
        ("wss://IM.example/a?b=c", None, "im.example:443"),
        ("ws://127.0.0.1/", None, "127.0.0.1:80"),
        ("http://[::1]:5/h5", None, "[::1]:5"),
        (
            "https://a.example",
            "socks5://me:synthetic@b.example:9",
            "a.example:443 through b.example:9",
        ),
        ("https://a.example:99999", None, "a.example"),
    ],
)
def test_the_way_to_a_server_is_shown_without_logins_and_queries(
    url: str, proxy: str | None, shown: str
) -> None:
    assert way(url, proxy) == shown


def test_a_handler_may_be_given_no_second_try() -> None:
    assert Settings(handler_retries=0).handler_retries == 0
    with pytest.raises(ConfigError, match="handler_retries must be zero or more"):
        Settings(handler_retries=-1)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"store": 5}, "store must be a path, a Store or None, not int"),
        ({"store": b"x.db"}, "store must be a path, a Store or None, not bytes"),
        ({"settings": {}}, "settings must be a Settings, not dict"),
        ({"router": "x"}, "router must be a Router, not str"),
        ({"hooks": 5}, "hooks must be functions in a list, not int"),
        ({"hooks": ["x"]}, "hooks must be functions in a list, not str"),
        ({"tokens": "x"}, "tokens must be a TokenProvider, not str"),
        ({"credentials": print}, "credentials must be a CredentialSource, not builtin"),
    ],
)
def test_a_client_refuses_what_it_cannot_use(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Client(**options)


async def test_a_client_takes_accounts() -> None:
    async with Client() as client:
        cookies: Any = "unb=9000000000001"
        with pytest.raises(ConfigError, match="account must be an Account, not str"):
            await client.add(cookies)
        with pytest.raises(ConfigError, match="account must be an Account, not str"):
            client.replace_credentials(cookies)
        with pytest.raises(ConfigError, match="account_id must be a str, not int"):
            client.state(9000000000001)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "holds no PEM certificate"),
        (b"no PEM at all\n", "holds no PEM certificate"),
        (AUTHORITY.replace("CERTIFICATE", "PUBLIC KEY").encode(), "holds no PEM certificate"),
        (AUTHORITY[:-30].encode(), "holds a certificate that cannot be read"),
        (AUTHORITY.replace("MIIB", "AAAA").encode(), "holds a certificate that cannot be read"),
        (AUTHORITY.encode() + b"\xff", "is not PEM, which is a text"),
    ],
)
def test_a_client_refuses_roots_that_are_of_no_use(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    message = re.escape(f"Settings.roots {str(path)!r} {reason}")
    with pytest.raises(ConfigError, match=message):
        Client(settings=Settings(roots=str(path)))


def test_a_client_takes_roots_among_other_text(tmp_path: Path) -> None:
    path = tmp_path / "roots.pem"
    path.write_text(f"an authority\n{AUTHORITY}", "utf-8")
    assert Client(settings=Settings(roots=str(path)))
