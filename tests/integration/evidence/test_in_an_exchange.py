"""A keeper of a running exchange logs what workers do, within what slips and notices promise; commands show it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from broker.doctor.finding import Verdict
from broker.doctor.log import check_log
from broker.evidence.findings import Finding
from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.lag import log_status
from broker.evidence.merkle import leaf_hash
from broker.evidence.tile_files import published_notes
from broker.evidence.verify import Scope, findings, verify
from tests.integration.evidence.conftest import Log
from tests.kit.exchange import Exchange
from tests.kit.fixtures import exchange
from tests.kit.installation import Installation
from tests.kit.keeping import keeping
from tests.kit.statuses import eventually, item, report, sent

__all__ = ["exchange"]

COVERED = """SELECT EXISTS (SELECT FROM event e JOIN log_entry l ON (l.event_at, l.event_id) = (e.at, e.event_id)
    JOIN checkpoint c ON c.origin_id = l.origin_id AND c.size > l.position WHERE e.leaf = $1 AND c.at < $2)"""


async def test_what_a_slip_promises_is_under_a_checkpoint_in_time(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    async with keeping(exchange, keeper_log_seconds=0.2):
        letter = await sent(exchange, ministry, province)
        await report(exchange, province, item(letter, "01", 1))
        slip = (await exchange.document_at(province, letter)).slip
        notice = await exchange.notice_at(ministry, letter, "accepted")
        assert slip is not None and slip.leaf == notice.leaf
        await eventually(exchange, COVERED, bytes.fromhex(slip.leaf), slip.log_by)
        await eventually(
            exchange,
            "SELECT EXISTS (SELECT FROM event e JOIN log_entry l ON (l.event_at, l.event_id) = (e.at, e.event_id)"
            " WHERE e.kind = 'status_recorded')",
        )
    found: list[Finding] = []
    async with exchange.pool.acquire() as connection:
        vkeys = read_vkeys(vkey_file(exchange.settings.log_key_file))
        scope = Scope(full=True)
        async for finding in verify(connection, vkeys, exchange.settings.log_dir, scope):
            found.append(finding)
    assert [finding.sentence() for finding in found] == []


async def test_the_lag_is_a_number_and_the_doctor_names_it(log: Log) -> None:
    settings = log.settings
    log.now = datetime.now(UTC) - timedelta(seconds=40)
    await log.insert(2)
    async with log.pool.acquire() as connection:
        before = await log_status(connection)
    assert (before.origin, before.unsequenced) == (None, 2) and before.lag_seconds >= 40
    _, warning, *_ = [finding async for finding in check_log(settings)]
    assert warning.verdict is Verdict.WARNING and "60 s are promised" in warning.found
    log.now = datetime.now(UTC) - timedelta(seconds=100)
    await log.insert(1)
    _, bad, *_ = [finding async for finding in check_log(settings)]
    assert bad.verdict is Verdict.BAD
    await log.round(3)
    async with log.pool.acquire() as connection:
        after = await log_status(connection)
    assert (after.size, after.checkpoint_size, after.unsequenced, after.lag_seconds) == (3, 3, 0, 0.0)
    assert [finding.verdict async for finding in check_log(settings)] == [Verdict.GOOD] * 3


async def test_verifying_from_a_position_on_looks_at_what_is_newer_only(log: Log) -> None:
    await log.insert(900)
    await log.round(900)
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))

    async def since(position: int) -> list[Finding]:
        scope = Scope(since_position=position, records=False)
        async with log.pool.acquire() as connection:
            return [f async for f in verify(connection, vkeys, log.settings.log_dir, scope)]

    assert await since(600) == []
    body = await log.pool.fetchval("SELECT body FROM event ORDER BY event_id LIMIT 1")
    await log.pool.execute("UPDATE event SET body = body || ' '::bytea, leaf = $1 WHERE body = $2",
                           leaf_hash(body + b" "), body)  # fmt: skip
    assert await since(600) == []
    assert [finding.where for finding in await since(0)] == ["event"]
    await log.pool.execute("UPDATE log_entry SET leaf = sha256('x') WHERE position = 700")
    assert [finding.key for finding in await since(600)] == ["lt.exchange/2026 position 700"]


@pytest.fixture
async def installation(log: Log) -> Installation:
    """The commands, in the home of this log."""
    return Installation(
        folder=log.settings.home,
        amqp_url="amqp://nobody@localhost/none",
        management_url="http://nobody@localhost:15672",
        database_url=log.settings.database_url,
        settings={"LIENTHONG_HOME": str(log.settings.home)},
    )


async def test_commands_show_verify_check_and_repair(log: Log, installation: Installation) -> None:
    await log.insert(5)
    await log.round(5)
    shown = json.loads(installation.command("audit", "checkpoint", "--json").stdout)
    assert (shown["origin"], shown["checkpoint_size"], shown["lag_seconds"]) == ("lt.exchange/2026", 5, 0.0)
    assert json.loads(installation.command("audit", "verify", "--log-only", "--json").stdout)["good"]
    (log.settings.log_dir / "2026" / "tile" / "0" / "000.p" / "5").unlink()
    verified = installation.command("audit", "verify", "--log-only", code=1)
    assert "2026/tile/0/000.p/5" in verified.stdout
    repaired = json.loads(installation.command("fsck", "--repair", "--json", code=1).stdout)
    assert [finding["where"] for finding in repaired["findings"]] == ["tile"]
    assert "fits together" in installation.command("fsck").stdout


async def test_commands_speak_the_language_of_the_terminal(log: Log, installation: Installation) -> None:
    await log.insert(5)
    await log.round(5)
    installation.settings |= {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "vi_VN.UTF-8"}
    well = installation.command("audit", "verify", "--log-only")
    assert (well.stdout, well.stderr.splitlines()[0]) == (
        "Mọi thứ đúng như đã ghi và đã ký: 5 mục của nhật ký.\n",
        "đang đối chiếu …",
    )
    shown = installation.command("audit", "checkpoint").stdout
    assert "số mục đã ký" in shown and "checkpoint size" not in shown
    (log.settings.log_dir / "2026" / "tile" / "0" / "000.p" / "5").unlink()
    english = re.compile(r"\b(where|which|what|found|expected|findings|looked|the|no|file|bytes|done|in)\b")
    for command in (("audit", "verify", "--log-only"), ("fsck",)):
        told = installation.command(*command, code=1)
        assert "không có tệp" in told.stdout and "1 điểm không khớp; đã xem " in told.stdout
        assert not english.search(told.stdout), told.stdout
        assert not english.search(told.stderr), told.stderr
        told = installation.command(*command, "--lang", "en", code=1)
        assert "no file" in told.stdout and "1 findings; looked at " in told.stdout
        (finding,) = json.loads(installation.command(*command, "--json", code=1).stdout)["findings"]
        assert finding["found"] == "no file", "programs read one language"
    repaired = installation.command("fsck", "--repair", code=1).stdout
    assert "không có tệp" in repaired
    assert installation.command("fsck").stdout.startswith("Mọi thứ đều có và khớp nhau: ")


async def test_a_log_that_grows_meanwhile_is_not_taken_for_a_changed_one(log: Log) -> None:
    await log.insert(200)
    await log.round(200)
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    found: list[Finding] = []
    async with log.pool.acquire() as connection:
        notes = published_notes(log.settings.log_dir)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM log_head")
            await log.insert(400)
            await log.round(400)
            scope = Scope(records=False)
            found += [f async for f in findings(connection, vkeys, log.settings.log_dir, scope, notes)]
    assert log.published().size == 600
    assert [finding.sentence() for finding in found] == []
