"""Runs the tests of msgpack itself on `xyfast.codec`.

The source distribution of the version whose interface we have is downloaded into a
temporary folder. A package named msgpack that only hands on our names stands in front.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from xyfast import codec

VERSION = codec.__version__

SHIM = {
    "__init__.py": "from xyfast.codec import *\nfrom xyfast.codec import exceptions, ext\n",
    "exceptions.py": "from xyfast.codec.exceptions import *\n",
    "ext.py": "from xyfast.codec.ext import *\n",
}

# Tests that cannot apply, and why; docs/msgpack.md tells the same to users.
DIFFERENT = {
    "test_except.py::test_unpacker_should_not_crash_after_exception": (
        "a fault shows once the value is whole, and an Unpacker that failed stays failed"
    ),
    "test_unpack.py::test_unpacker_reinit_clears_partial_state": (
        "hooks are called once the value is whole: there is no half-built state to clear"
    ),
}


def download(folder: Path) -> Path:
    """Return the folder of msgpack's tests."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary"]
    subprocess.run(
        [*command, ":all:", f"msgpack=={VERSION}", "--dest", str(folder)],
        check=True,
    )
    name = f"msgpack-{VERSION}"
    tests = folder / name / "test"
    with tarfile.open(folder / f"{name}.tar.gz") as archive:
        for member in archive.getmembers():
            if member.isfile() and Path(member.name).parent == Path(name, "test"):
                archive.extract(member, folder)
    return tests


def run(tests: Path, shim: Path) -> int:
    """Run the tests with our names in front."""
    package = shim / "msgpack"
    package.mkdir(parents=True)
    for name, text in SHIM.items():
        (package / name).write_text(text, "utf-8")
    (tests / "pytest.ini").write_text("[pytest]\n", "utf-8")
    for name, reason in DIFFERENT.items():
        print(f"not run: {name}: {reason}")
    options = ["--quiet", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestUnknownMarkWarning"]
    options += [f"--deselect={name}" for name in DIFFERENT]
    path = os.pathsep.join([str(shim), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", *options, "."]
    return subprocess.run(command, cwd=tests, env=environment, check=False).returncode


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return run(download(Path(folder)), Path(folder) / "shim")


if __name__ == "__main__":
    sys.exit(main())
