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
    left = json.loads(done.stdout)
    assert set(left) == {*leaks.CASES, "threads"}
    # What Rust allocates, Python does not count.
    assert sum(found.pop("resident") for found in left.values()) < 4 * 1024 * 1024
    counted = {(case, what): more for case, found in left.items() for what, more in found.items()}
    assert {place: more for place, more in counted.items() if more > leaks.MOST} == {}
