"""Makes a record of a run of the benchmarks: ``python report.py RUN.json [FOLDER]``.

RUN.json is what pytest-benchmark wrote. Prints a line for every case; with a folder, also
writes a Markdown page with a plot, the figures as JSON, and ``summary.svg``, the short plot of
the last record.
"""

from __future__ import annotations

import importlib.metadata
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pytest_benchmark.plugin import pytest_benchmark_generate_machine_info
from pytest_benchmark.utils import get_commit_info

from plot import plot
from results import Line, lines, number
from targets import THEMES, Theme
from xyfast import _core

PACKAGES = [
    "xyfast",
    "msgpack",
    "ormsgpack",
    "msgspec",
    "orjson",
    "pybase64",
    "cachebox",
    "cachetools",
    "lru-dict",
    "pytest-benchmark",
]
INSTRUCTIONS = ["avx2", "avx512f", "avx512vbmi", "asimd"]
INTRODUCTION = """\
Rivals took turns and garbage collection was off. Times are processor time, and a ratio is the
median over the rounds of our time divided by a rival's in the same round: below 1.00 we are
faster. `must` and `stretch` are targets for the ratio to the best peer. **Bold** figures are
rows that we lose: slower than the best peer, or a target missed.
"""

Table = tuple[Theme, list[Line]]


def is_lost(theme: Theme, line: Line) -> bool:
    """Return whether a line has to be marked."""
    slower = theme.fact is None and line.ours is not None and line.ours > 1
    return slower or line.result == "missed"


def sentence(theme: Theme, line: Line) -> str:
    """Write a line for the terminal."""
    text = f"{line.target.row:2} " if line.target else " – "
    text += f" {theme.title}, {line.case}: {number(line.ours, theme)}"
    text += f" of {line.best}" if line.best else f" {theme.unit}"
    if line.target:
        must, stretch = number(line.target.must, theme), number(line.target.stretch, theme)
        text += f" [{line.result}: must {must}, stretch {stretch}]"
    return text + "".join(f"; {name} {number(v, theme)}" for name, v in line.peers.items())


def table(theme: Theme, found: list[Line]) -> str:
    """Write the Markdown table of a theme."""
    peers = list(dict.fromkeys(name for line in found for name in line.peers))
    to = f"to {theme.against}" if theme.against else "to the best" if theme.fact is None else ""
    head = ["row", "case", f"xyfast {to}".strip(), "must", "stretch", "result"]
    head += ["best peer"] if theme.fact is None else []
    head += ["xyfast"] if theme.is_ratio else []
    head += [f"to {name}" if theme.is_ratio else name for name in peers]
    rows = [head, ["---"] * len(head)]
    for line in found:
        ours, result = number(line.ours, theme), line.result
        if is_lost(theme, line):
            ours, result = f"**{ours}**", f"**{result}**" if result == "missed" else result
        target = line.target
        row = [str(target.row), line.case, ours] if target else ["", line.case, ours]
        row += [number(target.must, theme), number(target.stretch, theme)] if target else ["", ""]
        row += [result]
        row += [line.best] if theme.fact is None else []
        row += [line.shown] if theme.is_ratio else []
        row += [number(line.peers.get(name), theme) for name in peers]
        rows.append(row)
    title = theme.title + (f" ({theme.unit})" if theme.unit and not theme.is_ratio else "")
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def this_run() -> dict[str, Any]:
    """Return what pytest-benchmark would write of a run that begins now on this machine."""
    machine = pytest_benchmark_generate_machine_info()
    return {
        "machine_info": {**machine, "xyfast_simd": _core.simd},
        "commit_info": get_commit_info(str(Path(__file__).parent)),
        "datetime": datetime.now(timezone.utc).isoformat(),
    }


def facts(run: dict[str, Any], packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return what the figures depend on."""
    machine, commit = run["machine_info"], run["commit_info"]
    cpu = machine.get("cpu", {})
    changed = ", with changes that are in no commit" if commit.get("dirty") else ""
    return {
        "date": run["datetime"][:10],
        "Python": f"{machine['python_implementation']} {machine['python_version']}",
        "processor": f"{cpu.get('brand_raw') or machine['processor']}, {cpu.get('count')} cores",
        "instructions": ", ".join(flag for flag in INSTRUCTIONS if flag in cpu.get("flags", ())),
        "level in use": machine["xyfast_simd"],
        "system": f"{machine['system']} {machine['release']}, {machine['machine']}",
        "build": _core.build_profile,
        "commit": str(commit.get("id"))[:12] + changed,
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def page(title: str, about: dict[str, str], introduction: str, tables: list[Table]) -> str:
    """Write the Markdown page of a record."""
    results = Counter(line.result for _, found in tables for line in found if line.result)
    total = ", ".join(f"{results[name]} {name}" for name in ("stretch", "met", "missed"))
    about_rows = "".join(f"| {name} | {value} |\n" for name, value in about.items())
    return "\n".join(
        [
            f"# {title}\n",
            introduction,
            f"| | |\n| --- | --- |\n{about_rows}",
            f"Results: {total}.\n",
            *(table(theme, found) for theme, found in tables),
        ]
    )


def summary(tables: list[Table]) -> list[Table]:
    """Keep what a target names, payloads as the wire has them, and the means."""
    return [
        (
            theme,
            [
                line
                for line in found
                if line.target is theme.mean is not None
                or (line.target in theme.targets.values() and "str keys" not in line.case)
            ],
        )
        for theme, found in tables
    ]


def judged(tables: list[Table]) -> list[dict[str, Any]]:
    """Return our lines for programs."""
    return [
        {"table": theme.title, **asdict(line), "result": line.result}
        for theme, found in tables
        for line in found
    ]


def figures(about: dict[str, str], run: dict[str, Any], tables: list[Table]) -> str:
    """Write the record for programs: every rival's median and facts, and our lines."""
    times = [
        {
            **entry["extra_info"],
            "seconds": statistics.median(entry["stats"]["data"]),
            "rounds": entry["stats"]["rounds"],
        }
        for entry in run["benchmarks"]
    ]
    record = {"about": about, "lines": judged(tables), "measured": times}
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def main(path: str, folder: str | None = None) -> None:
    run = json.loads(Path(path).read_text("utf-8"))
    tables = [(theme, found) for theme in THEMES if (found := lines(theme, run["benchmarks"]))]
    for theme, found in tables:
        for line in found:
            print(sentence(theme, line))
    if folder is None:
        return
    about = facts(run)
    python = ".".join(run["machine_info"]["python_version"].split(".")[:2])
    name = Path(folder) / f"{about['date']}-python{python}"
    title = f"xyfast, {about['Python']}, {about['date']}"
    image = f"\n![Ratio to the best peer, case by case]({name.name}.svg)\n"
    files = {
        ".md": page(f"{about['date']}, {about['Python']}", about, INTRODUCTION + image, tables),
        ".json": figures(about, run, tables),
        ".svg": plot(title, tables),
        "-summary.svg": plot(title, summary(tables)),
    }
    for ending, text in files.items():
        name.with_name(name.name + ending).write_text(text, "utf-8")
    name.with_name("summary.svg").write_text(files["-summary.svg"], "utf-8")
    print(f"written: {name}{', '.join(files)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
