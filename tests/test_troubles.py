"""The table of errors is whole, and its page says the same."""

from __future__ import annotations

import asyncio
import errno
import re
from pathlib import Path
from typing import get_args

import pytest

from xyfast import errors, requests
from xyfast.errors import ConfigError, LoginRequired, StateError, StoreError, StoreFull, TokenError
from xyfast.retry import Trouble
from xyfast.troubles import (
    ANSWERS,
    EXCEPTIONS,
    KICKS,
    LINKS,
    TOKENS,
    Remedy,
    Row,
    judged,
    raised,
)

ROOT = Path(__file__).parent.parent
TABLES = (LINKS, TOKENS, ANSWERS, KICKS, EXCEPTIONS)
ROWS = [row for table in TABLES for row in table.values()]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text("utf-8")
CHINESE = (ROOT / "docs" / "reference" / "errors.zh.md").read_text("utf-8")
REMEDIES = {
    Remedy.NONE: "不做什么：本来就要如此",
    Remedy.RETRY: "再试",
    Remedy.RENEW: "换新 token 再试",
    Remedy.CONFIGURE: "配置有致命错误：会再试，但改正之前都没用",
    Remedy.HUMAN: "需要人工：有新 cookie 之前什么都不试",
    Remedy.KICKED: "被踢下线：用户要求之前什么都不试",
    Remedy.CALLER: "抛出：由调用者决定",
}


def test_every_exception_has_a_row() -> None:
    assert {row.error.__name__ for row in ROWS if row.error} == set(errors.__all__)


def test_every_exception_is_raised_somewhere() -> None:
    package, binding = ROOT / "python" / "xyfast", ROOT / "src" / "py"
    python = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    rust = "".join(path.read_text("utf-8") for path in binding.rglob("*.rs"))
    for row in ROWS:
        if row.error is None or row.sentence == "base of other exceptions":
            continue
        name = row.error.__name__
        raised = re.search(rf"\b(raise|return) {name}\(", python)
        assert raised or f"raised::{name}" in rust, name


def test_every_trouble_of_a_link_has_a_row() -> None:
    source = (ROOT / "src" / "transport" / "closed.rs").read_text("utf-8")
    assert set(re.findall(r'Trouble::\w+ => "(.+)"', source)) == set(LINKS)
    stub = (ROOT / "python" / "xyfast" / "_core.pyi").read_text("utf-8")
    [named] = re.findall(r"def trouble\(\s*self,?\s*\) -> Literal\[(.+?)\]", stub, re.DOTALL)
    assert set(re.findall(r'"(.+?)"', named)) == set(LINKS)


def test_every_refusal_has_a_row() -> None:
    assert set(get_args(requests.Refusal)) == set(ANSWERS)


def cells(row: Row, remedy: str) -> str:
    waits = row.name in LINKS or row.name in TOKENS or row.name in ANSWERS
    shown = [f"`{row.name}`", remedy]
    shown += [f"`{row.backoff.name}`"] if waits else []
    shown += [f"`{row.error.__name__}`" if row.error else "", row.sentence]
    return "| " + " | ".join(shown) + " |"


def test_the_page_has_the_rows_of_the_table_and_no_others() -> None:
    backoffs = [f"| `{each.name}` | {each.value[0]:g} | {each.value[1]:g} |" for each in Trouble]
    for page, words in ((PAGE, {each: each.value for each in Remedy}), (CHINESE, REMEDIES)):
        lines = [line for line in page.splitlines() if line.startswith("| `")]
        assert lines == backoffs + [cells(row, words[row.remedy]) for row in ROWS]


def test_every_row_has_its_place_on_the_page() -> None:
    anchors = {found.lower() for found in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    for row in ROWS:
        if row.remedy is Remedy.NONE:
            assert row.page is None  # the log is not to send people anywhere for it
            continue
        page, _, anchor = str(row.page).partition("#")
        assert page == "reference/errors"
        assert anchor in anchors, row.name
    named = {found.lower() for found in re.findall(r"^### (.+)$", PAGE, re.MULTILINE)}
    assert named == {row.name.lower() for row in ROWS if row.remedy is not Remedy.CALLER}


def test_messages_name_pages_that_are_there_and_no_files() -> None:
    """Who has installed a wheel has no docs/."""
    found = set()
    package = ROOT / "python" / "xyfast"
    for path in (*package.rglob("*.py"), *package.rglob("*.pyi")):
        text = path.read_text("utf-8")
        assert "docs/" not in text, path
        assert "docs:" not in text, path  # as a command would look
        found |= set(
            re.findall(r"(?:docs_page\('|the page\s+)([\w/-]+)(?:'\)|\s+of the doc)", text)
        )
    assert {"reference/errors", "howto/configure", "faults/dns"} <= found
    for page in found:
        for end in (".md", ".zh.md"):
            assert (ROOT / "docs" / f"{page}{end}").exists(), page


@pytest.mark.parametrize(
    ("error", "row"),
    [
        (TokenError("x", "network"), LINKS["network"]),
        (TokenError("x", "untrusted"), LINKS["untrusted"]),
        (TokenError("x", "FAIL_SYS_TRAFFIC_LIMIT"), TOKENS["no-token"]),
        (LoginRequired("x", "FAIL_SYS_SESSION_EXPIRED"), TOKENS["login"]),
        (LoginRequired("x", "RGV587_ERROR"), TOKENS["verification"]),
        (LoginRequired("x"), TOKENS["verification"]),
        (ConfigError("x"), EXCEPTIONS["ConfigError"]),
        (StoreError("x"), EXCEPTIONS["StoreError"]),
        (StoreFull("x"), EXCEPTIONS["StoreFull"]),
        (OSError(errno.EMFILE, "x"), LINKS["exhausted"]),
        (OSError(errno.ENOSPC, "x"), LINKS["exhausted"]),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), EXCEPTIONS["unexpected"]),
        (StateError("x"), EXCEPTIONS["unexpected"]),
        (KeyError("x"), EXCEPTIONS["unexpected"]),
        (asyncio.TimeoutError(), EXCEPTIONS["unexpected"]),
    ],
)
def test_an_exception_finds_its_row(error: Exception, row: Row) -> None:
    assert raised(error) is row


@pytest.mark.parametrize(
    ("ret", "name"),
    [
        ("FAIL_SYS_SESSION_EXPIRED::Session过期", "login"),
        ("FAIL_SYS_USER_VALIDATE RGV587_ERROR::SM", "verification"),
        ("FAIL_SYS_TOKEN_EXOIRED::令牌过期", "signature"),
        ("FAIL_SYS_TRAFFIC_LIMIT", "no-token"),
        ("", "no-token"),
    ],
)
def test_what_the_platform_says_finds_its_row(ret: str, name: str) -> None:
    assert judged(ret) is TOKENS[name]
