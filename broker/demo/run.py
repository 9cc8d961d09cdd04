"""Runs the demonstration from end to end: servers, offices, traffic, and the question whether both ends agree."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from broker.audit.read import story_of
from broker.audit.record import Story
from broker.audit.report import Report, recount
from broker.cli.output import progress, say
from broker.demo.offices import Offices, equip, prepare
from broker.demo.plan import DemoPlan, PlannedDocument, make_plan
from broker.demo.reconcile import BrokerEnd, Latency, Verdict, latencies, reconcile
from broker.demo.show import Progress
from broker.demo.simulation import Tally, programs, simulate, simulation_plan, write_papers
from broker.settings import Settings
from broker.store.pool import connect
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL = load_queries("broker.demo", "ends.sql")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Everything that is shown at the end."""

    plan: DemoPlan
    broker: BrokerEnd
    verdict: Verdict
    latency: Sequence[Latency]
    report: Report
    story: Story
    """A document on its way from a ministry to a commune."""
    told: str
    """Its id."""
    seconds: float
    """From the first step after the keys to the verdict."""


async def run_demo(settings: Settings, folder: Path, *, documents: int, seconds: float, seed: int) -> Outcome:
    """Run it below `folder`, which is kept for the next run. Raises Problem if a part does not run."""
    started = datetime.now(UTC)
    offices = await prepare(settings, folder / "offices", say)
    plan = make_plan(offices.directory, seed=seed, started=started, documents=documents, seconds=seconds)
    await equip(settings, offices, [d.signer for d in plan.documents], say)
    clock = monotonic()
    plan_file = _write_plan(settings, folder, offices, plan, seed)
    tally = Tally(ids=frozenset(str(d.id) for d in plan.documents))
    shown = Progress(plan, tally)
    say(f"Worker, keeper and {len(offices.connected())} offices; {len(plan.documents)} submissions in {seconds:.0f} s")
    async with programs(("worker", "keeper"), settings, folder):
        with shown.shown():
            await simulate(plan_file, tally, folder, shown.changed)
    async with connect(settings.database_url) as connection:
        ids = [d.id for d in plan.documents]
        broker = BrokerEnd(
            documents=[dict(row) for row in await connection.fetch(SQL["documents"], ids)],
            deliveries=[dict(row) for row in await connection.fetch(SQL["deliveries"], ids)],
            rejections=[dict(row) for row in await connection.fetch(SQL["rejections"], [str(one) for one in ids])],
        )
        told, recipient = _from_ministry_to_commune(plan)
        return Outcome(
            plan=plan,
            broker=broker,
            verdict=reconcile(plan, broker, tally),
            latency=latencies(plan, broker),
            report=await recount(connection, by="tier", since=started),
            story=await story_of(connection, str(told.id), sender=told.sender.code, recipient=recipient),
            told=str(told.id),
            seconds=monotonic() - clock,
        )


def _write_plan(settings: Settings, folder: Path, offices: Offices, plan: DemoPlan, seed: int) -> Path:
    """Write the papers and the simulation's plan; papers of earlier runs are removed."""
    papers_folder = folder / "papers"
    shutil.rmtree(papers_folder, ignore_errors=True)
    with progress("Papers", total=len(plan.documents)) as advance:
        papers = write_papers(plan, papers_folder, advance)
    plan_file = folder / "plan.json"
    table = simulation_plan(plan, offices, papers, settings, seed=seed)
    plan_file.write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")
    return plan_file


def _from_ministry_to_commune(plan: DemoPlan) -> tuple[PlannedDocument, str]:
    """The document whose trace is shown, and the commune: the telegram, to one that its province's hub serves."""
    telegram = next((d for d in plan.documents if d.telegram), None)
    commune = (
        next((a for a in telegram.expected if a.level == "commune" and not a.has_mailbox), None) if telegram else None
    )
    if telegram is None or commune is None:
        raise Problem(
            "a directory without a commune that is served by a hub",
            "the national directory",
            "Use a database of its own for the demonstration.",
        )
    return telegram, commune.code
