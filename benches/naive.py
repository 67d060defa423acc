"""The pure-Python way: what a bot does that uses no compiled package.

A decoder as scripts have it, a class with a method per kind of value, and base64 and json of
the standard library around it.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any


class NaiveDecoder:
    """Reads one MessagePack value."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def decode(self) -> Any:
        return self.read_value()

    def read_byte(self) -> int:
        if self.position >= len(self.data):
            raise ValueError("Unexpected end of data")
        byte = self.data[self.position]
        self.position += 1
        return byte

    def read_bytes(self, count: int) -> bytes:
        if self.position + count > len(self.data):
            raise ValueError("Unexpected end of data")
        found = self.data[self.position : self.position + count]
        self.position += count
        return found

    def read_number(self, layout: str) -> Any:
        return struct.unpack(layout, self.read_bytes(struct.calcsize(layout)))[0]

    def read_string(self, length: int) -> str:
        return self.read_bytes(length).decode("utf-8")

    def read_array(self, length: int) -> list[Any]:
        values = []
        for _ in range(length):
            values.append(self.read_value())
        return values

    def read_map(self, length: int) -> dict[Any, Any]:
        values = {}
        for _ in range(length):
            key = self.read_value()
            value = self.read_value()
            values[key] = value
        return values

    def read_value(self) -> Any:
        head = self.read_byte()
        if head <= 0x7F:
            return head
        if head <= 0x8F:
            return self.read_map(head & 0x0F)
        if head <= 0x9F:
            return self.read_array(head & 0x0F)
        if head <= 0xBF:
            return self.read_string(head & 0x1F)
        if head >= 0xE0:
            return head - 0x100
        if head == 0xC0:
            return None
        if head == 0xC2:
            return False
        if head == 0xC3:
            return True
        if head == 0xC4:
            return self.read_bytes(self.read_number(">B"))
        if head == 0xC5:
            return self.read_bytes(self.read_number(">H"))
        if head == 0xC6:
            return self.read_bytes(self.read_number(">I"))
        if head == 0xCA:
            return self.read_number(">f")
        if head == 0xCB:
            return self.read_number(">d")
        if head == 0xCC:
            return self.read_number(">B")
        if head == 0xCD:
            return self.read_number(">H")
        if head == 0xCE:
            return self.read_number(">I")
        if head == 0xCF:
            return self.read_number(">Q")
        if head == 0xD0:
            return self.read_number(">b")
        if head == 0xD1:
            return self.read_number(">h")
        if head == 0xD2:
            return self.read_number(">i")
        if head == 0xD3:
            return self.read_number(">q")
        if head == 0xD9:
            return self.read_string(self.read_number(">B"))
        if head == 0xDA:
            return self.read_string(self.read_number(">H"))
        if head == 0xDB:
            return self.read_string(self.read_number(">I"))
        if head == 0xDC:
            return self.read_array(self.read_number(">H"))
        if head == 0xDD:
            return self.read_array(self.read_number(">I"))
        if head == 0xDE:
            return self.read_map(self.read_number(">H"))
        if head == 0xDF:
            return self.read_map(self.read_number(">I"))
        raise ValueError(f"Unknown format byte: {head:02x}")


def unpackb(data: bytes) -> Any:
    """Return the first value of MessagePack data."""
    return NaiveDecoder(data).decode()


def _json_form(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="ignore")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decrypt(payload: object) -> str:
    """Return a payload's map as JSON text, any other value as its `str()`."""
    try:
        text = str(payload)
        if not text.isascii():
            text = text.encode("ascii", errors="ignore").decode("ascii")
        try:
            data = base64.b64decode(text)
        except binascii.Error:
            missing = len(text) % 4
            if not missing:
                raise
            data = base64.b64decode(text + "=" * (4 - missing))
        value = unpackb(data)
        if isinstance(value, dict):
            return json.dumps(value, ensure_ascii=False, default=_json_form)
        return str(value)
    except Exception as error:
        raise Exception(f"解密失败: {error}") from error
