"""No secret is in what was redacted, however it was put there; all else stays."""

from __future__ import annotations

import base64
import logging
import re
import string
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from canaries import ENCODERS, found
from xyfast import Account, Redaction, Secret, errors, redact
from xyfast.logs import logger, say

TOKEN = "synthetic+canary/77%3D=a\"b\\c'ä中"
ACCOUNT = Account.from_cookies(
    "unb=9000000000001; munb=9000000000001; cookie2=canary-cookie-2; lng=zh_CN; a=1",
    device_id="9F0C3A51-0000-4000-8000-00000000ABCD-9000000000001",
    proxy="socks5://me:canary%20pass@127.0.0.1:1080",
)

pytestmark = pytest.mark.leaks


# --- by value -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENCODERS)
def test_a_secret_is_found_in_every_encoding(name: str) -> None:
    secret = Secret(TOKEN)
    shown = ENCODERS[name](secret.reveal())
    assert found(shown, [TOKEN]) == {TOKEN}
    redacted = redact(f"before {shown} after")
    assert found(redacted, [TOKEN]) == set()
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "<secret>" in redacted


@given(
    value=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=12, max_size=40),
    names=st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=2),
    before=st.text(string.ascii_letters + '0 "{', max_size=5),
)
def test_any_secret_is_found_in_three_encodings_within_each_other(
    value: str, names: list[str], before: str
) -> None:
    secret = Secret(value)
    shown, times = secret.reveal(), 0
    for name in names:
        shown = ENCODERS[name](shown)
        times += 2 if re.search("twice|in JSON|of JSON|, percent", name) else 1
    assume(times <= 3 and sum("base64" in name for name in names) < 2)
    assert "<secret>" in redact(f"{before}{shown} after"), (value, names)


# Without these nothing has the shape of a secret.
@given(st.text(st.characters(exclude_characters="@:=%\"'"), max_size=200))
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_ids_and_what_is_short_are_shown() -> None:
    text = "account 9000000000001 of zh_CN (a=1, proxy=socks5://127.0.0.1:1080)"
    assert redact(text) == text
    assert redact("canary-cookie-2 or canary pass") == "<secret> or <secret>"


def test_an_id_that_is_given_as_a_secret_is_shown() -> None:
    account = Account({"unb": Secret("9000000000003"), "munb": Secret("9000000000003")})
    assert redact(f"account {account.id}") == "account 9000000000003"


def test_what_was_encoded_twice_is_found_decoded() -> None:
    secret = Secret("canary%252Fvalue%2525")
    for shown in ("canary/value%", "canary%2Fvalue%25", secret.reveal()):
        assert redact(f"({shown})") == "(<secret>)"


def test_the_rest_of_a_long_text_is_left_out() -> None:
    text = "x " * 16_383 + "ab canary-cookie-2"
    assert redact(text) == "x " * 16_383 + "ab... (16 more characters)"


@pytest.mark.parametrize("start", [-60, -10, -1])
@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("canary-of-mine-0", "<secret>"),
        ("Y2FuYXJ5LW9mLW1pbmUtMA==", "<secret>"),
        ("http://me:canary-of-mine-1@127.0.0.1/", "http://<secret>@"),
        ("9F0C3A51-0000-4000-8000-000000000000-9000000000777", "<secret>"),
    ],
)
def test_a_secret_across_the_cut_is_left_out(secret: str, shown: str, start: int) -> None:
    known = Secret("canary-of-mine-0")
    before = "中 " * ((32_768 + start) // 2) + " " * (start % 2)
    text, _, more = redact(f"{before}{secret} {'x ' * 8000}").partition("... (")
    assert text.startswith(before + shown), known
    assert more == f"{len(secret) + 1 + 16_000 + start} more characters)"


def test_a_quote_has_a_bound() -> None:
    ends = "\\" * 16 + '"'
    assert redact(f"cookie:{ends}a{ends} b") == f"cookie:{ends}<secret>{ends} b"
    # Beyond, the rest of the line is taken: to look for the other quote would take quadratic time.
    ends = "\\" * 17 + '"'
    assert redact(f"cookie:{ends}a{ends} b") == "cookie:<secret>"


class Unshowable:
    """What a bot may log by mistake."""

    def __str__(self) -> str:
        raise ValueError("canary-cookie-2")


@pytest.mark.parametrize(
    ("message", "arguments"), [("%s", (Unshowable(),)), (Unshowable(), ()), ("%d", ("a",))]
)
def test_what_cannot_be_shown_costs_nobody_anything(message: object, arguments: object) -> None:
    record = logging.makeLogRecord({"msg": message, "args": arguments, "given": Unshowable()})
    assert Redaction().filter(record)
    shown = f"{record.getMessage()} {vars(record)}"
    assert "that do not fit" in shown or "<Unshowable that cannot be shown>" in shown
    assert vars(record)["given"] == "<Unshowable that cannot be shown>"
    assert "canary" not in shown


# --- by shape -------------------------------------------------------------------------------

SHAPES = [
    ("GET /?cookie2=CANARY&b=1", "GET /?cookie2=<secret>&b=1"),
    ("_m_h5_tk=CANARY_1767225600000; a", "_m_h5_tk=<secret>; a"),
    ("{'sgcookie': 'CANARY', 'b': 1}", "{'sgcookie': '<secret>', 'b': 1}"),
    ('{\\"x5sec\\": \\"CANARY\\"}', '{\\"x5sec\\": \\"<secret>\\"}'),
    ("tfstk%3DCANARY%3B", "tfstk%3D<secret>"),
    ('{"data":{"accessToken":"CANARY"}}', '{"data":{"accessToken":"<secret>"}}'),
    ('"headers":{"token":"CANARY","did":"x"}', '"headers":{"token":"<secret>","did":"x"}'),
    ("Cookie: a=CANARY; b=CANARY\r\nHost: x", "Cookie: <secret>\r\nHost: x"),
    ("'Set-Cookie': 'a=CANARY; Path=/', 'b'", "'Set-Cookie': '<secret>', 'b'"),
    ('("Cookie", "a=CANARY; b=\'c\'")', '("Cookie", "<secret>")'),
    ("proxy-authorization: Basic CANARY", "proxy-authorization: <secret>"),
    ("{'Authorization': 'Bearer CANARY'}", "{'Authorization': '<secret>'}"),
    ('cookies = "unb=1; a=CANARY"', 'cookies = "<secret>"'),
    ("see socks5://me:CANARY@h:1/", "see socks5://<secret>@h:1/"),
    ("HTTP://CANARY:p@ss@h", "HTTP://<secret>@h"),
    ("of 0A0A0A0A-1B1B-4C4C-8D8D-CAFECAFECAFE-123,", "of <secret>,"),
]


@pytest.mark.parametrize(("text", "shown"), SHAPES, ids=[text[:12] for text, _ in SHAPES])
def test_what_looks_like_a_secret_is_one(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "the cookies hold a control character: copy the cookies of the message page",
        "refused with code 401 (token): token is not found",
        "the cookie `unb` is not a number: copy it",
        "https://www.goofish.com/im?a=b@c",
        "token call refused: FAIL_SYS_TOKEN_EXOIRED",
        "ws://127.0.0.1:80/ and me@example.com",
        "-1767225600000012 0A0A0A0A-1B1B-4C4C-8D8D-CAFECAFECAFE",
    ],
)
def test_our_own_sentences_stay_whole(text: str) -> None:
    assert redact(text) == text


