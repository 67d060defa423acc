"""What the package is made of, looked at without a network; deny.toml has the rules."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def toml(name: str) -> Any:
    return tomllib.loads((ROOT / name).read_text("utf-8"))


DENY = toml("deny.toml")


def cargo(*arguments: str) -> str:
    done = subprocess.run(
        ["cargo", *arguments, "--locked", "--offline"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def crates() -> list[dict[str, Any]]:
    """All crates for this machine, tests' and build scripts' too; cargo has fetched no others."""
    found = re.search(r"^host: (.+)$", subprocess.check_output(["rustc", "-vV"], text=True), re.M)
    assert found is not None
    only = ["--filter-platform", found[1]]
    text = cargo("metadata", "--format-version", "1", "--features", "python", *only)
    packages: list[dict[str, Any]] = json.loads(text)["packages"]
    return [package for package in packages if package["name"] != "xyfast"]


def allowed(expression: str, *others: str) -> bool:
    """Whether a licence expression can be met by what deny.toml allows, and ``others``."""
    choices = re.sub(r"\s*/\s*", " OR ", expression)
    words = re.findall(r"[()]|AND|OR|[\w.-]+(?: WITH [\w.-]+)?", choices)
    said = [
        word.lower()
        if word in ("AND", "OR")
        else word
        if word in "()"
        else str(word in (*DENY["licenses"]["allow"], *others))
        for word in words
    ]
    return bool(eval(" ".join(said)))  # nothing but True, False, and, or, ( and ) is left


@pytest.mark.parametrize(
    ("expression", "good"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0/MIT", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
    ],
)
def test_licence_expressions_are_read(expression: str, good: bool) -> None:
    assert allowed(expression) is good


def test_every_crate_has_a_licence_that_is_allowed(crates: list[dict[str, Any]]) -> None:
    assert len(crates) > 50
    wrong = {each["name"]: each["license"] for each in crates if not allowed(each["license"] or "")}
    assert wrong == {}


def test_every_licence_that_is_allowed_is_needed(crates: list[dict[str, Any]]) -> None:
    used = " ".join(each["license"] for each in crates)
    assert [name for name in DENY["licenses"]["allow"] if name not in used] == []


def test_every_crate_comes_from_the_registry_with_a_checksum() -> None:
    for package in toml("Cargo.lock")["package"]:
        if package["name"] != "xyfast":
            assert package["source"] == CRATES_IO, package
            assert re.fullmatch(r"[0-9a-f]{64}", package["checksum"]), package


def test_what_an_sdist_holds_is_named_from_the_root() -> None:
    assert all(name.startswith("/") for name in toml("Cargo.toml")["package"]["include"])


def test_no_crate_is_banned() -> None:
    names = {package["name"] for package in toml("Cargo.lock")["package"]}
    assert not names & {each["crate"] for each in DENY["bans"]["deny"]}


def test_the_module_has_no_crate_twice_but_those_known() -> None:
    lines = cargo("tree", "--features", "python", "-e", "normal", "--prefix", "none", "-f", "{p}")
    crates = {tuple(line.split()[:2]) for line in lines.splitlines() if line}  # name, version
    twice = {name for name, count in Counter(c[0] for c in crates).items() if count > 1}
    assert twice == {each["crate"].partition("@")[0] for each in DENY["bans"]["skip"]}


def test_the_package_needs_tomli_where_python_has_none_and_nothing_else() -> None:
    project = toml("pyproject.toml")
    assert project["project"]["dependencies"] == ["tomli>=2; python_version < '3.11'"]
    for names in project["project"]["optional-dependencies"].values():
        assert all(re.fullmatch(r"[\w-]+[<>=0-9.,]*", name) for name in names)
    wanted = [each for group in project["dependency-groups"].values() for each in group]
    assert not [each for each in wanted if isinstance(each, str) and ("@" in each or "/" in each)]
    assert project["build-system"]["requires"] == ["maturin>=1.13,<2"]


def test_the_extras_may_be_used_freely() -> None:
    extras = toml("pyproject.toml")["project"]["optional-dependencies"]
    for name in {re.split("[<>=]", each)[0] for names in extras.values() for each in names}:
        facts = metadata.metadata(name)
        said = [facts[field] for field in ("License-Expression", "License") if field in facts]
        assert said
        assert allowed(said[0], "BSD-2-Clause"), name


def test_actions_are_pinned_by_commit_and_know_no_secret() -> None:
    files = list((ROOT / ".github" / "workflows").glob("*.yml"))
    assert len(files) == 2
    for file in files:
        text = file.read_text("utf-8")
        for action in re.findall(r"uses: (.+)", text):
            if action == "./.github/workflows/ci.yml":  # of the same commit
                continue
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action), action
        assert "secrets." not in text
        assert "pull_request_target" not in text
        assert re.search(r"^permissions:\n  contents: read$", text, re.MULTILINE)


def test_the_release_builds_for_every_python_that_is_named() -> None:
    project = toml("pyproject.toml")["project"]
    named = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    for file in ("ci.yml", "release.yml"):
        text = (ROOT / ".github" / "workflows" / file).read_text("utf-8")
        assert re.findall(r'"(3\.\d+)"', text.partition("python: [")[2].partition("]")[0]) == named
