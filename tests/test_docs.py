"""The examples of both READMEs and of the pages run as they stand."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import inspect
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kit_page
import settings_page
import xyfast
from world import ME
from xyfast import Secrets, Settings, codec
from xyfast.store import Retention
from xyfast.testing import FakeServer, Fault, ServerSettings, fast_settings
from xyfast.troubles import ANSWERS, KICKS, LINKS, TOKENS

ROOT = Path(__file__).parent.parent
READMES = ["README.md", "README.zh-CN.md"]
PAGES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))]
ENGLISH = [name for name in PAGES if not name.endswith(".zh.md")]
"""test_docs_pairs.py compares the others with these."""
KINDS = (Settings, Retention, Secrets)
SETTINGS = {field.name for kind in KINDS for field in dataclasses.fields(kind)}


def blocks(name: str, language: str) -> list[str]:
    text = (ROOT / name).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def file_name(code: str) -> str | None:
    """The file that a block is, if its first line says so."""
    found = re.match(r"# (\w+\.py)\n", code)
    return None if found is None else found[1]


def write(folder: Path, code: str) -> str:
    path = folder / "example.py"
    path.write_text(code, "utf-8")
    return str(path)


@pytest.mark.parametrize("name", READMES)
async def test_the_bot_answers(
    name: str, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = [block for block in blocks(name, "python") if "seller.toml" in block]
    toml = re.sub(
        r"(?m)^cookies = .*$", f'cookies = "{server.cookies(ME)}"', blocks(name, "toml")[0]
    )
    (tmp_path / "seller.toml").write_text(toml, "utf-8")
    monkeypatch.chdir(tmp_path)

    class PointedClient(xyfast.Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(settings=fast_settings(server), **options)

    monkeypatch.setattr(xyfast, "Client", PointedClient)
    example = runpy.run_path(write(tmp_path, code))
    running = asyncio.ensure_future(example["main"]())
    await server.wait(server.links)
    server.push_text(ME, "在吗")
    server.push_text(ME, "something else")
    await server.wait(lambda: server.ledger(ME).sent and not server.ledger(ME).unacked)
    await example["client"].close()
    await running
    assert [sent.text for sent in server.ledger(ME).sent] == ["在的，拍下今天发货"]
    assert (tmp_path / "xyfast.db").exists()


@pytest.mark.parametrize("name", READMES)
def test_the_codec_and_fake_server_examples_run(name: str, tmp_path: Path) -> None:
    examples = [block for block in blocks(name, "python") if "seller.toml" not in block]
    assert len(examples) == 2
    for code in examples:
        runpy.run_path(write(tmp_path, code), run_name="__main__")


@pytest.mark.parametrize("name", ENGLISH)
def test_the_examples_of_the_pages_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for code in 2 * blocks(name, "python"):  # a reader tries it again
        if file_name(code) is None:
            runpy.run_path(write(tmp_path, code), run_name="__main__")


def test_the_bots_that_are_run_are_those_that_are_tested() -> None:
    router, maker = blocks("docs/howto/run.md", "python")
    files = {file_name(code): code for code in blocks("docs/howto/test-your-bot.md", "python")}
    assert files["bot.py"] == f"# bot.py\n{router}"
    assert files["shop.py"].partition("\n\n\n")[2] in maker


def test_the_suite_of_the_page_passes(tmp_path: Path) -> None:
    for code in blocks("docs/howto/test-your-bot.md", "python"):
        if name := file_name(code):
            (tmp_path / name).write_text(code, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(xyfast.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_tables_of_the_kit_are_what_the_code_says() -> None:
    """Else run ``python tests/kit_page.py``."""
    text = kit_page.PAGE.read_text("utf-8")
    assert text == kit_page.page()
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert named >= set(Fault.__members__) | {f.name for f in dataclasses.fields(ServerSettings)}


def test_no_two_examples_share_a_file() -> None:
    files = [
        file
        for name in ENGLISH
        for code in blocks(name, "python")
        for file in re.findall(r'Client\(store="(.+?)"', code)
    ]
    assert len(files) >= 3
    assert len(set(files)) == len(files)


def test_both_readmes_show_the_same_code() -> None:
    def code(name: str) -> list[str]:
        found = blocks(name, "python") + blocks(name, "sh") + blocks(name, "toml")
        # Comments and the words that a person reads differ.
        return [re.sub(r"\s*#.*|f\".*?\"", "", block) for block in found]

    assert code("README.md") == code("README.zh-CN.md")


@pytest.mark.parametrize(
    "name", [*READMES, *PAGES, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
)
def test_links_to_files_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize(
    "thing", [xyfast.DedupCache, *(getattr(codec, name) for name in codec.__all__)]
)
def test_help_tells_what_the_codec_does(thing: object) -> None:
    assert inspect.getdoc(thing)
    if isinstance(thing, type) and thing.__module__.startswith("xyfast"):
        for name, member in vars(thing).items():
            if not name.startswith("_") and not inspect.ismemberdescriptor(member):
                assert inspect.getdoc(member), name


def test_every_file_of_the_layout_exists() -> None:
    """The tree in CONTRIBUTING.md, line by line."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    folder = ROOT
    for line in text.split("```")[1].strip().splitlines():
        found = re.match(r"( *)(.+?)(?:  |$)", line)
        assert found is not None
        indent, names = found.groups()
        if not indent:
            folder = ROOT
        for name in names.split():
            assert (folder / name).exists(), name
        if not indent:
            folder = ROOT / names.split()[0]


