"""Measures links beside those of other libraries: ``python transport.py [LOAD ...]``.

Prints our goals and what was reached; with ``--record FOLDER`` also writes a record there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from operator import itemgetter
from pathlib import Path
from typing import Any

from goals import LOADS, THEMES
from report import Table, facts, judged, page, sentence, this_run
from results import Entry, lines
from trial import PROFILE, SERVER, Load, Trial, more_descriptors, run

DECODERS = ["orjson", "pybase64", "ormsgpack"]
PEERS = ["picows", "aiohttp", "curl_cffi", "websockets", "websocket-client", "httpx-ws"]
INTRODUCTION = """\
Clients took turns, each trial in a process of its own at a fresh server on loopback, without TLS;
they do what a bot does: a push's text to dicts, its ack, `await handler(dict)`. All decode with
orjson, pybase64 and ormsgpack, but xyfast with itself and `upstream` (websockets as scripts use
it) in pure Python. Nothing is pinned to a core. README.md in this folder says what the loads are.

A ratio is the median over the rounds of our figure divided by a rival's in the same round, and
less is better: 0.25 of the time is four times the messages. `must` and `stretch` are targets for
the ratio to the best peer, or for the figure itself. **Bold** figures are rows that we lose.
"""

Trials = dict[str, list[Trial]]
"""Of every client, the rounds in order."""


def is_there(client: str) -> bool:
    """Return whether a client's library is installed."""
    try:
        return client in ("xyfast", "upstream") or bool(distribution(client))
    except PackageNotFoundError:
        return False


def measure(load: Load, rounds: int, dice: random.Random) -> Trials:
    """Let the clients receive in turns, in an order drawn anew for every round."""
    clients = [client for client in load.clients if is_there(client)]
    trials: Trials = {client: [] for client in clients}
    for _ in range(rounds):
        for client in dice.sample(clients, len(clients)):
            trials[client].append(run(client, load))
    return trials


def figures(load: Load, trials: Sequence[Trial]) -> Iterable[tuple[str, list[float | None]]]:
    """Return the figures of a client's rounds by the name of their theme."""
    for name in ("time", "ack50", "ack99", "handler50", "memory"):
        yield name, [getattr(trial, name) for trial in trials]
    pushes = bool(load.window or load.rate) and not load.block
    yield "cpu", [trial.cpu / trial.pushes if pushes else None for trial in trials]
    yield "beats", [None if load.rate or load.window else trial.cpu for trial in trials]
    yield "wakeups", [trial.wakeups if load.window else None for trial in trials]
    yield "silence", [trial.silence if load.block else None for trial in trials]


def entries(load: Load, trials: Trials) -> Iterable[Entry]:
    """Return what the clients did as pytest-benchmark reports rounds."""
    for client, rounds in trials.items():
        for name, data in figures(load, rounds):
            if None in data:
                continue
            fact = max(data) if name == "silence" else statistics.median(data)
            info = {"theme": name, "case": load.name, "rival": client, name: fact}
            yield {"extra_info": info, "stats": {"data": data}}


def tables(found: Mapping[str, Trials]) -> list[Table]:
    """Return the table of every theme that something was measured for."""
    loads = {load.name: load for load in LOADS}
    measured = [each for name, trials in found.items() for each in entries(loads[name], trials)]
    return [(theme, rows) for theme in THEMES if (rows := lines(theme, measured))]


def spoken(judged_tables: Sequence[Table]) -> list[str]:
    """Write the lines that have a target, in the order of the list of targets."""
    rows = [
        (line.target.row, sentence(theme, line))
        for theme, found in judged_tables
        for line in found
        if line.target
    ]
    return [text for _, text in sorted(rows, key=itemgetter(0))]


def record(
    folder: Path, about: dict[str, str], found: Mapping[str, Trials], judged_tables: list[Table]
) -> None:
    """Write the record, a page and the figures of every trial."""
    python = ".".join(about["Python"].split()[1].split(".")[:2])
    name = folder / f"{about['date']}-python{python}-transport"
    trials: dict[str, Any] = {
        load: {client: [asdict(trial) for trial in rounds] for client, rounds in clients.items()}
        for load, clients in found.items()
    }
    told = {"about": about, "lines": judged(judged_tables), "trials": trials}
    text = json.dumps(told, ensure_ascii=False, indent=1) + "\n"
    name.with_name(name.name + ".json").write_text(text, "utf-8")
    title = f"{about['date']}, links on {about['Python']}"
    text = page(title, about, INTRODUCTION, judged_tables)
    name.with_name(name.name + ".md").write_text(text, "utf-8")
    print(f"written: {name}.md, .json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [load.name for load in LOADS]
    parser.add_argument("loads", nargs="*", metavar="LOAD", help=", ".join(names))
    parser.add_argument("--rounds", type=int, help="of every load")
    parser.add_argument("--record", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if PROFILE == "debug" or not SERVER.exists():
        raise SystemExit("benchmarks need a release build: use `make bench-transport`")
    more_descriptors()
    load_before = os.getloadavg()[0]
    found: dict[str, Trials] = {}
    dice = random.Random(0)
    for load in LOADS:
        if not given.loads or any(load.name.startswith(name) for name in given.loads):
            found[load.name] = measure(load, given.rounds or load.rounds, dice)
            for theme, rows in tables({load.name: found[load.name]}):
                print(*(sentence(theme, line) for line in rows), sep="\n", flush=True)
    judged_tables = tables(found)
    print("", *spoken(judged_tables), sep="\n")
    missing = [client for client in PEERS if not is_there(client)]
    about = {
        **facts(this_run(), ["xyfast", *PEERS, *DECODERS]),
        "load at the start": f"{load_before:.1f}",
        "left out": ", ".join(missing) or "nobody",
        "rounds": ", ".join(f"{len(trials['xyfast'])} of {name}" for name, trials in found.items()),
    }
    if given.record is not None:
        record(given.record, about, found, judged_tables)


if __name__ == "__main__":
    main()
