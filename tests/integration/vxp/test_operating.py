"""What operators do with connected systems from the command line."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from broker.cli.system import app
from broker.directory.changes import NewAgency, add_agency
from tests.kit.exchange import AUTHOR, Exchange


async def test_systems_are_added_rotated_listed_disabled_and_their_wishes_approved(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("amqp_url", "management_url", "database_url", "home"):
        monkeypatch.setenv(f"LIENTHONG_{name.upper()}", str(getattr(exchange.settings, name)))

    async def command(*arguments: str, code: int = 0) -> Any:
        done = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"], catch_exceptions=True)
        assert done.exit_code == code or (code and done.exception), f"{arguments}: {done.output} {done.exception}"
        return json.loads(done.stdout) if not code else None

    hub = f"{exchange.prefix}.W09"
    async with exchange.pool.acquire() as connection:
        await add_agency(connection, NewAgency(code=hub, name="Đầu mối", level="hub"), author=AUTHOR)
    made = await command("add", hub, "--id", "00.53.W09", "--address", "10.0.0.0/8", "--reason", "test")
    assert made["system"] == "00.53.W09" and len(made["secret"]) == 44 and made["endpoint"].startswith("http")
    assert await exchange.depth(f"agency.{hub}") == 0  # its mailbox is there
    await command("add", hub, "--id", "another", code=3)
    await command("add", hub, "--id", "x", "--address", "10.0.0.1/8", code=3)
    again = await command("rotate", "00.53.W09", "--overlap", "1")
    assert again["secret"] != made["secret"]
    other = await command("rotate", "00.53.W09", "--key")
    assert other["thumbprint"] != made["thumbprint"]
    (listed,) = await command("list")
    assert (listed["system"], listed["secrets"], listed["addresses"]) == ("00.53.W09", 2, ["10.0.0.0/8"])
    assert made["secret"] not in json.dumps(listed)
    assert (await command("disable", "00.53.W09"))["state"] == "disabled"
    assert (await command("enable", "00.53.W09"))["state"] == "active"
    assert await command("packets", "00.53.W09", "--failed") == []
    assert (await command("release", "00.53.W09"))["released"] == []
    await command("rotate", "nobody", code=3)

    wished = f"{exchange.prefix}.NEW"
    await exchange.pool.execute(
        "INSERT INTO vxp_registration (system_id, wish, code, name)"
        " SELECT system_id, 'register', $1, 'Xã' FROM vxp_system",
        wished,
    )
    assert [one["code"] for one in await command("wishes")] == [wished]
    assert (await command("approve", "00.53.W09", wished))["wish"] == "register"
    assert await command("wishes") == []
    served = "SELECT count(*) FROM mandate JOIN agency USING (agency_id) WHERE code = $1 AND may_sign AND may_receive"
    assert await exchange.value(served, wished) == 1
    actions = await exchange.pool.fetch(
        "SELECT action FROM admin_action WHERE action LIKE 'system.%' ORDER BY action_id"
    )
    assert [row["action"] for row in actions] == [
        "system.added",
        "system.rotated",
        "system.disabled",
        "system.active",
        "system.released",
    ]
    told = await exchange.value(
        "SELECT count(*) FROM admin_action a JOIN event e ON e.at = a.at AND e.kind = 'operator_action'"
        " AND convert_from(e.body, 'UTF8')::jsonb @> jsonb_build_object('action', a.action, 'target', a.target,"
        "     'reason_sha256', encode(sha256(convert_to(a.reason, 'UTF8')), 'hex'))"
        " WHERE a.action LIKE 'system.%'"
    )
    assert told == len(actions), "a row that no event tells looks to auditors as if it had been put in"

    # An agency that the hub received for gets software of its own: the operator is told where its mail goes now.
    done = await asyncio.to_thread(CliRunner().invoke, app, ["add", wished, "--id", "own"])
    assert done.exit_code == 0 and f"What comes for {wished} went to {hub} until now" in done.output
