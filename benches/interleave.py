"""Times rivals in turns, so that what disturbs the machine disturbs all of them.

In every round each rival runs one lap, in an order drawn anew; a lap is a loop long enough
for the clock. Ratios are taken within a round, and the median of the rounds counts.

The clock is the processor time of this thread: on a busy machine about every other lap is
interrupted for longer than it lasts, and no median helps against that.
"""

from __future__ import annotations

import functools
import gc
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Call = Callable[[Any], Any]

SECONDS = 2.0
"""What the rounds of one contest may take together."""
FEWEST, MOST = 9, 99
"""Rounds of a contest; odd, so that the median is a round."""


class Rival(NamedTuple):
    """A function, and where so many arguments for it come from."""

    run: Call
    supply: Callable[[int], Sequence[Any]]


def on(argument: Any, functions: Mapping[str, Call]) -> dict[str, Rival]:
    """Let every function take the same argument again and again."""
    return {name: Rival(run, lambda count: [argument] * count) for name, run in functions.items()}


@functools.cache
def loop_with(options: tuple[str, ...]) -> Callable[..., None]:
    """Return a loop that calls with these options, as a program would spell the call.

    A `functools.partial` says which options a rival needs; calling through it takes longer
    than some of the work that is measured.
    """
    given = "".join(f", {name}={name}" for name in options)
    source = f"def loop(run, arguments{''.join(f', {name}' for name in options)}):\n"
    source += f"    for argument in arguments:\n        run(argument{given})\n"
    scope: dict[str, Any] = {}
    exec(source, scope)
    loop: Callable[..., None] = scope["loop"]
    return loop


def lap(rival: Rival, count: int) -> float:
    """Return the seconds of a call, over so many calls."""
    run, options = rival.run, dict[str, Any]()
    if isinstance(run, functools.partial) and not run.args:
        run, options = run.func, run.keywords
    loop, arguments = loop_with(tuple(options)), rival.supply(count)
    start = time.thread_time_ns()
    loop(run, arguments, **options)
    return (time.thread_time_ns() - start) / count / 1e9


def calls(rival: Rival, seconds: float) -> int:
    """Return how many calls fill a lap of so many seconds."""
    count = 1
    # The quicker of two laps: a single call may have had to tidy up.
    while count < 1 << 20 and min(lap(rival, count), lap(rival, count)) * count < seconds:
        count *= 2
    return count


def measure(rivals: Mapping[str, Rival], seconds: float = 0.002) -> dict[str, list[float]]:
    """Return the seconds of a call in every round, for every rival, with laps of `seconds`."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        counts = {name: calls(rival, seconds) for name, rival in rivals.items()}
        once = sum(lap(rival, counts[name]) * counts[name] for name, rival in rivals.items())
        rounds = min(max(int(SECONDS / once), FEWEST), MOST) | 1
        laps: dict[str, list[float]] = {name: [] for name in rivals}
        dice = random.Random(0)
        for _ in range(rounds):
            for name in dice.sample(list(rivals), len(rivals)):
                laps[name].append(lap(rivals[name], counts[name]))
        return laps
    finally:
        if enabled:
            gc.enable()
