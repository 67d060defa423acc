"""Cases of what a server writes on a registered link, and all that the link must do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raw import CLOSE, PONG, TEXT, Peer, close, served
from scripted import REGISTER, User
from xyfast._core import Closed, Frame, Invalid, Opened

HUNG_UP = "the server hung up without a close frame"


class Bad(NamedTuple):
    """An event for what is no envelope."""

    reason: str
    size: int


class End(NamedTuple):
    """The last event."""

    trouble: str
    reason: str
    code: int | None = None


@dataclass(frozen=True)
class Case:
    """What the server writes, and what must follow.

    The link tells ``told`` (texts of frames, or what was bad), answers with ``pongs``, says
    goodbye with the code ``goodbye`` (empty: without one, None: not at all), and ends as ``end``
    says. ``then``
    is what the server does after writing.
    """

    name: str
    sent: Sequence[bytes]
    told: tuple[str | Bad, ...]
    pongs: tuple[bytes, ...]
    goodbye: bytes | None
    end: End
    then: str = "read"
    options: dict[str, Any] = field(default_factory=dict)


def code(number: int) -> bytes:
    return number.to_bytes(2, "big")


def lives(
    name: str,
    sent: bytes | Sequence[bytes],
    *told: str | Bad,
    pongs: tuple[bytes, ...] = (),
    **options: Any,
) -> Case:
    """Expect that a link bears it: a close frame afterwards finds it as it should be."""
    sent = [sent] if isinstance(sent, bytes) else sent
    end = End("link", "the server closed the link", 1000)
    return Case(name, [*sent, close(1000)], told, pongs, code(1000), end, options=options)


def breaks(
    name: str,
    sent: bytes | Sequence[bytes],
    complaint: int,
    reason: str,
    *told: str | Bad,
    pongs: tuple[bytes, ...] = (),
    **options: Any,
) -> Case:
    """Expect that a link ends, complaining with this code."""
    sent = [sent] if isinstance(sent, bytes) else sent
    end = End("protocol", reason)
    return Case(name, sent, told, pongs, code(complaint), end, options=options)


async def happens(user: User, case: Case, *, manner: str = "frames") -> None:
    """Play a case; ``manner`` says how its bytes are cut: "frames", "one" segment, or "bytes"."""
    heard: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.register()
        if manner == "bytes":
            await peer.trickle(b"".join(case.sent))
        else:
            for data in [b"".join(case.sent)] if manner == "one" else case.sent:
                await peer.write(data)
        if case.then == "reset":
            await peer.read()  # the first heartbeat, so that the link is registered
            peer.reset()
            return
        if case.then == "hang up":
            peer.hang_up()
        heard.extend((read.opcode, read.payload) for read in await peer.rest())

    async with served(script) as url:
        user.links.dial(1, url, headers=[], register=REGISTER, **case.options)
        assert isinstance(await user.next(), Opened)
        told: list[str | Bad] = []
        while not isinstance(event := await user.next(), Closed):
            assert isinstance(event, Frame | Invalid)
            told.append(event.text if isinstance(event, Frame) else Bad(event.reason, event.size))
        user.links.shutdown()
    end = End(event.trouble, event.reason, event.code)
    assert end == case.end, end
    assert told == list(case.told), told
    pongs = [data for opcode, data in heard if opcode == PONG]
    assert pongs == list(case.pongs), pongs
    # Whether a reason comes with the code is nobody's business.
    goodbyes = [data[:2] for opcode, data in heard if opcode == CLOSE]
    assert goodbyes == ([] if case.goodbye is None else [case.goodbye]), goodbyes
    assert not goodbyes or heard[-1][0] == CLOSE, "nothing follows the close frame"
    assert all(b'"/!"' in data for opcode, data in heard if opcode == TEXT)
    await asyncio.sleep(0)
    assert user.events.empty(), "nothing follows the end"
