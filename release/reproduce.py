"""Builds the last commit twice, in folders of different names, and compares byte by byte.

``python release/reproduce.py``; ends with code 1 if the wheels or sdists differ, and says where.
The SBOM that maturin writes names the folder of the build: there the name alone may differ.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from urllib.parse import quote

import dist


def main() -> None:
    """Build twice, compare."""
    os.environ["SOURCE_DATE_EPOCH"] = dist.epoch(dist.ROOT)
    for name in ("CARGO_TARGET_DIR", "MATURIN_PGO"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="xyfast-") as folder:
        built = [clone_and_build(Path(folder) / name) for name in ("one", "another/and deeper")]
        names = [sorted(path.name for path in each.iterdir()) for each in built]
        dist.must(names[0] == names[1], f"other files: {names}")
        different = [
            where for name in names[0] for where in compare(built[0] / name, built[1] / name)
        ]
    dist.must(not different, "not reproducible:\n" + "\n".join(different))


def clone_and_build(folder: Path) -> Path:
    """Build a clean clone; returns where its archives are."""
    command = ["git", "clone", "--quiet", "--no-hardlinks", str(dist.ROOT), str(folder)]
    subprocess.run(command, check=True)
    out = folder / "dist"
    out.mkdir()
    dist.build(out, sys.executable, root=folder)
    return out


def compare(one: Path, other: Path) -> list[str]:
    """Where two archives differ; empty if they do not."""
    left, right = one.read_bytes(), other.read_bytes()
    if left == right:
        dist.say(f"{one.name}: {hashlib.sha256(left).hexdigest()}")
        return []
    if one.suffix != ".whl":
        return [one.name]
    files = [nameless(each) for each in (one, other)]
    names = sorted(files[0].keys() | files[1].keys())
    found = [name for name in names if files[0].get(name) != files[1].get(name)]
    if not found:
        dist.say(f"{one.name}: the same but for the folder that its SBOM names")
    return [f"{one.name}: {name}" for name in found]


def nameless(wheel: Path) -> dict[str, object]:
    """Files of a wheel with their times, without the name of the folder it was built in."""
    folder = quote(str(wheel.parent.parent)).encode()
    found: dict[str, object] = {}
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            data = archive.read(info)
            if "/sboms/" in info.filename:
                data = data.replace(folder, b"")
            if info.filename.endswith("/RECORD"):  # it has the hash of the SBOM
                data = b"".join(line for line in data.splitlines(True) if b"/sboms/" not in line)
            found[info.filename] = (info.date_time, info.external_attr, data)
    return found


if __name__ == "__main__":
    main()