def defined_tests(path: Path) -> set[str]:
    """The tests that a file defines: functions, and classes that hypothesis makes."""
    text = path.read_text("utf-8")
    if path.suffix == ".rs":
        return set(re.findall(r"#\[test\]\s+fn (\w+)", text))
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if name.lower().startswith("test")}


def test_every_promise_names_tests_that_exist() -> None:
    page = ROOT / "docs" / "promises.md"
    general, *promises = page.read_text("utf-8").split("\n## ")
    assert [text.split(".")[0] for text in promises] == [str(n) for n in range(1, 12)]
    for text in (general, *promises):
        proofs = re.findall(r"^- \[.+?\]\((\S+)\):((?:\s+`\w+`,?)+)$", text, re.MULTILINE)
        assert proofs, text
        for target, names in proofs:
            named = set(re.findall(r"`(\w+)`", names))
            assert named <= defined_tests(page.parent / target), target
        # None escapes the check above by being written in another way.
        assert len(proofs) == text.count("](../tests/")


def test_pages_name_settings_that_exist() -> None:
    for name in (*READMES, *PAGES, "CHANGELOG.md"):
        text = (ROOT / name).read_text("utf-8")
        named = set(re.findall(r"`(?:Settings|Retention|Secrets)\.(\w+)`", text))
        for line in re.findall(r"^Settings: (.+?)\.$", text, re.MULTILINE | re.DOTALL):
            named |= set(re.findall(r"`(\w+)`", line))
        assert named - {"load"} <= SETTINGS, name  # a method


def test_the_page_of_settings_is_what_the_code_says() -> None:
    """Else run ``python tests/settings_page.py``."""
    text = settings_page.PAGE.read_text("utf-8")
    assert text == settings_page.page()
    assert settings_page.CHINESE.read_text("utf-8") == settings_page.chinese_page()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == SETTINGS


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_says_what_it_is(kind: type) -> None:
    [definition] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    explained = {
        field.target.id
        for field, text in zip(definition.body, definition.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    assert explained == {field.name for field in dataclasses.fields(kind)}


def test_the_pages_of_faults_show_lines_that_the_log_has() -> None:
    """Their sentences are in the code, as constants; those of states are made there."""
    constants = {
        node.value
        for path in (ROOT / "python" / "xyfast").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant)
    }
    states = {state.value for state in xyfast.State}
    shown = 0
    for name in ENGLISH:
        if name.startswith("docs/faults/"):
            for line in "".join(blocks(name, "text")).splitlines():
                found = re.fullmatch(r"(?:INFO|WARNING|ERROR) (.+?) \(.*\)", line)
                assert found is not None, (name, line)
                state = re.sub(r"^account (is )?", "", found[1])
                assert found[1] in constants or state in states, (name, line)
                shown += 1
    assert shown >= 15


def test_the_pages_of_faults_name_places_that_exist() -> None:
    rows = {row.page for table in (LINKS, TOKENS, ANSWERS, KICKS) for row in table.values()}
    for name in ENGLISH:
        if name.startswith("docs/faults/"):
            named = re.findall(r"page=(\S+?)\)", (ROOT / name).read_text("utf-8"))
            assert set(named) <= rows, name
