"""Run the codec on many inputs under valgrind, and show what is wrong with its memory.

What valgrind says of Python alone is left out: it does so of every Python.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import leaks
from xyfast import _core
from xyfast.codec import b64encode, packb, unpackb

ARM = platform.machine() in ("arm64", "aarch64")
CORPUS = Path(__file__).parent.parent / "fuzz" / "corpus"
SUPPRESSIONS = Path(__file__).with_name("valgrind.supp")
# AVX-512 is beyond valgrind; the fuzz targets run it under AddressSanitizer.
LEVELS = ("scalar", "neon") if ARM else ("scalar", "sse4.1", "avx2")
CALLS = 15
#: So many functions of Python may stand between a fault and us.
NEAR = 6


def inputs(target: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def work() -> None:
    """Call everything with everything."""
    for case in leaks.CASES.values():
        for number in range(CALLS):
            case(number)
    for data in inputs("msgpack") + inputs("decrypt"):
        leaks.quietly(unpackb, data, strict_map_key=False)
        leaks.quietly(unpackb, data, **leaks.HOOKS)
        leaks.quietly(leaks.stream, data)
        for call in (_core.decrypt, _core.decode, leaks.pick_two):
            leaks.quietly(call, b64encode(data))
    for data in inputs("base64"):
        for call in (_core.b64decode, _core.a2b_base64, _core.decrypt):
            leaks.quietly(call, data)
    for data in inputs("envelope"):
        text = data.decode("utf-8", "replace")
        leaks.quietly(_core.parse_frame, text)
        leaks.quietly(_core.decode_frame, text)
    for data in inputs("text"):
        text = data.decode("utf-8", "surrogatepass")
        for end in range(min(len(text), 80)):
            leaks.quietly(lambda cut: unpackb(packb([cut, {cut: cut}])), text[:end])
            leaks.quietly(_core.decode, b64encode(packb({"a": text})))


def faults(log: Path) -> list[str]:
    """Return the errors in whose stacks our module stands near the top."""
    found = []
    for error in ElementTree.parse(log).iter("error"):
        kind = error.findtext("kind") or ""
        if kind.startswith("Leak_"):
            # Types and caches live as long as the process; test_leaks.py looks for leaks.
            continue
        stacks = [stack.findall("frame")[:NEAR] for stack in error.iter("stack")]
        names = [frame.findtext("obj") or "" for stack in stacks for frame in stack]
        if any(Path(name).name.startswith("_core.") for name in names):
            places = [frame.findtext("fn") or "?" for stack in stacks for frame in stack]
            found.append(f"{kind}: {' < '.join(places)}")
    return found


def main() -> int:
    wrong = 0
    for level in LEVELS:
        environment = {**os.environ, "PYTHONMALLOC": "malloc", "XYFAST_SIMD": level}
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log.xml")
            valgrind = [
                "valgrind",
                "--quiet",
                "--xml=yes",
                f"--xml-file={log}",
                f"--suppressions={SUPPRESSIONS}",
                "--track-origins=yes",
                "--error-limit=no",
            ]
            program = [sys.executable, __file__, "work"]
            subprocess.run([*valgrind, *program], env=environment, check=True)
            found = faults(log)
        print(level, *(found or ["clean"]), sep="\n  ", flush=True)
        wrong += len(found)
    return min(wrong, 1)


if __name__ == "__main__":
    if sys.argv[1:] == ["work"]:
        work()
    else:
        sys.exit(main())
