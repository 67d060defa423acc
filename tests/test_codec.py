from __future__ import annotations

import array
import ast
import base64
import binascii
import copy
import datetime
import doctest
import gc
import inspect
import json
import math
import mmap
import pickle
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import xyfast
from trees import (
    PAYLOADS,
    TREES,
    WILD,
    Entries,
    attempt,
    on_a_small_stack,
    ours,
    wire,
)
from xyfast import _core, codec, errors
from xyfast.codec import (
    ExtType,
    Picker,
    Timestamp,
    b64decode,
    b64encode,
    decode,
    decrypt,
    decrypt_many,
    packb,
    pick,
    unpackb,
)
from xyfast.errors import DecodeError, DecryptError

# -- MessagePack -------------------------------------------------------------------------


@given(TREES)
def test_packs_as_msgpack_does(tree: Any) -> None:
    assert packb(ours(tree)) == msgpack.packb(tree)


@given(TREES)
def test_unpacks_what_it_packs(tree: Any) -> None:
    packed = packb(ours(tree))
    assert repr(unpackb(packed, strict_map_key=False)) == repr(
        msgpack.unpackb(packed, strict_map_key=False)
    )


def test_the_depth_is_limited_as_asked() -> None:
    with pytest.raises(DecodeError):
        decode(b64encode(b"\x81\x01\x90"), max_depth=1)


@pytest.mark.parametrize("depth", [-1, -(2**70), 2**64, 2**70])
def test_a_depth_that_is_no_count_is_a_value_error_with_the_range(depth: int) -> None:
    with pytest.raises(ValueError, match="max_depth must be within 0 and "):
        decode("gQGhYQ==", max_depth=depth)
    assert decode("gQGhYQ==", max_depth=sys.maxsize) == {"1": "a"}


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
        payload = b64encode(b"\x81\x01" + b"\x91" * 50_000 + b"\x01")
        tree, depth = decode(payload, max_depth=50_001)["1"], 0
        while isinstance(tree, list):
            (tree,) = tree
            depth += 1
        assert depth == 50_000

    on_a_small_stack(work)


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
def test_decrypt_and_decode_refuse_the_same_maps(data: bytes) -> None:
    is_map = data[0:1] in (b"\xde", b"\xdf") or 0x80 <= (data or b"\0")[0] <= 0x8F
    text = b64encode(data)
    answers: list[object] = []
    for call in (decrypt, decode):
        try:
            call(text)
            answers.append(None)
        except DecodeError as error:
            answers.append((error.reason, error.offset))
    if is_map or not data:
        assert answers[0] == answers[1]
    else:
        assert answers[1] == ("top-level", 0)


PATHS = st.lists(
    st.lists(
        st.sampled_from(["1", "2", "null", "true", "1.0", "a", "0", "-1"]), min_size=1, max_size=3
    ),
    max_size=5,
).map(lambda paths: [".".join(path) for path in paths])


def follow(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def outcome(call: Callable[[], object]) -> object:
    """Return what a call returns, as its repr, or why it cannot."""
    try:
        return repr(call())
    except DecodeError as error:
        return error.reason, error.offset


@given(st.one_of(PAYLOADS.map(wire), WILD), PATHS)
def test_pick_finds_what_decode_has(data: bytes, paths: list[str]) -> None:
    text = b64encode(data)
    whole = outcome(lambda: tuple(follow(decode(text), path) for path in paths or [""]))
    picked = outcome(lambda: pick(text, paths or [""]))
    # Text that is passed over may be bad.
    assert picked == whole or (whole[0] == "utf8" and isinstance(picked, str))


def test_pick_checks_the_text_of_what_it_returns() -> None:
    text = b64encode(b"\x82\x01\xa1\xff\x02\xa1a")
    assert pick(text, ["2"]) == ("a",)
    for call in (lambda: pick(text, ["1"]), lambda: decode(text)):
        assert outcome(call) == ("utf8", 3)


def test_a_picker_does_what_pick_does() -> None:
    text = b64encode(packb({1: {10: {"reminderContent": "在吗"}, 2: 3}}))
    paths = ("1.10.reminderContent", "1.2", "9")
    picker = Picker(*paths)
    assert picker(text) == picker(text.encode()) == pick(text, paths) == ("在吗", 3, None)
    assert Picker()(text) == ()
    assert picker.paths == paths
    assert repr(picker) == "Picker('1.10.reminderContent', '1.2', '9')"
    assert list(map(picker, [text] * 3)) == [picker(text)] * 3
    assert picker(*[text], **{}) == Picker.__call__(picker, text) == picker(text)


def test_pickers_are_values() -> None:
    picker = Picker("1.2", "9")
    same = Picker("1.2", "9")
    assert picker == same
    assert hash(picker) == hash(same)
    assert picker != Picker("9", "1.2")
    assert picker != ("1.2", "9")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(picker, protocol))
        assert again == picker
        assert again("gQGBAqF4") == ("x", None)
    assert copy.deepcopy(picker) == picker


