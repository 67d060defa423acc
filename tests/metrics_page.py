"""Makes docs/reference/metrics.md of the table of metrics.

``python tests/metrics_page.py`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from xyfast.instrumentation.metrics import HOPS
from xyfast.instrumentation.table import TABLE

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"

_HEAD = """\
# Metrics

What `xyfast.instrumentation.metrics.Metrics` counts, by the names under which Prometheus gets it
([monitoring](../howto/monitoring.md)). This page is made of the table in
`xyfast.instrumentation.table` by `python tests/metrics_page.py`, and a test fails when it is out of
date.

Counters begin at 0 with the `Metrics`. Gauges are as old as the last look, `Settings.measure_every`
(5 s) at most; those that nobody knows are left out. Labels are the account and one class; accounts
past the first 10 000 are counted together as `others`. Histograms have no account, so that there
are few series however many accounts there are. No label is a secret or a message's text.

OpenTelemetry's instruments have the same names with `xyfast.` in front, without `_total`, and
without `_seconds` and `_bytes`, which are their units.

"""


def page() -> str:
    """Return the text of the page."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{each}`' for each in metric.labels)} "
        f"| {metric.help} |"
        for metric in TABLE
    ]
    hops = [f"| `{hop}` | {meaning} |" for hop, meaning in HOPS.items()]
    parts = ["| name | kind | labels | meaning |", "| --- | --- | --- | --- |", *rows]
    parts += ["", "## Hops", "", "| hop | seconds |", "| --- | --- |", *hops]
    return _HEAD + "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
