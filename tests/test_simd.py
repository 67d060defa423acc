"""The level of vector instructions: chosen once, at import, and never in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from xyfast import _core

IN_A_NEW_PROCESS = """
import xyfast._core
print(xyfast._core.simd)
"""


def imported(level: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", IN_A_NEW_PROCESS],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XYFAST_SIMD": level},
    )


@pytest.mark.parametrize("level", ["scalar", _core.simd])
def test_a_level_of_this_machine_is_used_without_a_word(level: str) -> None:
    answer = imported(level, "-W", "error")
    assert (answer.stdout, answer.stderr) == (f"{level}\n", "")


def test_no_name_means_the_best_level() -> None:
    answer = imported("", "-W", "error")
    assert answer.stdout.strip() in {"scalar", "sse4.1", "avx2", "avx512", "neon"}
    assert answer.stderr == ""


@pytest.mark.parametrize("level", ["avx9", "AVX2"])
def test_any_other_level_is_a_warning_and_the_best_is_used(level: str) -> None:
    answer = imported(level)
    best = imported("").stdout.strip()
    assert answer.stdout == f"{best}\n"
    words = f"RuntimeWarning: XYFAST_SIMD={level} is no level of this machine; {best} is used"
    assert words in answer.stderr
    assert answer.stderr.count("RuntimeWarning") == 1
