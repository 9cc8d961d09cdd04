"""The whole examination, in the order in which faults hide other faults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from broker.doctor.finding import Finding, Verdict
from broker.doctor.keys import check_keys
from broker.doctor.log import check_log
from broker.doctor.machine import check_disk, check_programs, check_python
from broker.doctor.servers import check_postgresql, check_rabbitmq, check_topology
from broker.settings import load_settings
from schemas.problem import Problem


async def examine(config: Path | None, now: datetime) -> Sequence[Finding]:
    """Look at everything; `config` as for `load_settings`, `now` an aware time for certificates."""
    findings = [*check_python(), *check_programs()]
    try:
        settings = load_settings(config)
    except Problem as problem:
        return [*findings, Finding.of_problem("settings", problem)]
    findings.append(Finding.good("settings", f"exchange {settings.broker_code}, home {settings.home}"))
    findings += check_disk(settings.home)
    findings += check_keys(settings, now)
    servers = [finding async for finding in check_rabbitmq(settings)]
    servers += [finding async for finding in check_postgresql(settings)]
    findings += servers
    if all(finding.verdict is not Verdict.BAD for finding in servers):
        findings += [finding async for finding in check_topology(settings)]
        findings += [finding async for finding in check_log(settings)]
    return findings
