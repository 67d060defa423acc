"""Records say what was measured, and hide no row that is lost."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from report import main
from results import lines
from targets import THEMES, Target, Theme

TIMES = Theme("unpack", "unpackb", {"a": Target(1, 0.5, 0.3)}, mean=Target(4, 0.7, 0.6))


def entry(rival: str, data: list[float], case: str = "a", **facts: Any) -> dict[str, Any]:
    info = {"theme": "unpack", "case": case, "rival": rival, **facts}
    return {"extra_info": info, "stats": {"data": data, "rounds": len(data)}}


def test_a_ratio_is_the_median_of_the_ratios_within_the_rounds() -> None:
    # Between the rounds the machine became ten times slower; the quotient of the medians is 5.
    rounds = [entry("xyfast", [1.0, 2.0, 30.0]), entry("peer", [4.0, 40.0, 40.0])]
    [line, _] = lines(TIMES, rounds)
    assert line.peers == {"peer": 0.25}
    assert (line.ours, line.best, line.result) == (0.25, "peer", "stretch")


def test_the_best_peer_is_the_quickest() -> None:
    rivals = [entry("xyfast", [2.0]), entry("slow", [8.0]), entry("quick", [5.0])]
    [line, _] = lines(TIMES, rivals)
    assert (line.ours, line.best, line.result) == (0.4, "quick", "met")
    assert line.peers == {"slow": 0.25, "quick": 0.4}


def test_a_target_that_is_not_reached_is_missed() -> None:
    [line, _] = lines(TIMES, [entry("xyfast", [2.0]), entry("peer", [3.0])])
    assert line.result == "missed"


def test_a_row_without_us_stays_in() -> None:
    [line] = lines(TIMES, [entry("peer", [3.0])])
    assert (line.case, line.ours, line.result) == ("a", None, "not there")


def test_the_last_line_is_the_geometric_mean() -> None:
    both = [
        entry(rival, [time], case)
        for case, ours in (("a", 1.0), ("b", 4.0))
        for rival, time in (("xyfast", ours), ("peer", 8.0))
    ]
    line = lines(TIMES, both)[-1]
    assert (line.case, line.target) == ("geometric mean of 2", TIMES.mean)
    assert line.ours == pytest.approx(0.25)


def test_facts_are_compared_with_the_named_peer() -> None:
    theme = Theme("unpack", "memory", others=Target(5, 1.05, 1.0), fact="memory", against="peer")
    rivals = [
        entry("xyfast", [1.0], memory=120),
        entry("peer", [1.0], memory=100),
        entry("other", [1.0], memory=60),
    ]
    [line] = lines(theme, rivals)
    assert (line.ours, line.result, line.peers) == (1.2, "missed", {"peer": 1.2, "other": 2.0})


def test_facts_without_a_peer_stand_as_they_are() -> None:
    theme = Theme("unpack", "growth", others=Target(7, 0, 0), fact="growth")
    rivals = [entry("xyfast", [1.0], growth=0), entry("peer", [1.0], growth=9)]
    [line] = lines(theme, rivals)
    assert (line.ours, line.result, line.peers) == (0, "stretch", {"peer": 9})


def test_every_row_of_the_targets_has_a_table() -> None:
    rows = {
        target.row
        for theme in THEMES
        for target in (*theme.targets.values(), theme.others, theme.mean)
        if target
    }
    assert rows == set(range(1, 15))


def test_a_record_is_a_page_a_plot_and_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {
        "datetime": "2026-01-02T03:04:05+00:00",
        "machine_info": {
            "python_implementation": "CPython",
            "python_version": "3.11.7",
            "system": "Linux",
            "release": "6",
            "machine": "x86_64",
            "xyfast_simd": "avx2",
            "cpu": {"brand_raw": "Some <CPU>", "count": 2, "flags": ["avx2"]},
        },
        "commit_info": {"id": "0123456789abcdef", "dirty": False},
        "benchmarks": [
            entry("xyfast", [3e-6], "gf8k, int keys", memory=2048),
            entry("msgpack", [2e-6], "gf8k, int keys", memory=1024),
        ],
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run), "utf-8")
    main(str(path), str(tmp_path))
    assert "unpackb, gf8k, int keys: 1.50 of msgpack [missed" in capsys.readouterr().out
    page = (tmp_path / "2026-01-02-python3.11.md").read_text("utf-8")
    assert "| level in use | avx2 |" in page
    assert "| 2 | gf8k, int keys | **1.50** | 0.55 | 0.42 | **missed** | msgpack | 3 us |" in page
    assert "| 5 | gf8k, int keys | **2.00** | 1.05 | 1.00 | **missed** | 2 KiB |" in page
    for name in ("2026-01-02-python3.11.svg", "2026-01-02-python3.11-summary.svg"):
        image = (tmp_path / name).read_text("utf-8")
        assert ET.fromstring(image) is not None
        assert "1.50 of msgpack" in image
    assert (tmp_path / "summary.svg").read_text("utf-8") == image
    record = json.loads((tmp_path / "2026-01-02-python3.11.json").read_text("utf-8"))
    assert [line["result"] for line in record["lines"]] == ["missed", "missed", "missed"]
    assert [each["seconds"] for each in record["measured"]] == [3e-6, 2e-6]
