"""Findings of `audit verify` and `fsck` as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from broker.evidence.bundle.show import plain
from broker.evidence.findings import Finding


def findings_table(
    findings: Sequence[Finding], counted: int, looked_at: Mapping[str, int], *, good: str
) -> Table | str:
    """The findings that are listed, of `counted`; `good` is said where there are none."""
    seen = ", ".join(f"{number:,} {what}" for what, number in looked_at.items()) or "nothing to look at"
    if not counted:
        return f"{good}: {seen}."
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{counted} findings; looked at {seen}")
    for column in ("where", "which", "what", "found", "expected"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        cells = (finding.where, finding.key, finding.what, finding.found, finding.expected)
        # What somebody has written into a row is shown as it stands, and is no markup.
        table.add_row(*(plain(cell) for cell in cells))
    return table
