"""Every client decodes and acknowledges all that is pushed; the server sees what is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from goals import LOADS
from link_peers import ECHO
from links import REGISTER
from receive import BLOCKS, CLIENTS
from report import sentence
from transport import is_there, record, spoken, tables
from trial import SERVER, Load, Trial, hear, process, push_text, run, tell

needs_server = pytest.mark.skipif(
    not SERVER.exists(), reason="needs `cargo build --example loadserver`"
)


@needs_server
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_decodes_and_acknowledges_all_pushes(client: str) -> None:
    if not is_there(client) or (client not in ("xyfast", "upstream") and not find_spec("orjson")):
        pytest.skip("not installed")
    # Raises unless every dict is right, every push acknowledged once, and every ack right.
    seen = run(client, Load("a few", (), window=4, seconds=0.05, links=2, heartbeat=0.02))
    assert seen.pushes >= 8
    assert seen.time is not None
    assert seen.beats > 0
    assert seen.silence > 0


@pytest.mark.parametrize("way", BLOCKS)
def test_a_block_lasts_as_long_as_it_should(way: str) -> None:
    start = time.monotonic()
    BLOCKS[way](0.01)
    assert time.monotonic() - start >= 0.01


@needs_server
def test_a_blocked_client_takes_all_pushes_in_the_end() -> None:
    seen = run("xyfast", Load("blocked", (), rate=100, seconds=0.1, block="hold"))
    assert seen.pushes == 10
    assert seen.ack50 is None


@needs_server
def test_latencies_are_those_of_paced_pushes() -> None:
    seen = run("xyfast", Load("paced", (), rate=100, seconds=0.1))
    assert seen.pushes == 10
    assert seen.ack50 is not None
    assert seen.handler50 is not None
    assert 0 < seen.ack50 <= (seen.ack99 or 0)
    assert 0 < seen.handler50 <= (seen.handler99 or 0)


def report(answer: Callable[[Any, Any], list[Any]]) -> Any:
    """Return what the server tells of acks that are made from the headers of two pushes."""
    with process(str(SERVER), "0", "100", "0.02") as server:
        tell(server, push_text("gf300"))
        with connect(f"ws://127.0.0.1:{int(hear(server))}/", compression=None) as socket:
            socket.send(REGISTER)
            assert json.loads(socket.recv())["headers"]["mid"] == "1 0"
            tell(server, "")
            for ack in answer(*(json.loads(socket.recv())["headers"] for _ in range(2))):
                socket.send(json.dumps(ack))
            return json.loads(hear(server))


def right(headers: Any) -> Any:
    return {"code": 200, "headers": {name: headers[name] for name in ECHO if name in headers}}


@needs_server
@pytest.mark.parametrize(
    ("answer", "faults"),
    [
        (lambda one, two: [right(two), right(one)], 0),
        (lambda one, two: [right(one), right(one)], 1),
        (lambda one, two: [right(one), right(two) | {"code": 400}], 1),
        (lambda one, two: [right(one), right({"mid": two["mid"]})], 1),
        (lambda one, two: [right(one), right(two | {"sid": "another"})], 1),
    ],
    ids=["right", "twice", "another code", "a header is missing", "another header"],
)
def test_the_server_sees_what_is_wrong_with_an_ack(
    answer: Callable[[Any, Any], list[Any]], faults: int
) -> None:
    seen = report(answer)
    assert (seen["pushed"], seen["acked"], seen["faults"]) == (2, 2, faults)


def trial(**figures: float) -> Trial:
    """Make a trial; what is not given was not to be seen."""
    unseen = dict.fromkeys(("time", "ack50", "ack99", "handler50", "handler99", "memory"))
    told = {"pushes": 100, "cpu": 1.0, "server_cpu": 1.0, "beats": 0, "silence": 0.0}
    return Trial(**{**unseen, "wakeups": None, **told, **figures})


def test_ratios_are_taken_within_a_round() -> None:
    rounds = {
        "xyfast": [trial(time=1.0, wakeups=0.01), trial(time=30.0, wakeups=0.01)],
        "picows": [trial(time=4.0), trial(time=120.0)],
        "upstream": [trial(time=20.0), trial(time=600.0)],
    }
    goals = {
        line.target.row: (theme, line)
        for theme, found in tables({"sat1k5": rounds})
        for line in found
        if line.target
    }
    assert sorted(goals) == [1, 3, 14, 16]
    _, line = goals[1]
    assert (line.best, line.ours, line.result) == ("picows", 0.25, "stretch")
    _, line = goals[14]
    assert (line.best, line.ours, line.result) == ("upstream", 0.05, "stretch")
    assert "0.05 of upstream [stretch: must 0.083" in sentence(*goals[14])


def test_the_worst_round_counts_for_the_silence() -> None:
    rounds = {"xyfast": [trial(silence=0.251), trial(silence=0.3)]}
    [(theme, [line])] = tables({"blocked, spin": rounds})
    assert (line.ours, line.result) == (0.3, "missed")
    assert "300 ms [missed: must 275, stretch 255]" in sentence(theme, line)


def test_memory_is_written_as_such() -> None:
    rounds = {"xyfast": [trial(memory=10240.0)], "aiohttp": [trial(memory=20480.0)]}
    line = next(
        line
        for theme, found in tables({"idle links": rounds})
        for line in found
        if theme.name == "memory"
    )
    assert (line.ours, line.shown, line.result) == (0.5, "10 KiB", "met")


def test_every_goal_has_a_load() -> None:
    clients = ("xyfast", "picows", "upstream")
    figures = dict.fromkeys(("time", "ack50", "ack99", "handler50", "memory", "wakeups"), 1.0)
    found = {load.name: {client: [trial(**figures)] for client in clients} for load in LOADS}
    rows = [int(line.split()[0]) for line in spoken(tables(found))]
    assert sorted(set(rows)) == [*range(1, 13), 14, 15, 16]
    assert rows == sorted(rows)


def test_a_record_is_a_page_and_every_trial(tmp_path: Path) -> None:
    found = {"sat1k5": {"xyfast": [trial(time=3.0)], "picows": [trial(time=2.0)]}}
    about = {"date": "2026-01-02", "Python": "CPython 3.11.7"}
    record(tmp_path, about, found, tables(found))
    page = (tmp_path / "2026-01-02-python3.11-transport.md").read_text("utf-8")
    assert "| 1 | sat1k5 | **1.50** | 0.36 | 0.25 | **missed** | picows | 3 s |" in page
    told = json.loads((tmp_path / "2026-01-02-python3.11-transport.json").read_text("utf-8"))
    assert told["trials"]["sat1k5"]["picows"][0]["time"] == 2.0
