"""The log as lines of JSON."""

from __future__ import annotations

import io
import json
import logging
import math
from typing import Any

import pytest

from inboxes import strict
from world import ME, running
from xyfast import ChatMessage, ConfigError, SendRefused, logging_json
from xyfast.logs import JsonFormatter, complain, say
from xyfast.testing import FakeServer

log = logging.getLogger("xyfast.synthetic")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_with_its_facts_as_keys() -> None:
    stream = io.StringIO()
    logging_json(stream=stream)
    say(log, logging.INFO, "link lost", account=ME, code=1006, wait=1.5, reason=None)
    [line] = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "xyfast.synthetic",
        "message": "link lost",
        "account": ME,
        "code": 1006,
        "wait": 1.5,
    }


def test_where_an_exception_came_from_is_a_key_and_its_words_are_nowhere() -> None:
    stream, words = io.StringIO(), "canary"[::-1]
    logging_json(stream=stream)
    try:
        raise ValueError(words)
    except ValueError as error:
        complain(log, logging.ERROR, "a task failed", ME, error)
    [line] = lines(stream)
    assert (line["message"], line["error"]) == ("a task failed", "ValueError")
    assert "test_logs.py" in line["trace"]
    assert line["trace"].endswith("ValueError")
    assert words not in stream.getvalue()


def test_records_of_others_keep_their_message_extras_and_trace() -> None:
    stream = io.StringIO()
    handler = logging_json(stream=stream)
    other = logging.Logger("shop")
    other.addHandler(handler)
    try:
        raise KeyError("item")
    except KeyError:
        other.exception("order %s failed", 7, extra={"item": object, "level": 3, "time": 4})
    [line] = lines(stream)
    assert (line["message"], line["logger"], line["level"]) == ("order 7 failed", "shop", "ERROR")
    assert (line["fact_level"], line["fact_time"]) == (3, 4)
    assert line["item"] == "<class 'object'>"
    assert line["trace"].endswith("KeyError: 'item'")


def test_a_filter_of_the_handler_sees_a_record_before_it_is_written() -> None:
    class Redact(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.msg, record.args = record.getMessage().replace("canary", "***"), None
            record.account = "***"
            return True

    stream = io.StringIO()
    logging_json(stream=stream).addFilter(Redact())
    say(log, logging.INFO, "said", account="canary")
    [line] = lines(stream)
    assert (line["message"], line["account"]) == ("said (account=***)", "***")


def test_a_second_call_takes_the_place_of_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logging_json(stream=first)
    logging_json(stream=second, level=logging.WARNING)
    say(log, logging.INFO, "not wanted")
    say(log, logging.WARNING, "once")
    assert first.getvalue() == ""
    assert [line["message"] for line in lines(second)] == ["once"]
    with pytest.raises(ConfigError, match="level must be"):
        logging_json(level="INFO")  # type: ignore[arg-type]


def test_any_record_is_json_that_any_terminal_and_file_can_take() -> None:
    text = "\x9b2J\u2028\ud800在吗😀"
    extras = {"inf": math.inf, "nan": [math.nan], "trace": "mine", "text": text}
    record = logging.makeLogRecord({"msg": "x", "exc_text": "ValueError", **extras})
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert "在吗😀" in line
    assert line.encode()
    facts = strict(line)
    assert (facts["inf"], facts["nan"], facts["text"]) == ("Infinity", ["NaN"], text)
    assert (facts["fact_trace"], facts["trace"]) == ("mine", "ValueError")


@pytest.mark.parametrize("errors", ["strict", "backslashreplace"])  # of files, of standard error
def test_a_stream_of_another_encoding_gets_json_too(errors: str) -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, "gbk", errors=errors)
    logging_json(stream=stream)
    say(log, logging.WARNING, "said", reason="茶é😀")
    stream.flush()
    line = data.getvalue().decode("gbk")
    assert strict(line)["reason"] == "茶é😀"
    assert "茶é" in line


def test_no_fact_breaks_a_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    words, shown = "a\n12:00 INFO all is well\x1b[2J", "a\\n12:00 INFO all is well\\u001b[2J"
    say(log, logging.WARNING, "kicked", reason=words)
    say(log, logging.ERROR, "handler raised", error=SendRefused(words))
    assert caplog.messages == [
        f"kicked (reason={shown})",
        f"handler raised ()\nSendRefused: {shown}",
    ]


def test_text_stays_readable_and_line_breaks_stay_inside() -> None:
    record = logging.makeLogRecord({"msg": "在吗\nmore", "name": "x", "levelname": "INFO"})
    line = JsonFormatter().format(record)
    assert "在吗" in line
    assert len(line.splitlines()) == 1


async def test_all_that_a_client_logs_is_json(server: FakeServer) -> None:
    stream = io.StringIO()
    logging_json(stream=stream, level=logging.DEBUG)
    async with running(server) as world:

        @world.client.on(ChatMessage)
        async def fails(message: ChatMessage) -> None:
            raise ValueError(message.text)

        await world.connect()
        server.push_text(ME, "canary in a text")
        await world.until(lambda: "dead letter" in stream.getvalue())
    told = lines(stream)
    assert {"account is connected", "handler raised"} <= {line["message"] for line in told}
    assert all(line["account"] == ME for line in told if "account" in line)
    assert "canary" not in stream.getvalue()
