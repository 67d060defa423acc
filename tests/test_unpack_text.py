"""Text of every length and width that unpackb makes, and text that is none."""

from __future__ import annotations

import pickle
import struct
import sys

import pytest

from trees import wire
from xyfast.codec import unpackb
from xyfast.errors import TextError


@pytest.mark.parametrize("character", ["a", "é", "ȩ", "鱼", "😀", "a鱼", "鱼é", "鱼😀"])
def test_text_of_every_length_is_taken_if_it_is_whole(character: str) -> None:
    for count in (*range(100), 200, 600, 3000, 30_000):
        text = character * count
        unpacked = unpackb(wire(text))
        assert unpacked == text
        # In units as narrow as may be, and no room behind them.
        assert sys.getsizeof(unpacked) <= sys.getsizeof("".join(list(text)))
        assert unpackb(wire(text + "x鱼")) == text + "x鱼"
        for broken in (b"\xe9\xb1", b"\xed\xa0\x80", b"\xe0\x9f\xbf", b"\xff"):
            data = b"\xdb" + struct.pack(">I", len(text.encode()) + len(broken))
            with pytest.raises(TextError) as raised:
                unpackb(data + text.encode() + broken)
            assert raised.value.offset == 5 + len(text.encode())


def test_a_text_error_is_a_decode_error_of_python_without_the_text() -> None:
    with pytest.raises(UnicodeDecodeError, match=r"invalid start byte at byte 2$") as raised:
        unpackb(b"\xa3a\xffb")
    error = raised.value
    assert isinstance(error, TextError)
    assert (error.encoding, error.object, error.start, error.end) == ("utf-8", b"", 1, 2)
    assert (error.reason, error.offset) == ("utf8", 2)
    again = pickle.loads(pickle.dumps(error))
    assert (again.start, again.end, again.reason) == (1, 2, "utf8")
