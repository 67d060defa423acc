from __future__ import annotations

import array
import ast
import base64
import binascii
import copy
import datetime
import doctest
import json
import math
import mmap
import pickle
import threading
import tracemalloc
from collections import OrderedDict
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from xyfast import _core, codec
from xyfast.codec import (
    ExtType,
    Timestamp,
    b64decode,
    b64encode,
    decode,
    decrypt,
    packb,
    pick,
    unpackb,
)
from xyfast.errors import DecodeError, DecryptError, EncodeError, ExtraData

# -- what the property tests are run on -------------------------------------------------

INTS = st.one_of(
    st.integers(-3, 20),
    st.integers(-(2**63), 2**64 - 1),
    st.builds(
        lambda bit, off: max(-(2**63), min(2**64 - 1, 2**bit + off)),
        st.integers(0, 64),
        st.integers(-2, 2),
    ),
)
FLOATS = st.one_of(st.floats(), st.integers(-3, 20).map(lambda n: n / 2))
NAMES = st.one_of(st.sampled_from(["1", "2", "null", "true", "1.0", "a"]), st.text(max_size=40))
SCALARS = st.one_of(st.none(), st.booleans(), INTS, FLOATS, NAMES, st.binary(max_size=40))
EXTENSIONS = st.one_of(
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20)),
    st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1)),
    st.builds(msgpack.Timestamp, st.integers(0, 2**35), st.integers(0, 2)),
)


def trees(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=20), st.dictionaries(keys, inner, max_size=20)
        ),
        max_leaves=30,
    )


ANY = st.one_of(SCALARS, EXTENSIONS)
TREES = trees(ANY, ANY)


class Entries(NamedTuple):
    """A map as written on the wire: equal keys may come again."""

    pairs: list[tuple[Any, Any]]


WIRE = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.lists(st.tuples(SCALARS, inner), max_size=6).map(Entries),
    ),
    max_leaves=20,
)
PAYLOADS = st.lists(st.tuples(SCALARS, WIRE), max_size=20).map(Entries)


def wire(value: Any) -> bytes:
    if isinstance(value, Entries):
        packer = msgpack.Packer()
        head: bytes = packer.pack_map_header(len(value.pairs))
        return head + b"".join(wire(part) for pair in value.pairs for part in pair)
    if isinstance(value, list):
        packer = msgpack.Packer()
        head = packer.pack_array_header(len(value))
        return head + b"".join(map(wire, value))
    packed: bytes = msgpack.packb(value)
    return packed


def changed(data: bytes, changes: list[tuple[int, int]], cut: int) -> bytes:
    wild = bytearray(data)
    for at, byte in changes:
        wild[at % len(wild)] = byte
    return bytes(wild[: cut % (len(wild) * 4) + 1])


CHANGES = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4)
WILD = st.one_of(
    st.binary(max_size=100),
    st.builds(changed, TREES.map(msgpack.packb), CHANGES, st.integers(0)),
    st.builds(changed, PAYLOADS.map(wire), CHANGES, st.integers(0)),
)


def attempt(call: Any, *args: Any, **options: Any) -> tuple[Any, Exception | None]:
    """Return what a call returns, or what it raises."""
    try:
        return call(*args, **options), None
    except Exception as error:
        return None, error


# -- MessagePack -------------------------------------------------------------------------


def ours(value: Any) -> Any:
    """Return the tree with our ExtType and Timestamp in place of msgpack's."""
    if isinstance(value, msgpack.ExtType):
        return ExtType(*value)
    if isinstance(value, msgpack.Timestamp):
        return Timestamp(value.seconds, value.nanoseconds)
    if isinstance(value, list):
        return [ours(v) for v in value]
    if isinstance(value, dict):
        return {ours(k): ours(v) for k, v in value.items()}
    return value


@given(TREES)
def test_packs_as_msgpack_does(tree: Any) -> None:
    assert packb(ours(tree)) == msgpack.packb(tree)


@given(TREES)
def test_unpacks_what_it_packs(tree: Any) -> None:
    packed = packb(ours(tree))
    assert repr(unpackb(packed, strict_map_key=False)) == repr(
        msgpack.unpackb(packed, strict_map_key=False)
    )