def test_a_picker_takes_one_payload() -> None:
    picker: Any = Picker("1")
    text = b64encode(b"\x80")
    for call in (
        lambda: picker(),
        lambda: picker(text, text),
        lambda: picker(payload=text),
        lambda: picker(text, a=1),
        lambda: picker(5),
        lambda: Picker.__call__(picker),
        lambda: type(picker)(5),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(DecodeError, match="not a map"):
        picker(b64encode(b"\x01"))


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


def test_decrypt_takes_every_buffer_as_text_and_the_str_of_everything_else() -> None:
    text = b"gQGhYQ=="
    mapped = mmap.mmap(-1, len(text))
    mapped[:] = text
    strided = memoryview(b"".join(bytes([byte, 0]) for byte in text))[::2]
    for payload in (bytearray(text), mapped, array.array("B", text), strided):
        assert decrypt(payload) == '{"1": "a"}'
        assert decrypt_many([payload]) == ['{"1": "a"}']

    class Said:
        def __str__(self) -> str:
            return text.decode()

    assert decrypt(Said()) == '{"1": "a"}'
    mapped.close()


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
    for wrong in ("1", "1.10", 5, None):
        paths: Any = wrong
        with pytest.raises(
            TypeError, match=f"paths must be an iterable of str, not {type(wrong).__name__}"
        ):
            pick("gQGhYQ==", paths)
    wrong_path: Any = [1]
    with pytest.raises(TypeError):
        pick("gQGhYQ==", wrong_path)
    assert pick("gQGhYQ==", iter(["1", "2"])) == ("a", None)
    assert pick("gQGhYQ==", {"1": 0}) == ("a",)


def test_classes_cannot_be_changed_and_some_can_be_subclassed() -> None:
    """A class that takes `__call__ = ...` would be called by its old slot all the same."""
    classes = {kind for kind in vars(_core).values() if isinstance(kind, type)}
    assert classes >= {Picker, codec.Packer, codec.Unpacker, _core.Frame, _core.Links}
    for kind in classes:
        for name in ("__call__", "__init__", "more"):
            with pytest.raises(TypeError, match="immutable type"):
                setattr(kind, name, lambda *_: None)
    assert Picker("1")("gQGhYQ==") == ("a",)
    for kind in classes - {codec.Packer, codec.Unpacker}:
        with pytest.raises(TypeError, match="not an acceptable base type"):
            type("Mine", (kind,), {})
    for kind in (codec.Packer, codec.Unpacker):
        mine: Any = type("Mine", (kind,), {})
        mine.more = lambda self: type(self)
        assert mine().more() is mine


def test_one_import_serves_a_user_of_the_codec() -> None:
    exceptions = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.CodecError | errors.UnpackException)
    }
    assert {name: getattr(codec, name) for name in exceptions} == exceptions
    assert exceptions.keys() <= set(codec.__all__)
    functions = {
        name
        for name in _core.__all__
        if getattr(xyfast, name, None) is getattr(_core, name) and name in xyfast.__all__
    }
    assert functions <= set(codec.__all__)
    for name in {*xyfast.__all__} & {*codec.__all__}:
        assert getattr(xyfast, name) is getattr(codec, name)


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
    stub = Path(codec.__file__).parents[1].joinpath("_core.pyi").read_text(encoding="utf-8")
    nodes = [n for n in ast.walk(ast.parse(stub)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return [pytest.param(doc, id=node.name) for node in nodes if (doc := ast.get_docstring(node))]


@pytest.mark.parametrize("doc", documented())
def test_the_examples_of_the_docs_hold(doc: str) -> None:
    names = {name: getattr(_core, name) for name in dir(_core)}
    test = doctest.DocTestParser().get_doctest(doc, names, "example", None, None)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(codec.ext) == (0, 1)


def test_the_short_names_are_the_long_ones() -> None:
    assert codec.dumps is codec.packb
    assert codec.loads is codec.unpackb
    assert all(hasattr(codec, name) for name in codec.__all__)


@pytest.mark.parametrize("name", ["decode", "decode_frame", "decrypt", "packb", "unpackb", "pick"])
def test_functions_can_be_pickled_as_a_pool_of_processes_does(name: str) -> None:
    function = getattr(codec, name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert (function.__qualname__, function.__module__) == (name, "xyfast._core")


def test_keys_too_long_to_be_shared_are_not_kept() -> None:
    """A thread remembers keys and shapes of maps: short ones, or a sender decides how much."""
    before = len(gc.get_objects())
    keys = [f"{n:03}" + "x" * 100_000 for n in range(20)]
    data = packb(dict.fromkeys(keys, 0))
    for _ in range(5):
        tree = unpackb(data)
    key = next(iter(tree))
    del tree
    assert sys.getrefcount(key) == 2
    assert len(gc.get_objects()) <= before + 50
