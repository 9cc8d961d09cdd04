"""`audit verify --full` blames nobody for what a hub might do when it did it, and names who signed for another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from broker.directory.changes import Author, close, end_mandate, import_csv, revoke_certificate
from broker.evidence.findings import Finding
from broker.evidence.verify import Scope, verify
from schemas.jws import parse_stored, sign
from tests.kit.exchange import Exchange
from tests.kit.fixtures import exchange
from tests.kit.statuses import eventually

__all__ = ["exchange"]

AUTHOR = Author(actor="an operator", reason="a reason")
VIETNAM_DAY = timedelta(hours=7)


async def found_by_full(exchange: Exchange) -> list[Finding]:
    """What is found about messages; the log itself, which no keeper kept here, has nothing to say."""
    async with exchange.pool.acquire() as connection:
        found = [finding async for finding in verify(connection, (), None, Scope(full=True))]
    return [finding for finding in found if finding.where in ("document", "status_message")]


async def test_a_hub_whose_mandate_ended_later_is_not_blamed_and_a_stranger_is(exchange: Exchange) -> None:
    ministry, hub = await exchange.add("G01"), await exchange.add("H53", "province")
    served = await exchange.add("H53.1", "commune", has_mailbox=False, hub=hub)
    imported = f"{exchange.prefix}.H53.2"
    data = f"code,name,level,parent,hub\n{imported},Xã Hai,commune,{hub.code},{hub.code}\n".encode()
    async with exchange.pool.acquire() as connection:
        report = await import_csv(connection, data, what="a.csv", author=AUTHOR)
    assert (report.added, report.rejected) == (1, ())
    await exchange.refresh()
    for code in (hub.code, served.code, imported):
        letter = exchange.letter(hub, [ministry], from_code=code)
        await exchange.submit(letter.body, hub)
    await eventually(exchange, "SELECT count(*) = 3 FROM document")
    today = (datetime.now(UTC) + VIETNAM_DAY).date()
    async with exchange.pool.acquire() as connection:
        await end_mandate(connection, hub.code, imported, author=AUTHOR)
        await end_mandate(connection, hub.code, served.code, author=AUTHOR)
        await close(connection, served.code, on=today, author=AUTHOR)
        await revoke_certificate(connection, hub.thumbprint, why="lost", author=AUTHOR)
    assert [finding.sentence() for finding in await found_by_full(exchange)] == []

    row = await exchange.pool.fetchrow(
        "SELECT document_id, jws FROM document JOIN agency ON agency_id = sender_id WHERE code = $1", imported
    )
    assert row is not None
    forged = sign(parse_stored(row["jws"]).payload, key=ministry.key, thumbprint=ministry.thumbprint).stored()
    await exchange.pool.execute(
        "UPDATE document SET jws = $2, thumbprint = $3 WHERE document_id = $1",
        row["document_id"],
        forged,
        ministry.thumbprint,
    )
    told = {finding.what: finding for finding in await found_by_full(exchange)}
    assert set(told) == {"thumbprint", "signer"}, "its signature holds, and not for this sender"
    assert imported in told["signer"].key
    assert ministry.code in told["signer"].found and imported in told["signer"].expected
