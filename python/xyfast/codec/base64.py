"""The functions of the standard library's ``base64`` for base64, with vector code.

Names, arguments, results and exceptions are those of the running Python's ``base64``, so
``from xyfast.codec import base64`` serves programs that use nothing else of it. Malformed
text raises `Base64Error`, which is ``binascii.Error`` and xyfast's `DecodeError` at once.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from xyfast._core import a2b_base64, b2a_base64
from xyfast._core import b64decode as _strictly
from xyfast.errors import Base64Error, DecodeError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Base64Error",
    "b64decode",
    "b64encode",
    "decodebytes",
    "encodebytes",
    "standard_b64decode",
    "standard_b64encode",
    "urlsafe_b64decode",
    "urlsafe_b64encode",
]

_TO_URLSAFE = bytes.maketrans(b"+/", b"-_")
_LINE = 76


# Whatever is not plain success is left to the standard library, which knows what to answer.


def b64encode(s: Buffer, altchars: bytes | bytearray | None = None) -> bytes:
    """Encode bytes; ``altchars`` are the two characters to use for ``+`` and ``/``."""
    encoded = b2a_base64(s)
    if encoded is None or altchars is None:
        return base64.b64encode(s, altchars) if encoded is None else encoded
    assert len(altchars) == 2, repr(altchars)
    return encoded.translate(bytes.maketrans(b"+/", altchars))


def b64decode(
    s: str | Buffer, altchars: str | Buffer | None = None, validate: bool = False
) -> bytes:
    """Decode text; ``altchars`` are the two characters that stand for ``+`` and ``/``.

    Characters outside the alphabet are skipped, or are an error if ``validate`` is true.
    """
    text = s if altchars is None else _translated(s, altchars)
    decoded = a2b_base64(text, bool(validate))
    if decoded is not None:
        return decoded
    try:
        return base64.b64decode(s, altchars, validate)
    except binascii.Error as error:
        offset = _fault(text) if validate else _size(s)
        raise Base64Error(str(error), offset=offset) from None


def standard_b64encode(s: Buffer) -> bytes:
    """Encode bytes with the standard alphabet."""
    return b64encode(s)


def standard_b64decode(s: str | Buffer) -> bytes:
    """Decode text of the standard alphabet; other characters are skipped."""
    return b64decode(s)


def urlsafe_b64encode(s: Buffer) -> bytes:
    """Encode bytes with ``-`` and ``_`` in place of ``+`` and ``/``."""
    return b64encode(s).translate(_TO_URLSAFE)


def urlsafe_b64decode(s: str | Buffer) -> bytes:
    """Decode text of the alphabet with ``-`` and ``_``; other characters are skipped."""
    return b64decode(s, b"-_")


def encodebytes(s: Buffer) -> bytes:
    """Encode bytes as lines of 76 characters."""
    encoded = b2a_base64(s) if isinstance(s, bytes | bytearray) else None
    if encoded is None:
        return base64.encodebytes(s)
    starts = range(0, len(encoded), _LINE)
    return b"".join([encoded[start : start + _LINE] + b"\n" for start in starts])


def decodebytes(s: Buffer) -> bytes:
    """Decode lines of base64 text; characters outside the alphabet are skipped."""
    decoded = a2b_base64(s, False) if isinstance(s, bytes | bytearray) else None
    if decoded is not None:
        return decoded
    try:
        return base64.decodebytes(s)
    except binascii.Error as error:
        raise Base64Error(str(error), offset=_size(s)) from None


def _fault(text: Any) -> int:
    """Return where text is no base64; 0 if nothing is known of it."""
    try:
        _strictly(text or b"")
    except DecodeError as error:
        return error.offset
    return 0


def _size(text: str | Buffer) -> int:
    """Return the end of a text, where it shows that a group is not whole."""
    return len(text) if isinstance(text, str) else memoryview(text).nbytes


def _translated(s: object, altchars: object) -> bytes | bytearray | None:
    text, two = _ascii(s), _ascii(altchars)
    if text is None or two is None or len(two) != 2:
        return None
    return text.translate(bytes.maketrans(two, b"+/"))


def _ascii(s: object) -> bytes | bytearray | None:
    if isinstance(s, str):
        return s.encode() if s.isascii() else None
    return s if isinstance(s, bytes | bytearray) else None
