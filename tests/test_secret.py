"""A text that is not shown by accident."""

from __future__ import annotations

import copy
import dataclasses
import gc
import json
import pickle
import threading
from collections.abc import Callable

import pytest

from xyfast import Account, Secret, Settings, Token, redact
from xyfast.secret import KNOWN, Known, reveal

TEXT = "unspoken-canary-5501"


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{:>40}".format,
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
        lambda secret: f"{secret!s:.3} {[secret]} { ({'a': secret}) }",
        lambda secret: repr(Token(secret)),
        lambda secret: str(dataclasses.asdict(Token(secret))),
        lambda secret: repr(Settings(proxy=f"http://me:{TEXT}@127.0.0.1:1")),
        lambda secret: repr(dataclasses.asdict(Settings(proxy=f"http://{TEXT}@127.0.0.1:1"))),
        lambda secret: repr(Account({"unb": "1", "a": secret}).cookies),
        lambda secret: repr(Account({"unb": "1"}, secret, proxy=f"http://a:{TEXT}@b:1").device_id),
    ],
)
def test_nothing_of_it_is_shown(show: Callable[[Secret], str]) -> None:
    shown = show(Secret(TEXT))
    assert "unspoken" not in shown
    assert "<secret>" in shown


@pytest.mark.parametrize(
    "use",
    [
        json.dumps,
        pickle.dumps,
        lambda secret: "".join([secret]),
        lambda secret: "a" + secret,
        len,
        iter,
        bytes,
        vars,
        int,
        lambda secret: secret < Secret("b"),
    ],
)
def test_nothing_takes_it_for_a_text(use: Callable[[Secret], object]) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        use(Secret(TEXT))
    assert "unspoken" not in str(caught.value)


def test_only_asking_for_it_gives_the_text() -> None:
    secret = Secret(TEXT)
    assert secret.reveal() == reveal(secret) == reveal(TEXT) == TEXT
    assert reveal(None) is None


def test_two_are_equal_by_their_texts_and_none_is_equal_to_a_str() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret("é\ud800") != Secret(TEXT)
    assert Secret(TEXT) != TEXT
    assert len({Secret(TEXT), Secret(TEXT), TEXT}) == 2


def test_a_copy_is_the_same_one() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is copy.deepcopy([secret])[0] is secret


def test_what_is_no_str_is_refused_without_being_shown() -> None:
    with pytest.raises(TypeError, match="a secret is a str, not bytes") as caught:
        Secret(TEXT.encode())  # type: ignore[arg-type]
    assert "unspoken" not in str(caught.value)


def test_it_is_known_to_redaction_for_as_long_as_one_lives() -> None:
    first, second = Secret(TEXT), Secret(TEXT)
    assert redact(f"a {TEXT} b") == "a <secret> b"
    del first
    gc.collect()
    assert redact(f"a {TEXT} b") == "a <secret> b"
    del second
    gc.collect()
    assert redact(f"a {TEXT} b") == f"a {TEXT} b"


def test_its_parts_are_known_in_its_place() -> None:
    url = Secret("http://unspoken.example/path", parts=["path-secret"])
    shown = Secret("9000000000001", parts=())
    assert redact(f"{url.reveal()}-secret") == "http://unspoken.example/<secret>"
    assert redact(shown.reveal()) == "9000000000001"


def test_those_with_one_beginning_are_all_known() -> None:
    secrets = [Secret(f"same-beginning-{n}") for n in range(5)]
    assert redact("same-beginning-3 same-beginning-4") == "<secret> <secret>"
    del secrets[3]
    gc.collect()
    assert redact("same-beginning-3 same-beginning-4") == "same-beginning-3 <secret>"
    del secrets[:]
    gc.collect()
    assert redact("same-beginning-4") == "same-beginning-4"


def test_the_index_is_as_small_as_what_lives() -> None:
    gc.collect()
    KNOWN.find(b"")
    before = len(KNOWN._again), len(KNOWN._heads)
    for number in range(20_000):
        Secret(f"{number // 2:08d}-passing")
    assert len(KNOWN._changes) <= 101
    gc.collect()
    KNOWN.find(b"")
    assert (len(KNOWN._again), len(KNOWN._heads)) == before


def test_secrets_come_and_go_on_threads_while_others_look() -> None:
    stays = Secret(TEXT)
    failed: list[str] = []

    def churn(number: int) -> None:
        for each in range(2_000):
            Secret(f"churn-{number}-{each}")

    def look() -> None:
        for _ in range(300):
            if redact(f"{stays.reveal()} churn-1-5") == f"{TEXT} churn-1-5":
                failed.append("not found")

    threads = [threading.Thread(target=churn, args=(n,)) for n in range(4)]
    threads += [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_forked_child_looks_even_if_its_parent_was_looking() -> None:
    known = Known()
    known.add((TEXT,))
    with known._lock:
        known._reading = True
        known._unlock()  # what a child does first
    seen: list[object] = []
    looking = threading.Thread(target=lambda: seen.extend(known.find(TEXT.encode())), daemon=True)
    looking.start()
    looking.join(20.0)
    assert seen == [(0, len(TEXT))]


def test_what_a_finalizer_says_while_somebody_looks_is_said() -> None:
    """The garbage collector may run it in the midst of that, on the same thread."""
    said: list[str] = []

    class Last:
        def __del__(self) -> None:
            said.append(redact(f"the end of {TEXT}"))

    secret = Secret(TEXT)
    assert redact(TEXT) == "<secret>"
    with KNOWN._lock:
        KNOWN._reading = True
        try:
            Secret("another-canary")
            del secret
            last = Last()
            del last
        finally:
            KNOWN._reading = False
    assert said == ["the end of <secret>"]
    assert redact(TEXT) == TEXT
