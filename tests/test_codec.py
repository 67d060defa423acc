"""What the functions of the codec have in common: buffers, threads, names and examples."""

from __future__ import annotations

import array
import ast
import doctest
import gc
import mmap
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given

import xyfast
from trees import TREES, ours
from xyfast import _core, codec, errors
from xyfast.codec import (
    Picker,
    Timestamp,
    b64decode,
    b64encode,
    decode,
    decrypt,
    packb,
    pick,
    unpackb,
)


@given(TREES)
def test_packs_as_msgpack_does(tree: Any) -> None:
    assert packb(ours(tree)) == msgpack.packb(tree)


@given(TREES)
def test_unpacks_what_it_packs(tree: Any) -> None:
    packed = packb(ours(tree))
    assert repr(unpackb(packed, strict_map_key=False)) == repr(
        msgpack.unpackb(packed, strict_map_key=False)
    )


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


IMPORTED = """
import sys
import xyfast
assert xyfast.codec.decode_frame and "xyfast.testing" not in sys.modules
assert xyfast.testing.FakeServer
try:
    xyfast.nothing
except AttributeError as error:
    assert str(error) == "module 'xyfast' has no attribute 'nothing'"
else:
    raise AssertionError
"""


def test_one_import_brings_the_codec_and_the_fake_server_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", IMPORTED], check=True)


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