@given(WILD, st.booleans())
def test_unpacks_what_msgpack_unpacks_and_nothing_else(data: bytes, strict: bool) -> None:
    expected, refusal = attempt(msgpack.unpackb, data, strict_map_key=strict)
    value, error = attempt(unpackb, data, strict_map_key=strict)
    if isinstance(refusal, msgpack.ExtraData):
        assert isinstance(error, ExtraData)
        assert repr(error.unpacked) == repr(refusal.unpacked)
        assert error.extra == refusal.extra
        assert error.offset == len(data) - len(error.extra)
    elif refusal is not None:
        assert type(error) is DecodeError
    else:
        assert error is None
        assert repr(value) == repr(expected)


@given(TREES)
def test_a_cut_value_is_truncated(tree: Any) -> None:
    packed = packb(ours(tree))
    for end in range(len(packed)):
        with pytest.raises(DecodeError) as raised:
            unpackb(packed[:end], strict_map_key=False)
        assert raised.value.reason == "truncated"


@pytest.mark.parametrize(
    ("data", "reason", "offset"),
    [
        (b"", "truncated", 0),
        (b"\x92\x01", "truncated", 2),
        (b"\x92\x01\xc1", "format", 2),
        (b"\xa2a\xff", "utf8", 2),
        (b"\x81\x90\x01", "key", 1),
        (b"\x81\x01\x01", "key", 1),
        (b"\x81\xa1a\x81\xc0\x01", "key", 4),
        (b"\xd4\xfe\x00", "extension", 0),
        (b"\xd4\xff\x00", "timestamp", 0),
        (b"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00", "timestamp", 0),
        (b"\x91" * 513 + b"\x01", "depth", 512),
    ],
)
def test_an_error_says_what_and_where(data: bytes, reason: str, offset: int) -> None:
    with pytest.raises(ValueError, match=f"at byte {offset}$") as raised:
        unpackb(data)
    error = raised.value
    assert isinstance(error, DecodeError)
    assert (error.reason, error.offset) == (reason, offset)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.offset) == (str(error), reason, offset)


def test_keys_that_are_no_text_are_taken_on_request() -> None:
    data = wire(Entries([(1, 2), (None, 3), (1.5, 4), (b"b", 5), (True, 6)]))
    assert unpackb(data, strict_map_key=False) == {1: 6, None: 3, 1.5: 4, b"b": 5}
    assert unpackb(b"\x82\xa1a\x01\xc4\x01b\x02") == {"a": 1, b"b": 2}


def test_the_depth_is_limited_as_asked() -> None:
    nest = b"\x91" * 5 + b"\x01"
    assert unpackb(nest, max_depth=5) == [[[[[1]]]]]
    with pytest.raises(DecodeError):
        unpackb(nest, max_depth=4)
    assert packb([[[[[1]]]]], max_depth=5) == nest
    with pytest.raises(EncodeError):
        packb([[[[[1]]]]], max_depth=4)
    assert unpackb(b"\x01", max_depth=0) == 1
    with pytest.raises(DecodeError):
        decode(b64encode(b"\x81\x01\x90"), max_depth=1)


