"""Builds sdist and wheel, and checks what is to be uploaded.

``python release/dist.py --python python3.13`` builds into dist/, checks, and builds the sdist
once more as a user would. ``python release/dist.py --check dist`` only looks at what is there.
It wants twine and auditwheel beside this Python, and ends with code 1 at the first thing wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
MOST = 4 * 1024 * 1024
"""Bytes of a wheel, at most."""

WANTED = (
    "xyfast/py.typed",
    "xyfast/_core.pyi",
    "xyfast/testing/plugin.py",
    "xyfast/status/web/page.html",
    "xyfast/status/web/page.js",
)
"""Files of a wheel that are easily left out."""

TRY = """
import asyncio, xyfast
assert xyfast.decode("ggGhYQKhYg==") == {"1": "a", "2": "b"}
assert xyfast._core.build_profile == "release"
"""


def main() -> None:
    """Build, unless told not to, and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="whose wheel to build")
    parser.add_argument("--check", type=Path, metavar="FOLDER", help="build nothing, check this")
    options = parser.parse_args()
    if options.check is not None:
        check(options.check)
        return
    folder = ROOT / "dist"
    build(folder, options.python)
    check(folder)
    [sdist] = folder.glob("*.tar.gz")
    check_build(sdist, options.python)


def build(folder: Path, python: str, *, root: Path = ROOT) -> None:
    """Build sdist and wheel of a work tree; times in them are that of its commit."""
    for old in [*folder.glob("*.whl"), *folder.glob("*.tar.gz")]:
        old.unlink()
    maturin = [sys.executable, "-m", "maturin"]
    # Where this machine keeps crates is no part of the module.
    home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    flags = f"{os.environ.get('RUSTFLAGS', '')} --remap-path-prefix={home}=/cargo".strip()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch(root), "RUSTFLAGS": flags}
    for command in (["sdist"], ["build", "--release", "--locked", "--interpreter", python]):
        subprocess.run(
            [*maturin, *command, "--out", str(folder)], cwd=root, env=environment, check=True
        )


def epoch(root: Path) -> str:
    """Seconds since 1970 that files in archives get: SOURCE_DATE_EPOCH, else the commit's."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return given or output("git", "-C", str(root), "log", "-1", "--format=%ct").strip()


def check(folder: Path) -> None:
    """Look at every archive of a folder; ends the program if something is wrong."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    must(bool(wheels), f"{folder} has no wheel")
    must(len(sdists) == 1, f"{folder} has {len(sdists)} sdists")
    output(sys.executable, "-m", "twine", "check", "--strict", *map(str, [*wheels, *sdists]))
    say(f"twine takes {len(wheels)} wheels and the sdist")
    check_sdist(sdists[0])
    for wheel in wheels:
        size = wheel.stat().st_size
        must(size <= MOST, f"{wheel.name} has {size} bytes, more than {MOST}")
        crates = check_content(wheel)
        # auditwheel knows the C library of the machine it runs on.
        ours = f"manylinux_2_\\d+_{platform.machine()}"
        tag = check_tag(wheel) if re.search(ours, wheel.name) else "tag not looked at here"
        say(f"{wheel.name}: {size / 1024 / 1024:.2f} MiB, {crates} crates in its SBOM, {tag}")


def check_sdist(sdist: Path) -> None:
    """All that a build needs is in it, and nothing that belongs to this machine."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Cargo.toml", "Cargo.lock", "LICENSE", "pyproject.toml", "src/lib.rs", "PKG-INFO"):
        must(name in names, f"{sdist.name} lacks {name}")
    strange = {name for name in names if re.search(r"\.so$|__pycache__|\.db|^target/|^\.", name)}
    must(not strange, f"{sdist.name} holds {', '.join(sorted(strange))}")
    say(f"{sdist.name}: {len(names)} files")


def check_content(wheel: Path) -> int:
    """What users need is in it; returns how many crates its SBOM names."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        modules = [name for name in names if re.fullmatch(r"xyfast/_core\.[\w.-]+\.so", name)]
        must(len(modules) == 1, f"{wheel.name} has {len(modules)} modules")
        for name in WANTED:
            must(name in names, f"{wheel.name} lacks {name}")
        must(any(name.endswith("licenses/LICENSE") for name in names), f"{wheel.name}: no LICENSE")
        strange = [name for name in names if not re.match(r"xyfast[/-]", name)]
        must(not strange, f"{wheel.name} holds {', '.join(strange)}")
        boms = [name for name in names if re.search(r"\.dist-info/sboms/.+\.json$", name)]
        must(len(boms) == 1, f"{wheel.name} has {len(boms)} SBOMs")
        return check_sbom(wheel.name, json.loads(archive.read(boms[0])))


def check_sbom(wheel: str, bom: dict[str, Any]) -> int:
    """It is CycloneDX, and names what Cargo.lock has for the module at the same versions."""
    must(bom.get("bomFormat") == "CycloneDX", f"the SBOM of {wheel} is no CycloneDX")
    text = (ROOT / "Cargo.lock").read_text("utf-8")
    locked = set(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', text, re.MULTILINE))
    named = {(each["name"], each["version"]) for each in bom["components"]}
    must(named <= locked, f"the SBOM of {wheel} names {sorted(named - locked)}, not in Cargo.lock")
    for name in ("pyo3", "rustls", "tokio"):
        must(any(name == each for each, _ in named), f"the SBOM of {wheel} lacks {name}")
    return len(named)


def check_tag(wheel: Path) -> str:
    """The wheel runs where its name says: nothing of a newer system is linked."""
    shown = " ".join(output(sys.executable, "-m", "auditwheel", "show", str(wheel)).split())
    found = re.search(r'consistent with the following platform tag: "(\w+?)"', shown)
    must(found is not None, f"auditwheel finds no tag for {wheel.name}: {shown}")
    assert found is not None
    must(found[1] in wheel.name, f"{wheel.name} is {found[1]} to auditwheel")
    return f"auditwheel: {found[1]}"


def check_build(sdist: Path, python: str) -> None:
    """Build the sdist in a fresh environment, install the wheel there, and try it."""
    os.environ.pop("MATURIN_PGO", None)  # what a profile is learned from is not in it
    with tempfile.TemporaryDirectory(prefix="xyfast-sdist-") as folder:
        output(python, "-m", "venv", folder)
        own = str(Path(folder) / "bin" / "python")
        output(own, "-m", "pip", "install", "--quiet", str(sdist))
        output(own, "-c", TRY)
    say(f"{sdist.name} builds, and the module works")


def output(*command: str) -> str:
    """What a command prints; its failure ends the program."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    must(done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def must(good: bool, complaint: str) -> None:
    """End the program if something is wrong."""
    if not good:
        sys.exit(f"dist: {complaint}")


def say(what: str) -> None:
    """Tell what was found good."""
    print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    main()