# --- log records ----------------------------------------------------------------------------


def record(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    [record] = caplog.records
    text = f"{record.__dict__} {caplog.text}"
    assert "anary" not in text
    assert "<secret>" in text
    return record


def test_a_line_with_facts_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    say(logger("xyfast.test"), logging.WARNING, "it rains", account="9000000000001", wait=2.0)
    [record] = caplog.records
    assert record.args == ("it rains", "account=9000000000001, wait=2.0", "")
    assert (record.account, record.wait) == ("9000000000001", 2.0)  # type: ignore[attr-defined]


def test_facts_and_their_attributes_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    reason = errors.TokenError("refused canary-cookie-2")
    quoted = "canary%2Dcookie%2D2"
    say(logger("xyfast.test"), logging.WARNING, "no", reason=reason, words=quoted, code=401)
    shown = record(caplog)
    assert shown.getMessage() == "no (reason=refused <secret>, words=<secret>, code=401)"
    assert (shown.reason, shown.code) == ("refused <secret>", 401)  # type: ignore[attr-defined]


def test_foreign_exceptions_are_redacted_with_their_causes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    basic = base64.b64encode(b"me:canary-cookie-2").decode()
    try:
        try:
            raise ValueError({"Proxy-Authorization": f"Basic {basic}"})
        except ValueError as error:
            raise KeyError("canary-cookie-2") from error
    except KeyError:
        logger("xyfast.test").exception("a handler raised", stack_info=True)
    shown = record(caplog)
    assert shown.exc_info is None
    assert "KeyError: '<secret>'" in (shown.exc_text or "")
    assert basic not in caplog.text


def test_arguments_of_any_kind_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    cookies = {name: value.reveal() for name, value in ACCOUNT.cookies.items()}
    logger("xyfast.test").error("kept %r and %d", cookies, 5)
    assert record(caplog).getMessage().endswith("'a': '1'} and 5")


def test_arguments_that_do_not_fit_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    logger("xyfast.test").error("canary-cookie-2 %d", "canary-cookie-2")
    assert record(caplog).getMessage() == "<secret> %d (with arguments that do not fit)"


def test_mappings_as_arguments_work(caplog: pytest.LogCaptureFixture) -> None:
    logger("xyfast.test").error("cookie2=%(a)s", {"a": "canary"})
    assert record(caplog).getMessage() == "cookie2=<secret>"


def test_a_handler_redacts_what_other_loggers_say(caplog: pytest.LogCaptureFixture) -> None:
    redaction = Redaction()
    caplog.handler.addFilter(redaction)
    try:
        logging.getLogger("mybot").error("lost %s", "canary-cookie-2")
    finally:
        caplog.handler.removeFilter(redaction)
    assert record(caplog).getMessage() == "lost <secret>"


def test_what_is_not_logged_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log = logger("xyfast.test")
    monkeypatch.setattr(Redaction, "filter", lambda self, record: sys.exit("it ran"))
    log.setLevel(logging.ERROR)
    try:
        log.warning("canary-cookie-2")
        say(log, logging.WARNING, "canary-cookie-2")
    finally:
        log.setLevel(logging.NOTSET)


def test_every_logger_of_the_package_redacts() -> None:
    import xyfast.__main__  # noqa: F401

    modules = [each for name, each in sys.modules.items() if name.startswith("xyfast.")]
    loggers = {each.log for each in modules if isinstance(getattr(each, "log", 0), logging.Logger)}
    assert len(loggers) > 15
    for log in loggers:
        assert any(isinstance(each, Redaction) for each in log.filters), log.name
