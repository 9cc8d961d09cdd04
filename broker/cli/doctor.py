"""`lienthong doctor`: is this machine, and this exchange, as it should be?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from broker.cli.output import JsonOption, emit, run
from broker.doctor import Finding, Verdict, examine
from schemas.problem import NOT_GOOD

SIGNS = {Verdict.GOOD: "ok", Verdict.WARNING: "look", Verdict.BAD: "BAD"}


def command(
    config: Annotated[Path | None, typer.Option("--config", help="The configuration file to examine with.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine and this exchange, and say what to do. Ends with code 1 if something is bad."""
    findings = run(examine(config, datetime.now(UTC)))
    emit(findings, as_json=as_json, render=_table)
    if any(finding.verdict is Verdict.BAD for finding in findings):
        raise typer.Exit(NOT_GOOD)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        table.add_row(SIGNS[finding.verdict], finding.check, finding.found)
        if finding.remedy is not None:
            table.add_row("", "", f"→ {finding.remedy}")
    return table
