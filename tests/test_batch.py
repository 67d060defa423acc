"""Many payloads in one call."""

from __future__ import annotations

import itertools
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast.codec import b64encode, decode, decode_many, decrypt, decrypt_many, packb
from xyfast.errors import DecodeError, DecryptError

GOOD = "gQGhYQ=="
CUT = "gQ=="
BOTH = pytest.mark.parametrize(
    ("many", "single"), [(decrypt_many, decrypt), (decode_many, decode)], ids=["text", "trees"]
)
TREES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(), st.integers(-9, 200), st.booleans()), inner, max_size=4
        ),
    ),
    max_leaves=10,
)
PAYLOADS = st.one_of(
    st.dictionaries(st.integers(0, 20), TREES, max_size=5).map(packb).map(b64encode),
    TREES.map(packb).map(b64encode),
    st.binary(max_size=12).map(b64encode),
    st.text(max_size=12),
    st.binary(max_size=12),
    st.binary(max_size=12).map(bytearray),
    st.just(5),
)


def outcome(call: Callable[[Any], Any], payload: Any) -> tuple[Any, ...]:
    try:
        return ("answer", repr(call(payload)))
    except (DecodeError, TypeError) as error:
        return told(error)


def told(error: Exception) -> tuple[Any, ...]:
    return (type(error), *error.args, getattr(error, "offset", None))


@BOTH
@given(payloads=st.lists(PAYLOADS, max_size=8))
def test_every_payload_gets_the_answer_that_it_gets_alone(
    many: Any, single: Any, payloads: list[Any]
) -> None:
    expected = [outcome(single, payload) for payload in payloads]
    answers = many(payloads, return_exceptions=True)
    assert [
        told(answer) if isinstance(answer, Exception) else ("answer", repr(answer))
        for answer in answers
    ] == expected
    bad = [index for index, answer in enumerate(answers) if isinstance(answer, Exception)]
    assert [answers[index].index for index in bad] == bad
    if not bad:
        assert repr(many(payloads)) == repr(answers)
        return
    with pytest.raises((DecodeError, TypeError)) as raised:
        many(payloads)
    assert told(raised.value) == expected[bad[0]]
    assert vars(raised.value)["index"] == bad[0]


@BOTH
def test_the_order_is_kept_over_many_payloads_and_long_ones(many: Any, single: Any) -> None:
    sizes = [(i * i) % 300 for i in range(10_000)] + [3_000_000, 0, 1_000_000]
    payloads = [b64encode(packb({1: "闲" * (i % 2) + "a" * size})) for i, size in enumerate(sizes)]
    assert many(payloads) == [single(payload) for payload in payloads]


def test_an_endless_supply_ends_with_the_first_bad_payload() -> None:
    with pytest.raises(DecryptError) as raised:
        decrypt_many(itertools.chain([GOOD] * 10_000, itertools.repeat(CUT)))
    assert raised.value.index == 10_000
    assert (raised.value.reason, raised.value.offset) == ("truncated", 1)


@BOTH
def test_no_payloads_have_no_answers(many: Any, single: Any) -> None:
    assert many([]) == many(iter(())) == []


@BOTH
@pytest.mark.parametrize("one", [GOOD, GOOD.encode(), bytearray(), memoryview(b"")])
def test_one_payload_is_not_many(many: Any, single: Any, one: Any) -> None:
    with pytest.raises(TypeError, match="expected many payloads, not one"):
        many(one)


@BOTH
def test_what_goes_wrong_outside_of_payloads_comes_through(many: Any, single: Any) -> None:
    def payloads() -> Iterator[str]:
        yield GOOD
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        many(payloads(), return_exceptions=True)
    with pytest.raises(TypeError, match="not iterable"):
        many(5)


def test_exceptions_that_end_programs_are_never_answers() -> None:
    class Payload:
        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __str__(self) -> str:
            raise self.error

    [answer, after] = decrypt_many([Payload(OSError("gone")), GOOD], return_exceptions=True)
    assert isinstance(answer, OSError)
    assert after == '{"1": "a"}'
    with pytest.raises(KeyboardInterrupt):
        decrypt_many([Payload(KeyboardInterrupt())], return_exceptions=True)


def test_a_copy_of_the_exception_knows_its_place() -> None:
    [_, error] = decrypt_many([GOOD, CUT], return_exceptions=True)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.index) == (str(error), 1)
    with pytest.raises(DecodeError) as raised:
        decode(CUT)
    assert raised.value.index is None


@BOTH
def test_other_threads_run_during_a_batch(many: Any, single: Any) -> None:
    payload = b64encode(packb({1: "a" * 1_000_000}))
    started, released, moved = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        released.wait()
        moved.set()

    def payloads() -> Iterator[str]:
        released.set()
        # It moves soon, or never; many answers would not fit into memory.
        for _ in range(1000):
            if moved.is_set():
                break
            yield CUT + " " * len(payload)
        yield payload

    thread = threading.Thread(target=work)
    interval = sys.getswitchinterval()
    # From here on no thread has to make room for another by itself.
    sys.setswitchinterval(1000)
    try:
        thread.start()
        started.wait()
        answers = many(payloads(), return_exceptions=True)
        has_moved = moved.is_set()
    finally:
        sys.setswitchinterval(interval)
        released.set()
        thread.join()
    assert has_moved
    assert answers[-1] == single(payload)
