"""What a person sees of the demonstration: the progress while it runs, and the tables at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.audit.words import PROCESSING, TIERS
from broker.demo.plan import DemoPlan
from broker.demo.reconcile import BrokerEnd, Latency, Verdict
from broker.demo.simulation import Tally

SHOWN_DISAGREEMENTS = 12
LINE_EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal."""


class Progress:
    """Shows how far the run is: a live table on a terminal, otherwise a line now and then. On standard error."""

    def __init__(self, plan: DemoPlan, tally: Tally) -> None:
        self._plan = plan
        self._tally = tally
        self._started = monotonic()
        self._said = monotonic()
        self._live: Live | None = None
        self._deliveries = plan.deliveries()
        self._submissions = len(plan.documents)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it until the end of the block."""
        if not sys.stderr.isatty():
            yield
            return
        console = Console(stderr=True)
        with Live(get_renderable=self._table, console=console, refresh_per_second=8, transient=True) as self._live:
            yield
        self._live = None

    def changed(self) -> None:
        """Something was counted."""
        if not sys.stderr.isatty() and monotonic() - self._said >= LINE_EVERY:
            self._said = monotonic()
            sys.stderr.write("  " + ", ".join(f"{what} {done}/{of}" for what, done, of in self._rows()) + "\n")
            sys.stderr.flush()

    def _rows(self) -> list[tuple[str, int, int]]:
        tally = self._tally
        good = sum(1 for d in self._plan.documents if d.good)
        return [
            ("submitted", tally.events["submitted"], self._submissions),
            ("accepted", len(tally.accepted), good),
            ("refused", len(tally.rejected), self._submissions - good),
            ("stored by recipients", sum(tally.stored.values()), self._deliveries),
            ("01 read by senders", len(tally.arrived_known), self._deliveries),
        ]

    def _table(self) -> Table:
        table = Table(
            box=box.SIMPLE, title=f"{monotonic() - self._started:.0f} s, {self._tally.offices} offices connected"
        )
        for column in ("", "", ""):
            table.add_column(column)
        for what, done, of in self._rows():
            filled = 30 * done // of if of else 30
            style = "green" if done >= of else "cyan"
            table.add_row(
                what, Text("━" * filled, style=style) + Text("━" * (30 - filled), style="dim"), f"{done:,} / {of:,}"
            )
        table.add_row("answers of clerks", "", f"{self._tally.events['answered']:,}")
        return table


def deliveries_table(broker: BrokerEnd) -> Table:
    """Deliveries by the recipient's tier and their state."""
    states = [s for s in PROCESSING if any(row["processing"] == s for row in broker.deliveries)]
    table = Table(title="Deliveries by tier and state", box=box.SIMPLE, title_justify="left", show_footer=True)
    table.add_column("tier", footer="total")
    table.add_column("cấp")
    for state in states:
        count = sum(1 for row in broker.deliveries if row["processing"] == state)
        table.add_column(state, justify="right", footer=f"{count:,}")
    for tier, words in TIERS.items():
        rows = [row for row in broker.deliveries if str(row["tier"] or "-") == tier]
        if rows:
            counts = (sum(1 for row in rows if row["processing"] == state) for state in states)
            table.add_row(tier, words.vi, *(f"{count:,}" for count in counts))
    return table


def latency_table(found: Sequence[Latency]) -> Table:
    """Median and 99th percentile, in milliseconds."""
    table = Table(title="From the sender's signature to …", box=box.SIMPLE, title_justify="left")
    table.add_column("lane and milestone")
    for column in ("deliveries", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(one.what, f"{one.count:,}", f"{one.p50 * 1000:,.0f}", f"{one.p99 * 1000:,.0f}")
    return table


def refusals_table(broker: BrokerEnd) -> Table:
    """Every refusal with its reason."""
    table = Table(title="Refused by the exchange", box=box.SIMPLE, title_justify="left")
    for column in ("code", "from", "field", "found", "expected"):
        table.add_column(column, overflow="fold")
    for row in broker.rejections:
        table.add_row(*(str(row[name] or "") for name in ("code", "claimed_from", "field", "found", "expected")))
    return table


def verdict_text(verdict: Verdict) -> Text:
    """The line in which both ends agree, and what does not."""
    text = Text(verdict.line(), style="bold green" if verdict.good else "bold red")
    for disagreement in verdict.disagreements[:SHOWN_DISAGREEMENTS]:
        text.append(f"\n  {disagreement}", style="red")
    more = len(verdict.disagreements) - SHOWN_DISAGREEMENTS
    if more > 0:
        text.append(f"\n  … and {more} more; all of them with --json", style="red")
    return text


def as_dict(verdict: Verdict, found: Sequence[Latency], broker: BrokerEnd, seconds: float) -> dict[str, Any]:
    """For `--json`."""
    return {
        "good": verdict.good,
        "documents": verdict.documents,
        "deliveries": verdict.deliveries,
        "arrived": verdict.arrived,
        "refused": verdict.refused,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "disagreements": verdict.disagreements,
        "latency": [{"what": o.what, "count": o.count, "p50": o.p50, "p99": o.p99} for o in found],
        "rejections": [dict(row) for row in broker.rejections],
        "seconds": round(seconds, 1),
    }
