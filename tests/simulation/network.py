"""Sockets without sockets: what is written arrives later, in order, or never."""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulation.told import SimClosed, SimFrame, SimInvalid, SimOpened
from xyfast.config import Settings
from xyfast.events import Dial
from xyfast.testing.service import Service

__all__ = ["Network", "SimTransport", "Wire"]

_TICK = 1e-6


class Network:
    """How long things take, and what is broken; shared by all clients of a simulation."""

    def __init__(self, service: Service, dice: random.Random) -> None:
        self.service = service
        self.dice = dice
        self.down = False
        """Whether new connections fail."""
        self.black_hole = False
        """Whether new connections are never answered."""
        self.stall = 0.0
        """Seconds by which everything is late."""
        self.lose_acks = False
        """Whether the server forgets the acks that it gets."""
        self.lose_answers = 0
        """So many of the next answers to requests are lost within the server."""
        self.garble = 0
        """So many of the next frames cannot be read."""
        self.wires: list[Wire] = []
        """Sockets whose ends are not both gone."""
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()

    def later(self, delay: float, call: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Call back in the world's context: a client's death does not undo what it wrote."""
        return self._loop.call_later(delay, call, *args, context=self._context)

    def at(self, time: float, call: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """The same at a time of the loop."""
        return self._loop.call_at(time, call, *args, context=self._context)

    def latency(self) -> float:
        """Draw how long one frame takes."""
        return self.stall + 0.002 + self.dice.random() ** 3 * 0.2


class Wire:
    """One socket: the server's end is a `xyfast.testing` link, the other a transport's."""

    def __init__(self, network: Network, transport: SimTransport, policy: Dial) -> None:
        self.number = policy.link
        self.policy = policy
        self.transport = transport
        self.frozen = False
        """Half-open: nothing arrives any more, and nobody is told."""
        self.zombie = False
        """Whether the server answers on it, and pushes nothing any more."""
        self.registered = False
        """Whether the client was told that it is open."""
        self.closing = False
        """Whether the client has closed it."""
        self.heard_of = False
        """Whether the client has heard that it is open."""
        self.over = False
        """Whether the client's end is gone; it may not have heard so yet."""
        self.account: str | None = None
        self.beats: dict[str, float] = {}
        """Send times of heartbeats that are not answered yet."""
        self.last_beat = self.heard = 0.0
        self._misses = 0
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._up = False
        self._server_closing = False
        self._arrives = [0.0, 0.0]  # at the server, at the client
        self._unread: deque[str] = deque()
        self._register_mid = ""
        self._beat_number = 1
        network.wires.append(self)

    # --- the server's end, as `Service` sees a link --------------------------------------

    @property
    def open(self) -> bool:
        """Whether the server can write; a frozen link looks open."""
        return self._up and not self._server_closing

    def later(self, delay: float, call: Callable[..., object], *args: Any) -> None:
        """Call back after ``delay`` seconds unless the server's end is gone by then."""
        self._network.later(delay, lambda: call(*args) if self._up else None)

    def send_text(self, text: str) -> bool:
        """Write one message to the client; returns whether the link was there to take it."""
        if not self.open or (self.zombie and not text.startswith('{"code"')):
            return False
        if self._network.lose_answers and self._answers_a_request(text):
            self._network.lose_answers -= 1
            return True
        self._deliver(1, self._to_client, text)
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:
        """The server closes: behind what it wrote before."""
        if self.open:
            self._server_closing = True
            self._deliver(1, self._ended, "link", "the server closed")
            self.later(5.0, self.drop_server)

    def reset(self) -> None:
        """The connection breaks: what is on its way is lost, both ends are told."""
        self.drop_server()
        if not self.frozen:
            self._arrives[1] = 0.0
            self._network.later(self._network.latency(), self._ended, "link", "reset")
        self.frozen = True

    def drop_server(self) -> None:
        """The server's end is gone."""
        if self._up:
            self._up = False
            self._network.service.link_lost(self)  # type: ignore[arg-type]

    # --- the client's end ---------------------------------------------------------------

    def dial(self, register: str, open_timeout: float) -> None:
        """Connect and register; the answer, or its absence, is told."""
        self._register_mid = json.loads(register)["headers"]["mid"]
        self._network.later(open_timeout, self._opened_in_time)
        if self._network.down:
            self._network.later(self._network.latency(), self._ended, "network", "refused")
        elif not self._network.black_hole:
            self._deliver(0, self._connected, register)

    def write(self, text: str) -> None:
        """Write one frame to the server."""
        self._deliver(0, self._to_server, text)

    def close_from_client(self) -> None:
        """Close behind what was written; the server's own close answers it."""
        if self.closing or self.over:
            return
        self.closing = True
        if not self.registered:
            self.vanish("closed", "closed before it was open")
            return
        self._deliver(0, self._close_arrived)
        timeout = self.transport.settings.close_timeout
        self._network.later(timeout, self.vanish, "closed", "no answer to the close frame")

    def vanish(self, trouble: str, reason: str) -> None:
        """The client's end is gone without a word; the server finds out a little later."""
        if not self.over:
            self._ended(trouble, reason)
            if not self.frozen:
                self._network.later(self._network.latency(), self.drop_server)
            self.frozen = True

    def die(self) -> None:
        """The client's process is gone: its kernel tells the server."""
        self.over = True
        if not self.frozen:
            self._deliver(0, self.drop_server)

    # --- inside -------------------------------------------------------------------------

    def _deliver(self, end: int, call: Callable[..., object], *args: Any) -> None:
        """Have something arrive at an end, behind what was sent there before."""
        time = self._loop.time() + self._network.latency()
        time = max(self._arrives[end] + _TICK, time)  # timers of one time have no order
        self._arrives[end] = time
        self._network.at(time, self._arrive, call, args)

    def _arrive(self, call: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not self.frozen:
            call(*args)

    def _connected(self, register: str) -> None:
        if self.over:
            return
        self._up = True
        self._network.service.link_made(self)  # type: ignore[arg-type]
        self._network.service.link_opened(self)  # type: ignore[arg-type]
        self._to_server(register)

    def _answers_a_request(self, text: str) -> bool:
        if not self.registered or not text.startswith('{"code"'):
            return False
        return json.loads(text)["headers"]["mid"] not in self.beats

    def _to_server(self, text: str) -> None:
        if self._network.lose_acks and text.startswith('{"code"'):
            return
        if self._up:
            self._network.service.text_received(self, text)  # type: ignore[arg-type]

    def _close_arrived(self) -> None:
        if self._up:
            self._deliver(1, self._ended, "closed", "closed")
            self.drop_server()

    def _to_client(self, text: str) -> None:
        if self.over:
            return
        if self.transport.full(self):
            self._unread.append(text)
            return
        frame = SimFrame(self.number, text)
        if not self.registered:
            if frame.mid == self._register_mid:
                self._registration(frame)
        elif frame.mid in self.beats:
            self._beat_answered(frame)
        elif self._network.garble:
            self._network.garble -= 1
            self.transport.tell(SimInvalid(self.number, len(text)))
        else:
            self.transport.tell(frame)

    @property
    def unread(self) -> bool:
        """Whether frames wait in the socket, since the mailbox is full."""
        return bool(self._unread)

    def read_on(self) -> None:
        """There is room again: read what waited in the socket."""
        while self._unread and not self.transport.full(self):
            self._to_client(self._unread.popleft())

    def _registration(self, answer: SimFrame) -> None:
        if answer.code != 200:
            self._ended("refused", "the registration was refused", answer)
            self._network.later(self._network.latency(), self.drop_server)
            return
        self.registered = True
        self.heard = self._loop.time()
        self.transport.tell(SimOpened(self.number, answer))
        self._beat()

    def _opened_in_time(self) -> None:
        if not self.registered:
            self.vanish("network", "no answer to the registration")

    def _ended(self, trouble: str, reason: str, answer: SimFrame | None = None) -> None:
        if self.over:
            return
        if self._unread and trouble == "link":  # behind what is still to be read
            self._network.later(1.0, self._ended, trouble, reason)
            return
        self.over = True
        self.transport.tell(
            SimClosed(self.number, "closed" if self.closing else trouble, reason, answer)
        )
        if not answer and not self.frozen:  # else the server finds out by itself
            self.later(0.0, self.drop_server)

    # --- the heartbeat, as the Rust module's keep-alive does it -------------------------

    def _beat(self) -> None:
        now = self._loop.time()
        if self.over or self.closing:
            return
        if self._unread:
            self.heard = now  # silence while nobody reads is not the server's
        elif now >= self.heard + self.policy.timeout:
            self.vanish("link", "no heartbeat was answered")
            return
        mid = f"{self.number}{self._beat_number} 0"
        self._beat_number += 2
        self.beats[mid] = self.last_beat = now
        self.write(f'{{"lwp":"/!","headers":{{"mid":"{mid}"}}}}')
        self._network.later(self.policy.heartbeat, self._beat)
        left = self.heard + self.policy.timeout - now
        if left < self.policy.heartbeat:
            self._network.later(left, self._silent)

    def _silent(self) -> None:
        silent = self._loop.time() >= self.heard + self.policy.timeout
        if silent and not self.over and not self._unread:
            self.vanish("link", "no heartbeat was answered")

    def _beat_answered(self, answer: SimFrame) -> None:
        del self.beats[answer.mid]
        if answer.code == 200:
            self.heard = self._loop.time()
            self._misses = 0
            return
        self._misses += 1
        if self._misses >= self.policy.misses:
            self.vanish("deaf", "heartbeats were answered with refusals")


class SimTransport:
    """A client's links; the `xyfast.transport.Transport` of the simulation.

    ``alive`` is asked before anything is told or written: a dead process does neither.
    ``context`` is the client's, in which it is told.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings,
        alive: Callable[[], bool],
        watch: Any,
        context: contextvars.Context,
    ) -> None:
        self.settings = settings
        self.wires: dict[int, Wire] = {}
        """Links whose end was not told yet."""
        self._network = network
        self._alive = alive
        self._watch = watch
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._sink: Callable[[Sequence[Any]], None] | None = None
        self._mailbox: deque[Any] = deque()
        self._frames: dict[int, int] = {}
        self._paused = False
        self._draining = False

    def start(self, sink: Callable[[Sequence[Any]], None]) -> None:
        """See `Transport.start`."""
        self._sink = sink

    def dial(
        self, policy: Dial, headers: Sequence[tuple[str, str]], register: str, proxy: str | None
    ) -> None:
        """See `Transport.dial`."""
        if self._alive():
            wire = self.wires[policy.link] = Wire(self._network, self, policy)
            self._watch.dialled(wire, register)
            wire.dial(register, self.settings.open_timeout)

    def ack(self, frames: Sequence[Any]) -> int:
        """See `Transport.ack`."""
        written = 0
        for frame in frames:
            wire = self.wires.get(frame.link)
            if frame.ack is not None and wire is not None and self._writable(wire):
                self._watch.acked(wire, frame)
                wire.write(frame.ack)
                written += 1
        return written

    def send(self, link: int, text: str) -> bool:
        """See `Transport.send`."""
        wire = self.wires.get(link)
        if wire is None or not self._writable(wire):
            return False
        self._watch.asked(wire, text)
        wire.write(text)
        return True

    def stats(self, link: int) -> Mapping[str, float] | None:
        """See `Transport.stats`."""
        return None

    def close(self, link: int) -> None:
        """See `Transport.close`."""
        wire = self.wires.get(link)
        if wire is not None and self._alive():
            wire.close_from_client()

    def pause(self) -> None:
        """See `Transport.pause`."""
        self._paused = True

    def resume(self) -> None:
        """See `Transport.resume`."""
        self._paused = False
        self._drain_soon()

    def stop(self) -> None:
        """See `Transport.stop`."""
        if self._alive():
            self._sink = None
            for wire in self.wires.values():
                if not wire.over:
                    wire.die()

    def die(self) -> None:
        """The process is gone, its sockets with it."""
        self._sink = None
        for wire in self.wires.values():
            if not wire.over:
                wire.die()

    # --- for wires ----------------------------------------------------------------------

    def full(self, wire: Wire) -> bool:
        """Whether a link must not be read from now."""
        return self._frames.get(wire.number, 0) >= self.settings.mailbox_frames

    def tell(self, event: Any) -> None:
        """Put an event into the mailbox."""
        if self._alive() and self._sink is not None:
            self._mailbox.append(event)
            self._frames[event.link] = self._frames.get(event.link, 0) + 1
            self._drain_soon()

    def _writable(self, wire: Wire) -> bool:
        return self._alive() and wire.registered and not wire.closing and not wire.over

    def _drain_soon(self) -> None:
        if self._mailbox and not self._draining and not self._paused:
            self._draining = True
            busy = self._network.dice.random() ** 4 * 0.1  # until the event loop comes to it
            self._loop.call_later(busy, self._drain, context=self._context)

    def _drain(self) -> None:
        self._draining = False
        if self._sink is None or self._paused or not self._alive():
            return
        events = list(self._mailbox)
        self._mailbox.clear()
        self._frames.clear()
        for event in events:
            if isinstance(event, SimClosed):
                del self.wires[event.link]
            elif isinstance(event, SimOpened):
                self.wires[event.link].heard_of = True
        self._watch.told(events)
        self._sink(events)
        self._watch.took()
        for wire in list(self.wires.values()):
            wire.read_on()