def on_a_small_stack(work: Any) -> None:
    """Run work on a thread whose stack is as small as musl's or smaller."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
    finally:
        threading.stack_size(before)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("level", [b"\x91", b"\x81\x01", b"\x81\x01\x91", b"\x81", b"\x82\x91"])
def test_a_depth_bomb_is_an_error(level: bytes) -> None:
    bomb = b"\x81\x01" + level * 100_000 + b"\x01"
    payload = b64encode(bomb)

    def work() -> None:
        for call in (
            lambda: unpackb(bomb, strict_map_key=False),
            lambda: decrypt(payload),
            lambda: decode(payload),
            lambda: pick(payload, ["1.1.1"]),
        ):
            with pytest.raises(DecodeError) as raised:
                call()
            assert raised.value.reason == "depth"

    on_a_small_stack(work)


def test_nesting_costs_no_stack() -> None:
    def work() -> None:
        nest = b"\x91" * 50_000 + b"\x01"
        tree = unpackb(nest, max_depth=50_000)
        assert packb(tree, max_depth=50_000) == nest
        with pytest.raises(EncodeError):
            packb(tree)

    on_a_small_stack(work)


def test_a_list_within_itself_is_too_deep() -> None:
    endless: list[Any] = []
    endless.append({"a": (endless,)})
    with pytest.raises(EncodeError, match="deep"):
        packb(endless)


@pytest.mark.parametrize(
    "lie",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\xff\xff" * 400,
    ],
)
def test_a_false_length_allocates_nothing(lie: bytes) -> None:
    with pytest.raises(DecodeError):
        unpackb(lie)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            unpackb(lie)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16_384


def test_packs_relatives_of_the_known_types() -> None:
    class Colour(IntEnum):
        RED = 3

    class Point(NamedTuple):
        x: int
        y: int

    class Name(str):
        __slots__ = ()

    assert packb(Colour.RED) == b"\x03"
    assert packb(Point(1, 2)) == b"\x92\x01\x02"
    assert packb(Name("a")) == b"\xa1a"
    assert packb(OrderedDict(a=1)) == b"\x81\xa1a\x01"
    assert packb({(1, 2): None}) == b"\x81\x92\x01\x02\xc0"


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        1j,
        2**64,
        -(2**63) - 1,
        "\ud800",
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        Timestamp(2**63, 0),
    ],
)
def test_refuses_what_has_no_form(value: Any) -> None:
    with pytest.raises(EncodeError):
        packb([value])
    with pytest.raises(ValueError):  # noqa: PT011 - the promise is the class
        packb({"a": value})


def test_names_the_type_that_has_no_form_and_not_the_value() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "cookie2=hunter2"

    with pytest.raises(EncodeError, match=r"type Secret$"):
        packb({"a": Secret()})


def test_takes_every_buffer() -> None:
    data = packb({"a": [1, "闲鱼"]})
    mapped = mmap.mmap(-1, len(data))
    mapped[:] = data
    strided = memoryview(b"".join(bytes([byte, 0]) for byte in data))[::2]
    wide = array.array("H", packb([1, 2, 3]))
    for buffer in (data, bytearray(data), memoryview(data), mapped, strided):
        assert unpackb(buffer) == {"a": [1, "闲鱼"]}
        assert b64decode(b64encode(buffer)) == data
    assert unpackb(wide) == [1, 2, 3]
    mapped.close()


@pytest.mark.parametrize("wrong", ["\x01", None, 5, [1], object()])
def test_unpackb_takes_nothing_but_buffers(wrong: Any) -> None:
    with pytest.raises(TypeError):
        unpackb(wrong)


# -- ExtType and Timestamp ---------------------------------------------------------------


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


# -- base64 ------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_encodes_as_the_standard_library_does(data: bytes) -> None:
    text = b64encode(data)
    assert text == base64.b64encode(data).decode()
    assert b64decode(text) == b64decode(text.encode()) == data


@given(st.text("AQgw+/=", max_size=12))
def test_strict_decoding_takes_one_text_for_every_value(text: str) -> None:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error:
        data = None
    if data is not None and base64.b64encode(data).decode() == text:
        assert b64decode(text) == data
    else:
        with pytest.raises(DecodeError) as raised:
            b64decode(text)
        assert raised.value.reason == "base64"
        assert 0 <= raised.value.offset <= len(text)


@pytest.mark.parametrize("text", ["gQ GhYQ==", "gQGhYQ==\n", "gQ-_", "闲鱼==", "gQG\ud800", "Zh=="])
def test_strict_decoding_refuses_what_is_foreign(text: str) -> None:
    with pytest.raises(DecodeError, match="at character"):
        b64decode(text)


def forgiving(text: str) -> bytes:
    """Decode as the rules say: twice, with the standard library."""
    clean = text.encode("ascii", "ignore")
    try:
        return binascii.a2b_base64(clean)
    except binascii.Error:
        if len(clean) % 4 == 0:
            raise
        return binascii.a2b_base64(clean + b"=" * (4 - len(clean) % 4))


FOREIGN = st.text(st.sampled_from("AQgw+/==\n -_闲\ud800é\0"), max_size=16)


@given(st.one_of(FOREIGN, st.text(max_size=16)))
def test_forgiving_decoding_has_the_habits_of_the_standard_library(text: str) -> None:
    expected, refusal = attempt(forgiving, text)
    data, error = attempt(b64decode, text, strict=False)
    assert data == expected
    if refusal is not None:
        assert isinstance(error, DecodeError)
        with pytest.raises(DecryptError) as raised:
            decrypt(text)
        assert str(raised.value) == f"解密失败: {refusal}"
        assert raised.value.offset == error.offset == len(text)


# -- payloads ----------------------------------------------------------------------------


def reference(data: bytes) -> str:
    """Do what the pure-Python decoder does, with msgpack and json."""
    unpacker = msgpack.Unpacker(strict_map_key=False, ext_hook=refuse)
    unpacker.feed(data)
    value = unpacker.unpack()
    if not isinstance(value, dict):
        return str(value)
    return json.dumps(
        value, ensure_ascii=False, default=lambda data: data.decode("utf-8", "ignore")
    )


def refuse(code: int, data: bytes) -> None:
    raise ValueError("an extension type")


@given(PAYLOADS)
def test_decrypt_writes_what_json_dumps_writes(payload: Entries) -> None:
    data = wire(payload)
    expected, refusal = attempt(reference, data)
    text, error = attempt(decrypt, b64encode(data))
    assert text == expected
    if refusal is not None:
        assert isinstance(error, DecryptError)
        assert str(error) == f"解密失败: {refusal}"


@given(WILD, st.binary(max_size=3))
def test_decrypt_takes_what_the_reference_takes(data: bytes, extra: bytes) -> None:
    # Extension types are unknown to payloads, and no hook of msgpack refuses timestamps.
    assume(not any(head in data for head in (b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff")))
    expected, refusal = attempt(reference, data)
    text, error = attempt(decrypt, b64encode(data))
    assert text == expected
    if refusal is not None:
        assert isinstance(error, DecryptError)
        assert str(error).startswith("解密失败: ")
    else:
        assert decrypt(b64encode(data + extra)) == expected


DYADIC = st.builds(lambda n, bit: n / 2**bit, st.integers(-(2**53), 2**53), st.integers(-10, 60))


@given(
    st.lists(
        st.one_of(st.floats(), DYADIC, st.integers(-1074, 1023).map(lambda n: 2.0**n)), min_size=50
    )
)
def test_decrypt_spells_floats_as_python_does(floats: list[float]) -> None:
    # Fractions of two, and powers of it, have spellings that are equally short and equally near.
    assert decrypt(b64encode(packb({1: floats}))) == json.dumps({"1": floats})


@given(st.binary(min_size=1, max_size=12))
def test_decrypt_words_bad_text_as_python_does(text: bytes) -> None:
    expected, refusal = attempt(text.decode)
    answer, error = attempt(decrypt, b64encode(b"\x81\x01" + bytes([0xA0 + len(text)]) + text))
    if isinstance(refusal, UnicodeDecodeError):
        assert isinstance(error, DecryptError)
        assert str(error) == f"解密失败: {refusal}"
        assert error.offset == 3 + refusal.start
    else:
        assert json.loads(answer) == {"1": expected}


@given(PAYLOADS)
def test_decode_is_what_json_makes_of_the_text(payload: Entries) -> None:
    text = b64encode(wire(payload))
    expected, refusal = attempt(lambda: json.loads(decrypt(text)))
    tree, error = attempt(decode, text)
    assert repr(tree) == repr(expected)
    if isinstance(refusal, DecryptError):
        assert isinstance(error, DecodeError)
        assert (error.reason, error.offset) == (refusal.reason, refusal.offset)


@given(WILD)
def test_decrypt_decode_and_pick_refuse_the_same_maps(data: bytes) -> None:
    is_map = data[0:1] in (b"\xde", b"\xdf") or 0x80 <= (data or b"\0")[0] <= 0x8F
    text = b64encode(data)
    answers: list[object] = []
    for call in (decrypt, decode, lambda text: pick(text, ["1", "a.b"])):
        try:
            call(text)
            answers.append(None)
        except DecodeError as error:
            answers.append((error.reason, error.offset))
    if is_map or not data:
        assert answers[0] == answers[1] == answers[2]
    else:
        assert answers[1:] == [("top-level", 0)] * 2


PATHS = st.lists(
    st.lists(
        st.sampled_from(["1", "2", "null", "true", "1.0", "a", "0", "-1"]), min_size=1, max_size=3
    ),
    max_size=5,
).map(lambda paths: [".".join(path) for path in paths])


@given(PAYLOADS, PATHS)
def test_pick_finds_what_decode_has(payload: Entries, paths: list[str]) -> None:
    text = b64encode(wire(payload))
    try:
        tree = decode(text)
    except DecodeError:
        return
    expected = []
    for path in paths:
        value: Any = tree
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        expected.append(value)
    assert repr(pick(text, paths)) == repr(tuple(expected))


def test_pick_returns_values_of_every_kind_in_the_order_asked() -> None:
    text = b64encode(packb({1: {10: {"reminderContent": "在吗"}, 2: [1, {3: 4}]}, 9: None}))
    asked = ["1.2", "1.10.reminderContent", "9", "1.10", "8", "1.2.0", "1.2"]
    assert pick(text, asked) == (
        [1, {"3": 4}],
        "在吗",
        None,
        {"reminderContent": "在吗"},
        None,
        None,
        [1, {"3": 4}],
    )
    assert pick(text, []) == ()


def test_payloads_may_be_bytes() -> None:
    text = b64encode(packb({1: "a"}))
    for payload in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
        assert decode(payload) == {"1": "a"}
        assert pick(payload, ("1",)) == ("a",)


def test_a_released_buffer_says_so() -> None:
    released = memoryview(b"gQGhYQ==")
    released.release()
    for call in (decrypt, decode, b64decode):
        with pytest.raises(ValueError, match="released memoryview"):
            call(released)


@pytest.mark.parametrize("wrong", [None, 5, ["gQEC"]])
def test_decode_takes_nothing_but_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected str or a bytes-like object"):
        decode(wrong)
    with pytest.raises(TypeError):
        pick(wrong, [])


def test_paths_are_several() -> None:
    wrong: Any = "1.10"
    with pytest.raises(TypeError):
        pick("gQGhYQ==", wrong)


def test_no_error_repeats_the_message() -> None:
    secret = "密码hunter2"
    for data in (
        packb({1: secret})[:-1],
        packb({1: secret})[:-1] + b"\xff",
        packb({1: [secret]})[:-1] + b"\xc1",
        b"\x81" + packb([secret]) + b"\x01",
        b"\x82\x01" + packb(secret) + packb(secret.encode()) + b"\x01",
    ):
        for call in (decrypt, decode):
            with pytest.raises(DecodeError) as raised:
                call(b64encode(data))
            assert "hunter2" not in str(raised.value) + repr(raised.value)


def test_ten_threads_decode_alike() -> None:
    texts = [b64encode(packb({1: {i: "闲鱼" * i}, "t": Timestamp.__name__})) for i in range(50)]
    expected = [(decrypt(text), decode(text)) for text in texts]
    wrong: list[int] = []
    start = threading.Barrier(10)

    def work() -> None:
        start.wait(10)
        for _ in range(20):
            answers = [(decrypt(text), decode(text)) for text in texts]
            if answers != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def documented() -> list[Any]:
    """Return the functions and classes of the stub that have docs."""
    stub = Path(codec.__file__).with_name("_core.pyi").read_text(encoding="utf-8")
    nodes = [n for n in ast.walk(ast.parse(stub)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [pytest.param(doc, id=node.name) for node in nodes if (doc := ast.get_docstring(node))]


@pytest.mark.parametrize("doc", documented())
def test_the_examples_of_the_docs_hold(doc: str) -> None:
    names = {name: getattr(_core, name) for name in dir(_core)}
    test = doctest.DocTestParser().get_doctest(doc, names, "example", None, None)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(codec) == (0, 1)


def test_the_short_names_are_the_long_ones() -> None:
    assert codec.dumps is codec.packb
    assert codec.loads is codec.unpackb
    assert all(hasattr(codec, name) for name in codec.__all__)


class Sly(Timestamp):
    """A timestamp whose field changes the container that it stands in."""

    container: Any = None

    def __getattribute__(self, name: str) -> Any:
        if name == "seconds":
            container = Sly.container
            if isinstance(container, dict):
                container["new"] = 1
            elif container is not None:
                del container[0]
        return super().__getattribute__(name)


def test_a_container_that_changes_while_it_is_written_is_written_as_it_was() -> None:
    entries: dict[str, Any] = {"a": 1}
    entries["sly"] = Sly(5)
    entries["z"] = 2
    Sly.container = entries
    assert set(unpackb(packb(entries))) == {"a", "sly", "z"}
    items: list[Any] = [1, Sly(5), 3]
    Sly.container = items
    assert unpackb(packb(items)) == [1, Timestamp(5), 3]
    assert len(items) == 2


def test_an_object_that_only_claims_to_be_a_timestamp_is_refused() -> None:
    class Liar:
        @property
        def __class__(self) -> type:  # type: ignore[override]
            return Timestamp

    with pytest.raises(EncodeError, match="Liar"):
        packb({"a": Liar()})
