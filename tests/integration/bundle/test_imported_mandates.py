"""What a hub signed for an agency that came by import is proved to both checkers, whatever became of its mandate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.directory import changes, importing
from broker.directory.changing import Telling
from broker.directory.import_events import import_tellings
from tests.integration.bundle.test_prove import good, lines, settled
from tests.kit.evidence import proved
from tests.kit.exchange import AUTHOR, End, Exchange, Letter
from tests.kit.statuses import eventually


async def imported(exchange: Exchange, hub: End, *names: str) -> list[End]:
    """Communes without a connection, with their hub, out of a file."""
    codes = [f"{exchange.prefix}.{name}" for name in names]
    rows = "\n".join(["code,name,level,hub", *(f"{code},Xã {code},commune,{hub.code}" for code in codes)])
    async with exchange.pool.acquire() as connection:
        await changes.import_csv(connection, rows.encode(), what="communes.csv", author=AUTHOR)
        found = await connection.fetch("SELECT code, agency_id FROM agency WHERE code = ANY ($1)", codes)
    ids = {row["code"]: row["agency_id"] for row in found}
    await exchange.refresh()
    return [replace(hub, id=ids[code], code=code, has_mailbox=False) for code in codes]


async def signed_by_its_hub(exchange: Exchange, commune: End, hub: End, to: End) -> Letter:
    letter = exchange.letter(commune, [to], by=hub)
    await exchange.send(letter, hub)
    return letter


async def end(exchange: Exchange, hub: End, commune: End) -> None:
    async with exchange.pool.acquire() as connection:
        await changes.end_mandate(connection, hub.code, commune.code, author=AUTHOR)


async def narrow(exchange: Exchange, hub: End, commune: End) -> None:
    async with exchange.pool.acquire() as connection:
        await changes.add_mandate(connection, hub.code, commune.code, may_receive=True, may_sign=False, author=AUTHOR)


def told_as_before(*arguments: Any, **named: Any) -> list[Telling]:
    """What imports told before they told mandates: the agencies of whom a row was written."""
    first = import_tellings(*arguments, **named)[0]
    facts = dict(first.facts or {})
    return [replace(first, facts={name: facts[name] for name in ("rows_sha256", "added", "updated")})]


async def test_an_imported_hubs_signature_is_proved_whatever_became_of_its_mandate_later(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministry, hub = await exchange.add("BO"), await exchange.add("HUB", "hub")
    kept, ended, narrowed, again = await imported(exchange, hub, "GIU", "HET", "HEP", "LAI")
    await end(exchange, hub, again)
    (again,) = await imported(exchange, hub, "LAI")
    with monkeypatch.context() as before:
        before.setattr(importing, "import_tellings", told_as_before)
        old_ended, old_narrowed = await imported(exchange, hub, "CU.HET", "CU.HEP")
    communes = (kept, ended, narrowed, again, old_ended, old_narrowed)
    letters = [await signed_by_its_hub(exchange, commune, hub, ministry) for commune in communes]
    await eventually(exchange, "SELECT count(*) = 6 FROM document")
    for commune in (ended, old_ended):
        await end(exchange, hub, commune)
    for commune in (narrowed, old_narrowed):
        await narrow(exchange, hub, commune)
    await settled(exchange)

    for letter, commune in zip(letters, communes, strict=True):
        bundle = await proved(exchange, str(letter.id))
        (document,) = [one for one in good(exchange, bundle).signatures if one.type == "document"]
        assert (document.speaker, document.signer) == (commune.code, hub.code)
        stated = [one["agency"] for one in lines(bundle, "statement")]
        before_it_was_told = commune in (old_ended, old_narrowed)
        assert stated == ([commune.code] if before_it_was_told else [])
        assert ("sealed word" in document.verdict.policy.why) is before_it_was_told
