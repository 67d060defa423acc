"""Nothing stays behind after many calls, whether they succeed or fail."""

from __future__ import annotations

import json
import subprocess
import sys

import leaks


def test_calls_leave_nothing_behind() -> None:
    done = subprocess.run(
        [sys.executable, leaks.__file__], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.stderr == ""
    answer = json.loads(done.stdout)
    assert set(answer["grown"]) == {*leaks.CASES, "threads"}
    # An object that every call leaves behind would be counted as often as there are calls,
    # one of a single kind of wrong input still every fifteenth time.
    most = leaks.CALLS // 20
    left = {
        (case, what): more
        for case, grown in answer["grown"].items()
        for what, more in grown.items()
        if more > most
    }
    assert left == {}
    assert answer["resident"] < 4 * 1024 * 1024
