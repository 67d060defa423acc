from __future__ import annotations

import subprocess
import sys

import pytest

IN_A_SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if sys.argv[1] == "isolated":
    other = interpreters.create()
elif sys.version_info >= (3, 13):
    other = interpreters.create("legacy")
else:
    other = interpreters.create(isolated=False)
interpreters.run_string(other, '''
try:
    import xyfast
except ImportError as error:
    print(error, flush=True)
''')
interpreters.destroy(other)
import xyfast
print(xyfast.decrypt("gQGhYQ=="))
"""


isolated = pytest.param(
    "isolated",
    marks=pytest.mark.skipif(
        sys.version_info[:2] == (3, 12), reason="crashes importing the standard library"
    ),
)


@pytest.mark.parametrize("kind", [isolated, "shared"])
def test_a_subinterpreter_is_refused_and_leaves_the_main_one_alone(kind: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IN_A_SUBINTERPRETER, kind],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.stderr == ""
    refusal, text = answer.stdout.splitlines()
    # Python words it itself for an interpreter with a lock of its own.
    assert "interpreter" in refusal
    assert text == '{"1": "a"}'
