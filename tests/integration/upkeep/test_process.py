"""`lienthong keeper` as an operator runs it: one active, one standing by, ended by a signal or by a power failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.conftest import Vhost
from tests.kit.installation import Installation, Program, wait_until


@pytest.fixture
def installation(vhost: Vhost, migrated_database: str, tmp_path: Path) -> Iterator[Installation]:
    """An exchange with keys, whose keepers have short leases."""
    made = Installation(
        folder=tmp_path,
        amqp_url=vhost.amqp_url,
        management_url=vhost.management_url,
        database_url=migrated_database,
        settings={"LIENTHONG_KEEPER_LEASE_SECONDS": "1.5", "LIENTHONG_KEEPER_STANDBY_SECONDS": "0.2"},
    )
    made.prepare()
    yield made
    made.stop()


def lines(program: Program, event: str) -> list[dict[str, Any]]:
    """Log lines of one event so far."""
    found = []
    for line in program.log.read_text(encoding="utf-8").splitlines():
        if line.startswith('{"') and (told := json.loads(line)).get("event") == event:
            found.append(told)
    return found


def holder(installation: Installation) -> tuple[str, int]:
    """Who holds the lease, under which epoch."""

    async def ask() -> tuple[str, int]:
        connection = await asyncpg.connect(installation.database_url)
        try:
            row = await connection.fetchrow("SELECT holder, epoch FROM keeper_lease")
            assert row is not None
            return row["holder"], row["epoch"]
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_the_standby_takes_over_from_a_keeper_that_was_killed(installation: Installation) -> None:
    first = installation.start("keeper", "--json")
    wait_until(lambda: lines(first, "keeper.active"), what="the first keeper's lease")
    second = installation.start("keeper", "--json")
    wait_until(lambda: lines(second, "keeper.standby"), what="the second keeper")
    before = holder(installation)
    assert f"/{first.process.pid}/" in before[0]
    first.kill()
    wait_until(lambda: lines(second, "keeper.active"), what="the second keeper's lease")
    after = holder(installation)
    assert f"/{second.process.pid}/" in after[0]
    assert after[1] == before[1] + 1


def test_a_keeper_asked_to_stop_gives_its_lease_up_and_ends_well(installation: Installation) -> None:
    first = installation.start("keeper", "--json")
    wait_until(lambda: lines(first, "keeper.active"), what="the first keeper's lease")
    second = installation.start("keeper", "--json")
    wait_until(lambda: lines(second, "keeper.standby"), what="the second keeper")
    assert first.stop() == 0
    assert lines(first, "keeper.stopped")
    wait_until(lambda: lines(second, "keeper.active"), what="the second keeper's lease")
    assert second.stop() == 0
    for keeper in (first, second):
        assert "Traceback" not in keeper.log.read_text(encoding="utf-8")


def test_a_keeper_without_a_database_says_so(installation: Installation) -> None:
    installation.settings["LIENTHONG_DATABASE_URL"] = "postgresql://nobody:x@127.0.0.1:1/nothing"
    done = installation.command("keeper", code=4)
    assert "127.0.0.1:1" in done.stderr
