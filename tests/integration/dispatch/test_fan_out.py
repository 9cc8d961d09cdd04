"""One document to many: BCC publishes, hub copies, rerouted copies, and what the notice says of them."""

from __future__ import annotations

import secrets
from datetime import timedelta

from broker.directory.changes import NewAgency, add_agency, add_alias, close, suspend
from broker.directory.live import today_in_vietnam
from schemas.wire import LT_ID
from tests.kit.exchange import AUTHOR, End, Exchange

COMMUNES_BY_CONNECTION = 60
COMMUNES_BY_HUB = 3261
PROVINCES = 34
YESTERDAY = today_in_vietnam() - timedelta(days=1)


async def _many(x: Exchange, level: str, count: int, *, hub: End | None, parent: End | None = None) -> list[int]:
    """Add many agencies at once, straight into the tables; with a hub they have no mailbox of their own."""
    rows = await x.pool.fetch(
        "INSERT INTO agency (code, name, level, has_mailbox, parent_id)"
        " SELECT $1 || '.' || n, 'Cơ quan ' || n, $2, $3, $4 FROM generate_series(1, $5) AS n RETURNING agency_id",
        f"{x.prefix}.{secrets.token_hex(2).upper()}",
        level,
        hub is None,
        parent.id if parent is not None else None,
        count,
    )
    ids = [row["agency_id"] for row in rows]
    if hub is not None:
        await x.pool.execute(
            "INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign)"
            " SELECT $1, unnest($2::bigint[]), true, true",
            hub.id,
            ids,
        )
    await x.apply_topology()
    await x.refresh()
    return ids


async def test_an_urgent_telegram_reaches_3355_agencies_in_a_few_messages(exchange: Exchange) -> None:
    sender, hub = await exchange.add("G01"), await exchange.add("W00", "hub")
    province = await exchange.add("H53", "province")
    await _many(exchange, "province", PROVINCES - 1, hub=None)
    own = await _many(exchange, "commune", COMMUNES_BY_CONNECTION, hub=None)
    await _many(exchange, "commune", COMMUNES_BY_HUB, hub=hub)

    letter = exchange.letter(sender, ["group:provinces", "group:communes"], document={"priority": 3})
    await exchange.send(letter, sender)
    item = await exchange.notice_at(sender, letter, "accepted")
    assert item.recipients is not None
    assert item.recipients.count == PROVINCES + COMMUNES_BY_CONNECTION + COMMUNES_BY_HUB == 3355
    assert len(item.recipients.list) == 500
    await exchange.document_at(province, letter)
    await exchange.all_published()

    copies = (await exchange.all_at(hub)).documents()
    lists = [copy.slip.recipients or () for copy in copies if copy.slip is not None]
    named = [one.code for recipients in lists for one in recipients]
    assert len(lists) == 7 and max(map(len, lists)) == 500
    assert len(named) == len(set(named)) == COMMUNES_BY_HUB
    assert {one.addressed_as for recipients in lists for one in recipients} == {"group:communes"}
    assert await exchange.value("SELECT count(*) FROM outgoing WHERE kind = 'document'") == 1 + 7
    assert await exchange.value("SELECT count(*) FROM delivery WHERE processing = 'dispatched' AND sends = 1") == 3355
    code = await exchange.value("SELECT code FROM agency WHERE agency_id = $1", own[0])
    raw = await exchange.raw(f"agency.{code}")
    assert raw.headers[LT_ID] == letter.manifest["id"] and "BCC" not in raw.headers
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'accepted'") == 7
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'dispatched' AND document_id IS NOT NULL") == 8


async def test_more_than_500_mailboxes_are_served_by_several_publishes(exchange: Exchange) -> None:
    sender = await exchange.add("G01")
    await _many(exchange, "commune", 620, hub=None)
    letter = exchange.letter(sender, ["group:communes"])
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    await exchange.all_published()
    sizes = await exchange.pool.fetch("SELECT cardinality(owner_ids) FROM outgoing WHERE kind = 'document' ORDER BY 1")
    assert [row[0] for row in sizes] == [120, 500]
    assert await exchange.value("SELECT count(*) FROM delivery WHERE processing = 'dispatched'") == 620


