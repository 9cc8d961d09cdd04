"""`lienthong topology` as an operator meets it: output, exit codes, and JSON for programs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import asyncpg
import pytest
from aiormq.abc import AbstractChannel

from tests.integration.topology.conftest import HasVhost
from tests.kit import forked


class Operator:
    """Runs the command as a process of its own."""

    def __init__(self, vhost: HasVhost, database: str, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | {
            "LIENTHONG_AMQP_URL": vhost.amqp_url,
            "LIENTHONG_MANAGEMENT_URL": vhost.management_url,
            "LIENTHONG_DATABASE_URL": database,
        }

    def topology(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return forked.run("lienthong", "topology", *arguments, env=self._environment, cwd=self._folder)


@pytest.fixture
async def operator(
    vhost: HasVhost, migrated_database: str, directory: asyncpg.Connection[asyncpg.Record], tmp_path: Path
) -> Operator:
    return Operator(vhost, migrated_database, tmp_path)


async def test_plan_then_apply_then_plan_finds_nothing_to_do(operator: Operator) -> None:
    before = operator.topology("plan")
    assert before.returncode == 1
    assert "missing" in before.stdout
    assert "lt.submit" in before.stdout
    applied = operator.topology("apply")
    assert applied.returncode == 0, applied.stderr
    assert "3 mailboxes" in applied.stdout
    assert "applying the topology" in applied.stderr
    after = operator.topology("plan")
    assert after.returncode == 0
    assert "As it should be: 3 mailboxes." in after.stdout


async def test_what_needs_an_operator_is_said_and_keeps_the_exit_code_at_one(
    operator: Operator, channel: AbstractChannel
) -> None:
    await channel.queue_declare("agency.H53", durable=True, arguments={"x-queue-type": "classic"})
    applied = operator.topology("apply")
    assert applied.returncode == 1
    assert "needs an operator" in applied.stdout
    planned = operator.topology("plan", "--json")
    assert planned.returncode == 1
    (finding,) = json.loads(planned.stdout)["findings"]
    assert (finding["name"], finding["difference"], finding["action"]) == (
        "agency.H53",
        "different",
        "needs an operator",
    )


async def test_the_plan_is_json_for_programs(operator: Operator) -> None:
    told = json.loads(operator.topology("plan", "--json").stdout)
    assert told["mailboxes"] == 3
    assert {one["action"] for one in told["findings"]} == {"create"}
    assert told["without_user"] == ["G01", "H53", "H53.1"]


async def test_the_export_is_what_the_server_then_has(operator: Operator) -> None:
    wanted = json.loads(operator.topology("export").stdout)
    assert {one["name"] for one in wanted["queues"]} >= {"lt.intake.urgent", "agency.H53.1"}
    operator.topology("apply")
    there = json.loads(operator.topology("export", "--server").stdout)
    for kind in ("exchanges", "queues", "bindings"):
        assert sorted(there[kind], key=json.dumps) == sorted(wanted[kind], key=json.dumps)


async def test_the_graph_is_mermaid(operator: Operator) -> None:
    graph = operator.topology("export", "--format", "mermaid")
    assert graph.returncode == 0
    assert graph.stdout.startswith("flowchart LR\n")


async def test_a_database_that_was_not_migrated_is_one_sentence(
    operator: Operator, vhost: HasVhost, database: str
) -> None:
    told = Operator(vhost, database, operator._folder).topology("plan")
    assert told.returncode == 3
    assert "lienthong db migrate" in told.stderr
    assert "Traceback" not in told.stderr
