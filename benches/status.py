"""Measures what the status page costs a client of 5 000 accounts: ``python status.py``.

Times are processor time of this thread: medians, and the longest step of all rounds. What the
garbage collector's pass over so large a heap takes is a line of its own.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Generator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from report import facts, this_run
from xyfast import Account, State
from xyfast.instrumentation import AccountMeasured, Committed, Finished, StateChanged
from xyfast.instrumentation.histogram import MARKS
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.prometheus import render
from xyfast.status.gather import Gathering, Look

ACCOUNTS = [str(9_100_000_000_001 + number) for number in range(5000)]
ROUNDS = 20


def counted() -> Metrics:
    """What is known when every account is connected and was looked at often enough for rates."""
    metrics = Metrics()
    level: Any = dict.fromkeys(("known", "in_memory", "unhandled", "dead", "gaps", "sending"), 1)
    level |= {"link_age": 60.0, "round_trip": 0.01, "beats": 1, "good": 1, "lag": 0.0}
    for name in ACCOUNTS:
        metrics(StateChanged(name, State.CONNECTING, State.CONNECTED, "registered"))
        for number in range(MARKS):
            metrics(Committed(name, 1, 0, 0, 1e-5, 1e-3, 1e-4))
            metrics(Finished(name, f"{number}.PNM"))
            metrics(AccountMeasured(account_id=name, state=State.CONNECTED, **level))
    return metrics


def times(work: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    marks = [time.thread_time()]
    for _ in range(rounds):
        work()
        marks.append(time.thread_time())
    return [after - before for before, after in pairwise(marks)]


def steps(looking: Generator[Any, None, Look]) -> tuple[list[float], Look]:
    """How long a look kept the event loop each time, and what it found."""
    marks = [time.thread_time()]
    while True:
        try:
            looking.send(None)
            marks.append(time.thread_time())
        except StopIteration as end:
            marks.append(time.thread_time())
            return [after - before for before, after in pairwise(marks)], end.value


def main() -> None:
    drivers: Any = {
        name: SimpleNamespace(state=State.CONNECTED, account=Account({"unb": name}, name="shop"))
        for name in ACCOUNTS
    }
    metrics = counted()
    gathering = Gathering(metrics, drivers, (), actions=True)
    heap = statistics.median(times(gc.collect, 3))
    gc.disable()
    took, looks = zip(*(steps(gathering.look().__await__()) for _ in range(ROUNDS)), strict=True)
    view = statistics.median(times(lambda: json.dumps(gathering.status(looks[0], ""))))
    text = render(metrics.snapshot())
    page = statistics.median(times(lambda: render(metrics.snapshot()), 3))
    print(*(f"{name}: {fact}" for name, fact in facts(this_run(), ["xyfast"]).items()), sep="\n")
    print(f"a look at all accounts: {statistics.median(map(sum, took)) * 1e3:.0f} ms")
    print(f"its longest step: {max(map(max, took)) * 1e3:.1f} ms")
    print(f"the view of 200 accounts: {view * 1e3:.0f} ms")
    print(f"/metrics: {page:.2f} s for {len(text) / 1e6:.0f} MB")
    print(f"a pass of the garbage collector: {heap * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
