"""`lienthong demo`: the whole exchange at work on this machine, on the real directory."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.text import Text

from broker.audit.explain import explain
from broker.cli.audit_search import report_table
from broker.cli.output import JsonOption, emit, run, say
from broker.cli.story import render_story
from broker.demo.run import Outcome, run_demo
from broker.demo.show import as_dict, deliveries_table, latency_table, refusals_table, verdict_text
from broker.services import down, status, up
from broker.settings import load_settings
from schemas.command_line import terminal_language
from schemas.problem import NOT_GOOD

LOCAL = Path(".local")
FOLDER = LOCAL / "demo"


def command(
    documents: Annotated[int, typer.Option(min=100, max=5_000, help="Good documents beside the telegram.")] = 300,
    seconds: Annotated[float, typer.Option(min=5, max=600, help="Over so many seconds they are sent.")] = 20.0,
    seed: Annotated[int | None, typer.Option(help="Makes the same traffic again; by default it differs.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the servers running afterwards.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send real papers through the real directory, then ask both ends whether they agree.

    Ends with 1 if anything was lost or doubled, or if something bad was accepted.
    """
    ran_before = any(server.running for server in status(LOCAL).servers if server.source == "private")
    up(LOCAL, tell=say)
    try:
        chosen = seed if seed is not None else int(datetime.now(UTC).timestamp())
        FOLDER.mkdir(parents=True, exist_ok=True)
        outcome = run(run_demo(load_settings(), FOLDER, documents=documents, seconds=seconds, seed=chosen))
        value = as_dict(outcome.verdict, outcome.latency, outcome.broker, outcome.seconds)
        emit(value, as_json=as_json, render=lambda _: _render(outcome))
    finally:
        if not keep and not ran_before:
            down(LOCAL)
    if not as_json:
        say(_afterwards(outcome, running=keep or ran_before))
    if not outcome.verdict.good:
        raise typer.Exit(NOT_GOOD)


def _render(outcome: Outcome) -> Group:
    language = terminal_language()
    explanation = explain(outcome.story, now=datetime.now(UTC))
    return Group(
        Text("Documents and deliveries by tier", style="italic"),
        report_table(outcome.report, "both"),
        deliveries_table(outcome.broker),
        latency_table(outcome.latency),
        refusals_table(outcome.broker),
        Text("One document, from a ministry to a commune", style="italic"),
        *render_story(outcome.story, language),
        Text(explanation.vi if language == "vi" else explanation.en),
        Text(""),
        verdict_text(outcome.verdict),
    )


def _afterwards(outcome: Outcome, *, running: bool) -> str:
    first = "" if running else "start the servers with `lienthong services up`, then "
    prefix = "" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/"
    return (
        f"\nTook {outcome.seconds:.0f} s. To look around, {first}try:\n"
        f"  {prefix}lienthong document explain {outcome.told}\n"
        f"  {prefix}lienthong audit search --since 1h --subject 'bão'\n"
        f"  {prefix}lienthong audit report"
    )
