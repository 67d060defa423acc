"""Text as terminals, files and programs may have it."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxes import Run, came, strict, with_store
from stores import ME, letter
from xyfast import packb
from xyfast._core import b64encode
from xyfast.shown import ESCAPE, json_text, printable, printable_lines
from xyfast.store import DeadLetter, SqliteStore

EVIL = "a\tb\nc\x1b[31m\u202e\x85\u2028\ud800茶　z"
SAFE = "a\\tb\\nc\\u001b[31m\\u202e\\u0085\\u2028\\ud800茶　z"


def test_text_is_one_line_that_no_terminal_obeys() -> None:
    assert printable(EVIL) == SAFE
    assert printable_lines("\ta\n\x1bb") == "\ta\n\\u001bb"


@given(st.text())
def test_json_of_any_text_is_one_line_and_that_text(text: str) -> None:
    for ascii_only in (False, True):
        line = json_text({text: [text]}, ensure_ascii=ascii_only)
        assert line.replace("\u3000", "").isprintable()
        assert strict(line) == {text: [text]}


@pytest.mark.parametrize("indent", [None, 2])
def test_numbers_that_json_lacks_are_strings(indent: int | None) -> None:
    value = {'NaN "Infinity\\': [math.nan, math.inf, -math.inf, "NaN", '"NaN'], "x": 1.5}
    assert strict(json_text(value, indent=indent)) == {
        'NaN "Infinity\\': ["NaN", "Infinity", "-Infinity", "NaN", '"NaN'],
        "x": 1.5,
    }


def test_letters_that_an_encoding_lacks_are_escaped_as_json_has_them() -> None:
    data = io.BytesIO()
    with io.TextIOWrapper(data, "ascii", errors=ESCAPE) as stream:
        stream.write(json_text("é茶😀"))
        stream.flush()
        assert json.loads(data.getvalue().decode("ascii")) == "é茶😀"


# --- commands ---------------------------------------------------------------------------


@pytest.fixture
def odd(path: Any) -> Any:
    """A store of an account, keys and reasons as no one should have them, and of no numbers."""

    async def fill(store: SqliteStore) -> None:
        numbers = b64encode(packb({1: math.nan, 2: [math.inf, -math.inf], 3: "NaN"}))
        name = EVIL.replace("\ud800", "")  # the platform's ids came as UTF-8
        dead = DeadLetter(reason=f"answer raised {EVIL}")
        await store.commit([came(numbers, name, key=f"{name}.PNM", dead=dead)])
        await store.commit([came(numbers, ME, key=f"{EVIL}.PNM", dead=None)])
        await store.post(letter(EVIL, account_id=name))

    with_store(path, fill)
    return path


@pytest.mark.parametrize(
    ("command", "lines"),
    [
        (["accounts"], 3),
        (["dead", "list"], 2),
        (["dead", "show", "1"], 10),
        (["dead", "show", "1", "--payload"], 10 + 8),
        (["outbox", "list"], 2),
    ],
)
def test_no_name_breaks_a_line_or_json(odd: Any, command: list[str], lines: int, run: Run) -> None:
    shown = run(*command, "--store", odd)
    assert shown.code == 0
    assert len(shown.out.splitlines()) == lines
    assert shown.out.replace("\n", "").replace("\u3000", "").isprintable()
    assert "a\\tb\\nc\\u001b[31m\\u202e\\u0085" in shown.out
    facts = run(*command, "--store", odd, "--json").objects
    assert EVIL.replace("\ud800", "") in [each["account"] for each in facts]


def test_numbers_that_json_lacks_are_strings_in_what_commands_decode(odd: Any, run: Run) -> None:
    tree = {"1": "NaN", "2": ["Infinity", "-Infinity"], "3": "NaN"}
    [found] = run("dead", "show", "1", "--payload", "--store", odd, "--json").objects
    assert found["tree"] == tree
    assert run("decode", "--json", found["payload"]).objects == [tree]
    assert strict(run("decode", found["payload"]).out) == tree
    assert '"1": "NaN",' in run("dead", "show", "1", "--payload", "--store", odd).out


def test_a_terminal_of_another_encoding_is_shown_escapes() -> None:
    for encoding, shown in (("ascii", "\\u8336\\ud83d\\ude00"), ("gbk", "茶\\ud83d\\ude00")):
        done = subprocess.run(
            [sys.executable, "-m", "xyfast", "decode", "--json", '{"a": "茶😀"}'],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        )
        assert done.stdout.decode(encoding) == f'{{"a": "{shown}"}}\n'
