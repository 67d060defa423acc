"""One client under one load: a fresh process of each, and a fresh server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora import PAYLOADS
from messages import compact, push_package, wire
from xyfast import _core

ROOT = Path(__file__).parent.parent
CLIENT = str(Path(__file__).with_name("receive.py"))
PROFILE = "debug" if _core.build_profile == "debug" else "release"
SERVER = (
    Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / PROFILE / "examples" / "loadserver"
)
PATIENCE = 90.0
"""Seconds after which a trial has failed."""


@dataclass(frozen=True)
class Load:
    """What the server does: a ``window`` for each link, or a ``rate`` for all together."""

    name: str
    clients: Sequence[str]
    size: str = "gf1k5"
    window: int = 0
    """Pushes of a link that are not acknowledged."""
    rate: float = 0.0
    """Pushes a second."""
    seconds: float = 1.0
    links: int = 1
    heartbeat: float = 15.0
    block: str = ""
    """How the client's event loop is blocked meanwhile."""
    rounds: int = 5


@dataclass(frozen=True)
class Trial:
    """What was seen; times in seconds, None where there is nothing to see."""

    pushes: int
    cpu: float
    """Processor time of the client from the first push to the last ack."""
    server_cpu: float
    """The same of the server."""
    time: float | None
    """Of a push, from the first push to the last ack."""
    ack50: float | None
    ack99: float | None
    """From push to ack."""
    handler50: float | None
    handler99: float | None
    """From push to handler."""
    memory: float | None
    """Bytes that a link takes while nothing happens."""
    wakeups: float | None
    """Of the client's event loop, for a push."""
    beats: int
    silence: float
    """The longest time between two heartbeats of a link."""


def push_text(size: str) -> str:
    """Return the text of a push whose `mid` the server fills in."""
    payload = base64.b64encode(wire(PAYLOADS[size]())).decode()
    return compact(push_package([payload], mid=f"{0:016x} 0", time_ms=1767225601000))


def cpu(process: subprocess.Popen[str]) -> float:
    """Return the processor time of all threads that a process has, in seconds."""
    spent = 0
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent += int((thread / "schedstat").read_text("ascii").split()[0])
    return spent / 1e9


def more_descriptors() -> None:
    """Let this process and its children open a thousand links."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program for no longer than the trial takes."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as running:
        watch = threading.Timer(PATIENCE, running.kill)
        watch.start()
        try:
            yield running
        except BaseException:
            running.kill()
            raise
        finally:
            watch.cancel()


def tell(running: subprocess.Popen[str], line: str) -> None:
    assert running.stdin is not None
    running.stdin.write(line + "\n")


def hear(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    return running.stdout.readline()


def run(client: str, load: Load) -> Trial:
    """Let a client receive; raises `RuntimeError` unless it got everything right."""
    shape = [str(load.window), str(load.rate), str(load.seconds)]
    with process(str(SERVER), *shape) as server:
        tell(server, push_text(load.size))
        url = f"ws://127.0.0.1:{int(hear(server))}/"
        paced = load.rate > 0 and not load.block
        job = [str(load.links), str(load.heartbeat), load.size, str(int(paced))]
        job += [load.block] if load.block else []
        with process(sys.executable, CLIENT, client, url, *job) as receiver:
            if hear(receiver) != "ready\n":
                raise RuntimeError(f"{client} did not become ready for {load.name}")
            client_cpu, server_cpu = cpu(receiver), cpu(server)
            tell(server, "")
            served = json.loads(hear(server) or "null")
            client_cpu, server_cpu = cpu(receiver) - client_cpu, cpu(server) - server_cpu
            tell(server, "")
            seen = json.loads(hear(receiver) or "null")
    if not served or not seen:
        raise RuntimeError(f"{client} did not end {load.name}")
    pushes, times = served["pushed"], sorted(seen["times"])
    if not pushes == served["acked"] == seen["handled"] or served["faults"] or seen["wrong"]:
        counts = {name: served[name] for name in ("pushed", "acked", "faults")}
        counts |= {"handled": seen["handled"], "wrong": seen["wrong"]}
        raise RuntimeError(f"{client} in {load.name}: {counts}")
    return Trial(
        pushes=pushes,
        cpu=client_cpu,
        server_cpu=server_cpu,
        time=served["seconds"] / pushes if load.window else None,
        ack50=served["p50"] if paced else None,
        ack99=served["p99"] if paced else None,
        handler50=times[pushes * 50 // 100] if paced else None,
        handler99=times[pushes * 99 // 100] if paced else None,
        memory=seen["memory"],
        wakeups=seen["wakeups"] / pushes if pushes and seen["wakeups"] is not None else None,
        beats=served["beats"],
        silence=served["silence"],
    )
