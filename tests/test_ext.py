"""ExtType and Timestamp, compared with msgpack's."""

from __future__ import annotations

import copy
import datetime
import doctest
import inspect
import math
import pickle
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xyfast import codec
from xyfast.codec import ExtType, Timestamp, packb, unpackb


def test_an_ext_type_is_a_checked_pair() -> None:
    ext = ExtType(5, b"ab")
    assert ext == (5, b"ab")
    assert unpackb(packb(ext)) == ext
    assert isinstance(unpackb(packb(ext)), ExtType)
    wrong: Any = "ab"
    with pytest.raises(TypeError):
        ExtType(5, wrong)
    with pytest.raises(TypeError):
        ExtType(wrong, b"ab")
    for code in (-1, 128):
        with pytest.raises(ValueError, match="code"):
            ExtType(code, b"")


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1))
def test_a_timestamp_survives_every_form(seconds: int, nanoseconds: int) -> None:
    moment = Timestamp(seconds, nanoseconds)
    theirs = msgpack.Timestamp(seconds, nanoseconds)
    assert repr(moment) == repr(theirs)
    assert moment.to_bytes() == theirs.to_bytes()
    assert moment.to_unix() == theirs.to_unix()
    assert Timestamp.from_bytes(moment.to_bytes()) == moment
    assert Timestamp.from_unix_nano(moment.to_unix_nano()) == moment
    assert unpackb(packb(moment)) == moment
    assert hash(copy.deepcopy(moment)) == hash(moment)
    assert pickle.loads(pickle.dumps(moment)) == moment


@given(st.datetimes(timezones=st.just(datetime.timezone.utc)))
def test_a_timestamp_survives_as_datetime(moment: datetime.datetime) -> None:
    assert Timestamp.from_datetime(moment).to_datetime() == moment


@given(st.floats(-1e12, 1e12))
def test_a_timestamp_of_a_float_is_near_it(seconds: float) -> None:
    moment = Timestamp.from_unix(seconds)
    assert 0 <= moment.nanoseconds < 10**9
    assert math.isclose(moment.to_unix(), seconds, rel_tol=1e-15, abs_tol=2e-9)


def test_a_timestamp_is_checked_and_frozen() -> None:
    moment = Timestamp(1)
    wrong: Any = 1.5
    for seconds, nanoseconds in ((wrong, 0), (0, wrong)):
        with pytest.raises(TypeError):
            Timestamp(seconds, nanoseconds)
    for nanoseconds in (-1, 10**9):
        with pytest.raises(ValueError, match="nanoseconds"):
            Timestamp(1, nanoseconds)
    with pytest.raises(ValueError, match="4, 8 or 12"):
        Timestamp.from_bytes(b"12345")
    with pytest.raises(AttributeError):
        moment.seconds = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ExtType, msgpack.ExtType),
        (Timestamp, msgpack.Timestamp),
        *(
            (getattr(Timestamp, name), getattr(msgpack.Timestamp, name))
            for name in ("from_bytes", "from_datetime", "from_unix", "from_unix_nano")
        ),
    ],
)
def test_parameters_have_the_names_that_msgpack_gives_them(ours: Any, theirs: Any) -> None:
    assert [*inspect.signature(ours).parameters] == [*inspect.signature(theirs).parameters]


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(codec.ext) == (0, 1)
