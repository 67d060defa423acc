"""The arrows between modules, as CONTRIBUTING.md draws them: left is used by right."""

from __future__ import annotations

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "xyfast"

# Layers from the bottom up. A module may import from lower layers and, within its own
# layer, from what stands further left.
LAYERS = [
    ["errors", "_core", "secret", "redaction", "arguments", "shown", "logs", "tables"],
    [
        "codec",
        "retry",
        "troubles",
        "lanes",
        "window",
        "pace",
        "gate",
        "reading",
        "account",
        "messages",
        "facts",
        "config",
    ],
    ["disguise", "history", "envelope", "requests", "events", "session", "store"],
    [
        "instrumentation",
        "tasks",
        "gates",
        "transport",
        "recording",
        "tokens",
        "deadlines",
        "unheard",
        "dispatch",
        "calls",
        "outbox",
        "entries",
        "upkeep",
        "watchdog",
        "pulse",
    ],
    ["reconcile", "markers", "probe", "holding", "patience", "position", "replay", "lists", "sync"],
    ["saving", "gaps", "login", "dialler", "driver", "arrivals", "health", "intake", "switchboard"],
    ["measuring", "status", "accounts", "life", "client", "configfile"],
    ["testing"],
    ["commands", "__main__"],
]
PURE = [
    "retry",
    "troubles",
    "lanes",
    "window",
    "pace",
    "gate",
    "reading",
    "facts",
    "messages",
    "account",
    "history",
    "envelope",
]
PURE += ["disguise", "requests", "events", "session", "config", "errors"]
IMPURE_MODULES = {"asyncio", "socket", "ssl", "threading", "time", "sqlite3", "subprocess"}


def units() -> dict[str, list[Path]]:
    """Every module or package below xyfast, with its files."""
    found: dict[str, list[Path]] = {}
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE)
        name = relative.parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, []).append(path)
    return found


def imported(path: Path) -> set[str]:
    """Modules that a file imports when it is loaded or run, those for type checkers too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def arrows() -> dict[str, set[str]]:
    known = set(units()) | {"_core"}
    graph = {}
    for name, paths in units().items():
        uses = set()
        for path in paths:
            for full in imported(path):
                parts = full.split(".")
                if parts[0] == "xyfast" and len(parts) > 1 and parts[1] in known - {name}:
                    uses.add(parts[1])
        graph[name] = uses
    return graph


def test_every_module_has_its_layer() -> None:
    assert {name for layer in LAYERS for name in layer} - {"_core"} == set(units())


def test_there_are_no_cycles() -> None:
    tuple(graphlib.TopologicalSorter(arrows()).static_order())


def test_arrows_point_upwards() -> None:
    order = [name for layer in LAYERS for name in layer]
    wrong = [
        f"{name} uses {used}"
        for name, uses in arrows().items()
        for used in uses
        if order.index(used) >= order.index(name)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_touch_no_sockets_clocks_or_tasks(name: str) -> None:
    roots = {full.split(".")[0] for full in imported(PACKAGE / f"{name}.py")}
    assert roots & IMPURE_MODULES == set()


def test_only_the_bindings_name_pyo3() -> None:
    naming = {
        path.relative_to(ROOT).parts[1]
        for path in (ROOT / "src").rglob("*.rs")
        if re.search(r"\bpyo3::|use pyo3\b", path.read_text("utf-8"))
    }
    assert naming == {"py"}


def test_unsafe_code_is_opened_by_name_only() -> None:
    opened = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src").rglob("*.rs")
        if re.search(r"\bunsafe\b(?!_code)", path.read_text("utf-8"))
    }
    assert opened == {
        "base64.rs",
        "py/base64.rs",
        "py/entry.rs",
        "py/make.rs",
        "py/pack/output.rs",
        "py/pack/packer.rs",
        "py/pack/scalar.rs",
        "py/pack/walk.rs",
        "simd/neon.rs",
        "simd/proof.rs",
        "simd/walk.rs",
        "simd/x86.rs",
    }


def test_rust_arrows_point_upwards() -> None:
    order = [
        "error",
        "simd",
        "base64",
        "msgpack",
        "decrypt",
        "dedup",
        "envelope",
        "transport",
        "py",
    ]
    wrong = []
    for path in (ROOT / "src").rglob("*.rs"):
        name = path.relative_to(ROOT / "src").parts[0].removesuffix(".rs")
        if name == "lib":
            continue
        for used in re.findall(r"\bcrate::(\w+)", path.read_text("utf-8")):
            if used in order and order.index(used) > order.index(name):
                wrong.append(f"{name} uses {used}")
    assert wrong == []
