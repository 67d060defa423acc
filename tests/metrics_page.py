"""Makes docs/reference/metrics.md of the table of metrics, and its Chinese.

``python tests/metrics_page.py`` writes both; metrics_words.py has the Chinese.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import metrics_words as chinese
from xyfast.instrumentation.metrics import HOPS
from xyfast.instrumentation.table import TABLE

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"
CHINESE = PAGE.with_name("metrics.zh.md")

_HEAD = """\
# Metrics

What `xyfast.instrumentation.metrics.Metrics` counts, by the names under which Prometheus gets it
([monitoring](../howto/monitoring.md)). This page is made of the table in
`xyfast.instrumentation.table` by `python tests/metrics_page.py`, and a test fails when it is out of
date.

Counters begin at 0 with the `Metrics`; those with a class begin with the first event of the class,
save that the classes whose errors, dead letters and sends examples/monitoring/alerts.yml looks at
are there from the start. Gauges are as old as the last look, `Settings.measure_every` (5 s) at
most, twice that when the store does not answer; those that nobody knows are left out, as is what
the store does not tell. Labels are the account and one class; accounts past the first 10 000 are
counted together as `others`. Histograms have no account, so that there are few series however many
accounts there are. No label is a secret or a message's text.

OpenTelemetry's instruments have the same names with `xyfast.` in front, without `_total`, and
without `_seconds` and `_bytes`, which are their units.

"""
_TABLE = "| name | kind | labels | meaning |\n| --- | --- | --- | --- |"
_HOPS = "## Hops\n\n| hop | seconds |\n| --- | --- |"


def page() -> str:
    """Return the text of the page."""
    return _page(_HEAD, _TABLE, _HOPS, lambda words: HOPS.get(words, words))


def chinese_page() -> str:
    """Return the text of the Chinese page; KeyError for words that have no Chinese yet."""
    return _page(chinese.HEAD, chinese.TABLE, chinese.HOPS, lambda words: chinese.WORDS[words])


def _page(head: str, table: str, hops: str, say: Callable[[str], str]) -> str:
    rows = [
        f"| `{metric.name}` | {say(metric.kind)} "
        f"| {', '.join(f'`{label}`' for label in metric.labels)} | {say(metric.help)} |"
        for metric in TABLE
    ]
    parts = [table, *rows, "", hops, *(f"| `{hop}` | {say(hop)} |" for hop in HOPS)]
    return head + "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    CHINESE.write_text(chinese_page(), "utf-8")
