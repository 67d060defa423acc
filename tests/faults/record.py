"""Writes down what a script has counted, and where."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from xyfast import _core

__all__ = ["write"]


def write(folder: Path | None, name: str, figures: dict[str, Any]) -> None:
    """Write a record named by date and script; nothing without a folder."""
    if folder is None:
        return
    about = {
        "date": datetime.date.today().isoformat(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "build": _core.build_profile,
        "commit": commit(),
    }
    path = folder / f"{about['date']}-{name}.json"
    path.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n", "utf-8")


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