async def test_a_hub_gets_one_copy_for_its_agencies_and_itself(exchange: Exchange) -> None:
    sender, hub = await exchange.add("G01"), await exchange.add("H53", "province")
    communes = [await exchange.add(f"H53.{n}", "commune", has_mailbox=False, hub=hub) for n in (1, 2)]
    letter = exchange.letter(sender, [hub, *communes])
    await exchange.send(letter, sender)
    copy = await exchange.document_at(hub, letter)
    assert copy.slip is not None and copy.slip.recipients is not None
    assert [one.code for one in copy.slip.recipients] == [hub.code, *(commune.code for commune in communes)]
    assert len((await exchange.all_at(hub)).documents()) == 1


async def test_a_hub_submits_for_its_commune_and_hears_of_it(exchange: Exchange) -> None:
    hub, recipient = await exchange.add("H53", "province"), await exchange.add("G01")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=hub)
    by_hub = exchange.letter(commune, [recipient], by=hub)
    by_itself = exchange.letter(commune, [recipient])
    for letter in (by_hub, by_itself):
        await exchange.send(letter, hub)
        await exchange.document_at(recipient, letter)
        await exchange.notice_at(hub, letter, "accepted")


async def test_a_closed_code_is_followed_to_its_successor_and_the_slip_says_so(exchange: Exchange) -> None:
    sender = await exchange.add("G01")
    old, new = await exchange.add("H10", "province"), await exchange.add("H11", "province")
    async with exchange.pool.acquire() as connection:
        await close(connection, old.code, on=YESTERDAY, successors=[(new.code, "whole")], author=AUTHOR)
        await add_alias(connection, new.code, "000.00.00.H11", kind="qcvn102", author=AUTHOR)
    await exchange.refresh()
    letter = exchange.letter(sender, [old])
    await exchange.send(letter, sender)
    copy = await exchange.document_at(new, letter)
    assert copy.slip is not None and copy.slip.recipients is not None
    assert [(one.code, one.addressed_as) for one in copy.slip.recipients] == [(new.code, old.code)]
    both = exchange.letter(sender, ["000.00.00.H11", old])
    await exchange.send(both, sender)
    item = await exchange.notice_at(sender, both, "accepted")
    assert item.recipients is not None
    assert [(one.code, one.addressed_as) for one in item.recipients.list] == [(new.code, "000.00.00.H11")]


async def test_partial_delivers_to_those_who_resolve_and_names_the_others(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient, "H9999"], partial=True)
    await exchange.send(letter, sender)
    item = await exchange.notice_at(sender, letter, "accepted")
    assert item.unresolved == ("H9999",)
    assert [warning["error"] for warning in item.warnings] == ["LT-RECIPIENT-UNKNOWN"]
    await exchange.document_at(recipient, letter)


async def test_a_suspended_member_of_a_group_does_not_stop_the_others(exchange: Exchange) -> None:
    sender = await exchange.add("G01")
    one, other = await exchange.add("H53", "province"), await exchange.add("H54", "province")
    async with exchange.pool.acquire() as connection:
        await suspend(connection, other.code, author=AUTHOR)
    await exchange.refresh()
    letter = exchange.letter(sender, ["group:provinces"])
    await exchange.send(letter, sender)
    item = await exchange.notice_at(sender, letter, "accepted")
    assert item.unresolved == (other.code,)
    await exchange.document_at(one, letter)


async def test_a_lost_mailbox_leaves_the_publish_for_the_keeper_and_stops_nobody(exchange: Exchange) -> None:
    sender = await exchange.add("G01")
    lost, other = await exchange.add("H53", "province"), await exchange.add("H54", "province")
    async with exchange.pool.acquire() as connection:
        # In the directory, but the topology has not followed: its mailbox is not there.
        homeless = await add_agency(
            connection,
            NewAgency(code=f"{exchange.prefix}.H55", name="x", level="province", has_mailbox=True),
            author=AUTHOR,
        )
    await exchange.refresh()
    alone, after = exchange.letter(sender, [homeless.code]), exchange.letter(sender, [other, lost])
    await exchange.send(alone, sender)
    await exchange.send(after, sender)
    await exchange.notice_at(sender, alone, "accepted")
    await exchange.document_at(other, after)
    await exchange.document_at(lost, after)
    await exchange.stop_workers()
    left = await exchange.pool.fetch("SELECT document_id FROM outgoing WHERE published_at IS NULL")
    assert len(left) == 1
    assert await exchange.value("SELECT processing FROM delivery WHERE recipient_id = $1", homeless.id) == "accepted"
    assert await exchange.depth("lt.intake.normal") == 0
