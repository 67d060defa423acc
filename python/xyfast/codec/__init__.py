"""MessagePack, base64 and the payloads of the 闲鱼 web IM.

`packb` and `unpackb` do what the functions of the same name in ``msgpack`` do, so
``import xyfast.codec as msgpack`` serves programs written for it.
"""

from __future__ import annotations

from xyfast._core import b64decode, b64encode, decode, decrypt, packb, pick, unpackb
from xyfast.codec.ext import ExtType, Timestamp
from xyfast.codec.files import pack, unpack

__all__ = [
    "ExtType",
    "Timestamp",
    "b64decode",
    "b64encode",
    "decode",
    "decrypt",
    "dump",
    "dumps",
    "load",
    "loads",
    "pack",
    "packb",
    "pick",
    "unpack",
    "unpackb",
]

dump = pack
dumps = packb
load = unpack
loads = unpackb
