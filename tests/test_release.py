"""The checks of release/ find what they are there for."""

from __future__ import annotations

import importlib
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NAME = "xyfast-0.1.0-cp313-cp313-manylinux_2_17_x86_64.whl"
INFO = "xyfast-0.1.0.dist-info"


@pytest.fixture(scope="module")
def scripts() -> Any:
    sys.path.insert(0, str(ROOT / "release"))
    yield importlib.import_module("dist"), importlib.import_module("reproduce")
    sys.path.pop(0)


def sbom(*crates: tuple[str, str], folder: str = "/one") -> str:
    components = [{"name": name, "version": version} for name, version in crates]
    ref = {"component": {"bom-ref": f"path+file://{folder}#xyfast@0.1.0"}}
    return json.dumps({"bomFormat": "CycloneDX", "metadata": ref, "components": components})


def locked(name: str) -> tuple[str, str]:
    text = (ROOT / "Cargo.lock").read_text("utf-8")
    return name, text.partition(f'name = "{name}"\nversion = "')[2].partition('"')[0]


WHOLE = ["Cargo.toml", "Cargo.lock", "LICENSE", "pyproject.toml", "src/lib.rs", "PKG-INFO"]
GOOD = [locked("pyo3"), locked("rustls"), locked("tokio")]


def wheel(folder: Path, **changes: str | None) -> Path:
    """A wheel as it should be, but for the ``changes``; None leaves a file out."""
    files: dict[str, str | None] = {
        "xyfast/_core.cpython-313-x86_64-linux-gnu.so": "a module",
        "xyfast/_core.pyi": "",
        "xyfast/py.typed": "",
        "xyfast/testing/plugin.py": "",
        "xyfast/status/web/page.html": "",
        "xyfast/status/web/page.js": "",
        f"{INFO}/licenses/LICENSE": "",
        f"{INFO}/sboms/xyfast.cyclonedx.json": sbom(*GOOD, folder=str(folder)),
        f"{INFO}/RECORD": f"{INFO}/sboms/xyfast.cyclonedx.json,sha256={folder.name},1\n",
        **changes,
    }
    (folder / "dist").mkdir(parents=True)
    path = folder / "dist" / NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            if text is not None:
                archive.writestr(zipfile.ZipInfo(name), text)
    return path


def test_a_good_wheel_passes(scripts: Any, tmp_path: Path) -> None:
    assert scripts[0].check_content(wheel(tmp_path)) == 3


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"xyfast/py.typed": None}, "lacks xyfast/py.typed"),
        ({f"{INFO}/licenses/LICENSE": None}, "no LICENSE"),
        ({"tests/test_it.py": ""}, "holds tests/test_it.py"),
        ({"xyfast/_core.abi3.so": ""}, "has 2 modules"),
        ({f"{INFO}/sboms/xyfast.cyclonedx.json": None}, "has 0 SBOMs"),
        ({f"{INFO}/sboms/xyfast.cyclonedx.json": sbom(*GOOD[1:])}, "lacks pyo3"),
        ({f"{INFO}/sboms/xyfast.cyclonedx.json": sbom(*GOOD, ("evil", "1.0.0"))}, "evil"),
        ({f"{INFO}/sboms/xyfast.cyclonedx.json": "{}"}, "is no CycloneDX"),
    ],
)
def test_a_bad_wheel_is_refused(
    scripts: Any, tmp_path: Path, changes: dict[str, str | None], complaint: str
) -> None:
    with pytest.raises(SystemExit, match=complaint):
        scripts[0].check_content(wheel(tmp_path, **changes))


@pytest.mark.parametrize(
    ("names", "complaint"), [(WHOLE[:-1], "lacks PKG-INFO"), ([*WHOLE, "x.so"], "holds x.so")]
)
def test_a_bad_sdist_is_refused(
    scripts: Any, tmp_path: Path, names: list[str], complaint: str
) -> None:
    path = tmp_path / "xyfast-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(f"xyfast-0.1.0/{name}"), io.BytesIO())
    with pytest.raises(SystemExit, match=complaint):
        scripts[0].check_sdist(path)


def test_a_folder_without_wheels_is_refused(scripts: Any, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no wheel"):
        scripts[0].check(tmp_path)


def test_builds_may_differ_in_the_name_of_their_folder_alone(scripts: Any, tmp_path: Path) -> None:
    one, other = wheel(tmp_path / "one"), wheel(tmp_path / "other")
    assert one.read_bytes() != other.read_bytes()
    assert scripts[1].compare(one, other) == []
    module = "xyfast/_core.cpython-313-x86_64-linux-gnu.so"
    changed = wheel(tmp_path / "changed", **{module: "another module"})
    assert scripts[1].compare(one, changed) == [f"{NAME}: {module}"]
