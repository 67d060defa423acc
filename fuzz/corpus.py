"""Make the first inputs of every fuzz target, small ones, from the test vectors."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FUZZ = Path(__file__).parent
VECTORS = FUZZ.parent / "tests" / "vectors"

#: Inputs are no longer than this.
SMALL = 1200

Inputs = Iterable[tuple[str, bytes]]


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def few(name: str, field: str, most: int) -> Iterator[tuple[str, str]]:
    """Give the names and a field of the first small vectors of each group."""
    taken: Counter[str] = Counter()
    for vector in load(name)["vectors"]:
        group, text = vector["name"].split("/")[0], vector.get(field)
        if isinstance(text, str) and 0 < len(text) <= SMALL and taken[group] < most:
            taken[group] += 1
            yield vector["name"], text


def payloads() -> Inputs:
    for name, payload in few("decrypt.json", "payload", 2):
        yield name, payload.encode("utf-8", "replace")


def packed() -> Inputs:
    """Give what payloads stand for."""
    for name, payload in few("decrypt.json", "payload", 2):
        if not name.startswith("b64/"):
            data = payload.encode("ascii", "ignore")
            yield name, base64.b64decode(data + b"=" * (-len(data) % 4))


def suite() -> Inputs:
    """Give one list of short forms for each group of the MessagePack test suite."""
    for name, cases in load("msgpack-test-suite.json").items():
        forms = [bytes.fromhex(form.replace("-", "")) for case in cases for form in case["msgpack"]]
        forms = [form for form in forms if len(form) < 100][:40]
        yield name, b"\xdc" + len(forms).to_bytes(2, "big") + b"".join(forms)


def frames() -> Inputs:
    for name, frame in few("pushes.json", "frame", 4):
        yield name, frame.encode("utf-8", "replace")


def texts() -> Inputs:
    for name, text in few("decrypt.json", "text", 3):
        yield name, text.encode("utf-8", "surrogatepass")


def write(target: str, *sources: Inputs) -> None:
    folder = FUZZ / "corpus" / target
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for source in sources:
        for name, data in source:
            (folder / re.sub(r"[^\w.]+", "-", name)).write_bytes(data)


if __name__ == "__main__":
    write("base64", payloads())
    write("msgpack", packed(), suite())
    write("decrypt", packed())
    write("envelope", frames())
    write("text", texts())
