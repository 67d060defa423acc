"""The fixture in suites of others: both modes of pytest-asyncio, none, and who does not use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import xyfast

ROOT = Path(__file__).parent.parent
TEST = """
import pytest


{mark}
async def test_a_bot(kit):
    await kit.start()
    kit.buyer().say("在吗")
"""
STRICT = TEST.format(mark="@pytest.mark.asyncio")
AUTO = TEST.format(mark="")
CONFTEST = 'pytest_plugins = ["xyfast.testing.plugin"]\n'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    return tmp_path


def run(suite: Path, test: str, *options: str, missing: str = "") -> str:
    """What pytest says of a suite with this test where the module ``missing`` is not installed."""
    (suite / "test_bot.py").write_text(test, "utf-8")
    if missing:
        error = f"raise ModuleNotFoundError('not installed', name={missing!r})"
        (suite / f"{missing}.py").write_text(error, "utf-8")
    path = os.pathsep.join([str(suite), str(Path(xyfast.__file__).parent.parent)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def test_it_works_in_strict_mode(suite: Path) -> None:
    assert "1 passed" in run(suite, STRICT, "-o", "asyncio_mode=strict")


def test_it_works_in_auto_mode(suite: Path) -> None:
    assert "1 passed" in run(suite, AUTO, "-o", "asyncio_mode=auto")


def test_two_loops_are_refused_with_the_way_out(suite: Path) -> None:
    said = run(suite, STRICT, "-o", "asyncio_default_test_loop_scope=session")
    assert "asyncio_default_fixture_loop_scope" in said
    scopes = [f"asyncio_default_{kind}_loop_scope=session" for kind in ("test", "fixture")]
    assert "1 passed" in run(suite, STRICT, "-o", scopes[0], "-o", scopes[1])


def test_a_missing_pytest_asyncio_is_named(suite: Path) -> None:
    said = run(suite, AUTO, "-p", "no:asyncio", missing="pytest_asyncio")
    assert "the fixture `kit` needs pytest-asyncio: pip install pytest-asyncio" in said


@pytest.mark.parametrize("missing", ["h11", "websockets"])
def test_a_missing_extra_is_named(suite: Path, missing: str) -> None:
    said = run(suite, AUTO, missing=missing)
    assert f'xyfast.testing needs {missing}: pip install "xyfast[testing]"' in said


def test_a_suite_that_does_not_ask_for_it_has_nothing_of_it(suite: Path) -> None:
    (suite / "conftest.py").unlink()
    test = "import sys\n\n\ndef test_it():\n    assert 'xyfast' not in sys.modules\n"
    assert "1 passed" in run(suite, test)
    assert "pytest11" not in (ROOT / "pyproject.toml").read_text("utf-8")
