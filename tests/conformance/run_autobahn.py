"""Runs the Autobahn test suite against links, and prints how they behaved.

The suite wants CPython 2.7 and gets an environment of its own, which is kept. Its server
plays each case to a client that sends back what it receives: a link without registration,
heartbeats and mailbox (`src/transport/link/echo.rs`). Compression (sections 12 and 13) is not
offered by links.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VERSION = "25.10.1"
SECTIONS = ["1", "2", "3", "4", "5", "6", "7", "9", "10"]
CASES = 301
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv-autobahn"
SUITE = ENVIRONMENT / "bin" / "wstest"
PATIENCE = 30.0


def install(python: str) -> None:
    """Make the suite's environment; this virtualenv is the last that knows Python 2.7."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "virtualenv<20.22"]
    with tempfile.TemporaryDirectory() as tool:
        subprocess.run([*pip, "--target", tool], check=True)
        subprocess.run(
            [sys.executable, "-m", "virtualenv", "--quiet", "--python", python, str(ENVIRONMENT)],
            env={**os.environ, "PYTHONPATH": tool},
            check=True,
        )
    pip = [str(ENVIRONMENT / "bin" / "pip"), "install", "--quiet"]
    subprocess.run([*pip, f"autobahntestsuite=={VERSION}"], check=True)


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run the suite's server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"ws://127.0.0.1:{port}"
    spec = {"url": url, "outdir": str(folder), "cases": [f"{number}.*" for number in SECTIONS]}
    path = folder / "spec.json"
    path.write_text(json.dumps({**spec, "exclude-cases": [], "exclude-agent-cases": {}}), "utf-8")
    command = [str(SUITE), "--mode", "fuzzingserver", "--spec", str(path), "--webport", "0"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((folder / "server.log").read_text("utf-8"))
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def play(url: str) -> None:
    """Play all cases to a client that echoes."""
    command = ["cargo", "test", "--quiet", "--lib", "--", "--ignored", "every_case_is_echoed"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "AUTOBAHN": url}, check=True)


def judge(report: dict[str, dict[str, Any]]) -> bool:
    """Print what is in a report, and return whether all is well."""
    counts = {number: Counter[str]() for number in SECTIONS}
    bad = []
    for case, found in report.items():
        counts[case.split(".")[0]][found["behavior"]] += 1
        if not {found["behavior"], found["behaviorClose"]} <= GOOD:
            bad.append(f"{case}: {found['behavior']}, its end: {found['behaviorClose']}")
    names = sorted({name for section in counts.values() for name in section})
    print("section", *(f"{name:>13}" for name in names))
    for number, section in counts.items():
        print(f"{number:>7}", *(f"{section[name]:>13}" for name in names))
    print(*bad, f"{len(report)} cases of {CASES}", sep="\n")
    return not bad and len(report) == CASES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="python2.7", help="CPython 2.7, for the suite")
    arguments = parser.parse_args()
    if not SUITE.exists():
        install(arguments.python)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with server(folder) as url:
            play(url)
        report = json.loads((folder / "index.json").read_text("utf-8"))
    return not judge(report["xyfast"])


if __name__ == "__main__":
    sys.exit(main())
