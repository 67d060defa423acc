"""What a link tells, as the Rust module would say it.

The classes of the Rust module cannot be made from Python with a link in them. These wrap
what can be (a parsed frame) and call themselves by the classes that they stand for, so that
the client's ``match`` takes them.
"""

from __future__ import annotations

from typing import Any

from xyfast._core import Closed, Frame, Invalid, Opened, parse_frame

__all__ = ["SimClosed", "SimFrame", "SimInvalid", "SimOpened"]


class SimFrame:
    """A frame that came over ``link``."""

    __slots__ = ("_frame", "link")
    __class__ = property(lambda self: Frame)

    def __init__(self, link: int, text: str) -> None:
        self._frame = parse_frame(text)
        self.link = link

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


class SimInvalid:
    """``link`` has brought something that cannot be read."""

    __slots__ = ("link", "offset", "reason", "size")
    __class__ = property(lambda self: Invalid)

    def __init__(self, link: int, size: int) -> None:
        self.link = link
        self.reason = "json"
        self.offset = 0
        self.size = size


class SimOpened:
    """``link`` is registered."""

    __slots__ = ("answer", "link")
    __class__ = property(lambda self: Opened)

    def __init__(self, link: int, answer: SimFrame) -> None:
        self.link = link
        self.answer = answer


class SimClosed:
    """``link`` is over."""

    __slots__ = ("answer", "beats", "code", "good", "link", "reason", "trouble")
    __class__ = property(lambda self: Closed)

    def __init__(
        self, link: int, trouble: str, reason: str, answer: SimFrame | None = None
    ) -> None:
        self.link = link
        self.trouble = trouble
        self.reason = reason
        self.answer = answer
        self.code = None if answer is None else answer.code
        self.beats = self.good = 0
