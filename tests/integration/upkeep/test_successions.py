"""When an agency closes, what it has not taken goes to its one successor; nothing is lost, and the record agrees."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from broker.audit import recounting
from broker.audit.explain import explain
from broker.audit.questions import missing
from broker.audit.read import story_of
from broker.audit.search import Wanted, search_documents
from broker.audit.timeline import timeline
from broker.directory import changes
from broker.directory.live import today_in_vietnam
from broker.directory.records import Extent
from broker.evidence.verify import Scope, findings, verify
from broker.interventions.documents import hold, release
from broker.upkeep.sending import KeeperSender
from schemas.manifest import NoticeItem
from schemas.slip import SlipRecipient
from tests.kit.evidence import keys_of, log_now
from tests.kit.exchange import AUTHOR, End, Exchange
from tests.kit.following import follow
from tests.kit.keeping import keeping
from tests.kit.statuses import delivery, dispatched, eventually, forwarded, item, report, sent

MOVED = "SELECT count(*) = $1 FROM delivery WHERE moved_at IS NOT NULL"


async def close(exchange: Exchange, old: End, *heirs: End, extent: Extent = "whole") -> None:
    """Close an agency today; every worker knows it."""
    async with exchange.pool.acquire() as connection:
        await changes.close(
            connection,
            old.code,
            on=today_in_vietnam(),
            successors=[(heir.code, extent) for heir in heirs],
            author=AUTHOR,
        )
    await exchange.refresh()


async def record_agrees(exchange: Exchange) -> None:
    """Rows are what the log tells, and figures what a recount finds."""
    await exchange.all_published()
    await log_now(exchange)
    await exchange.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
    await follow(exchange.settings.database_url)
    async with exchange.pool.acquire() as connection:
        scope = Scope(full=True)
        found = [f.sentence() async for f in verify(connection, keys_of(exchange), None, scope)]
        counted = await recounting.check(connection)
    assert found == []
    assert counted.differences == () and counted.in_flight == 0


def listed(notice: NoticeItem) -> list[tuple[str, str, str]]:
    assert notice.recipients is not None
    return [(one.code, one.addressed_as, one.owner) for one in notice.recipients.list]


async def test_what_has_no_01_goes_to_the_one_successor_and_what_has_one_stays(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    taken, silent = await sent(exchange, ministry, old), await sent(exchange, ministry, old)
    await forwarded(exchange, ministry, await report(exchange, old, item(taken, "01", 1)))
    await close(exchange, old, new)
    async with keeping(exchange) as keeper:
        copy = await exchange.document_at(new, silent)
        notice = await exchange.notice_at(ministry, silent, "rerouted")
        await dispatched(exchange, silent)
        await keeper.whole_rounds("successions")
        assert keeper.done["successions"] == 1
    assert copy.slip is not None and copy.slip.attempt == 1
    assert copy.slip.recipients == (SlipRecipient(code=new.code, addressed_as=old.code),)
    assert listed(notice) == [(new.code, old.code, new.code)]
    assert notice.detail is not None and notice.detail["closed"] == {old.code: new.code}

    # The successor's word counts as any recipient's, and the old delivery asks nobody for anything any more.
    await forwarded(exchange, ministry, await report(exchange, new, item(silent, "01", 2)))
    left, got = await delivery(exchange, silent, old), await delivery(exchange, silent, new)
    assert (left["moved_to"], left["closed_at"], left["arrived_at"]) == (new.id, left["moved_at"], None)
    assert (got["addressed_as"], got["owner_id"], got["processing"]) == (old.code, new.id, "arrived")
    assert got["due_arrival"] > datetime.now(UTC)
    assert (await delivery(exchange, taken, old))["moved_at"] is None
    assert await exchange.value("SELECT recipients FROM document WHERE id = $1", silent.id) == 2
    assert await exchange.value("SELECT count(*) FROM delivery") == 3
    await record_agrees(exchange)
    assert await exchange.value("SELECT moved FROM rollup_day WHERE agency_id = $1", old.id) == 1

    async with exchange.pool.acquire() as connection:
        story = await story_of(connection, str(silent.id))
    told = explain(story, now=datetime.now(UTC))
    assert f"went to the successor {new.code}" in told.en and f"cơ quan kế thừa {new.code}" in told.vi
    assert "Nothing more" not in told.en and "expected by" not in told.en
    closings = [(m.who.en, m.detail.en) for m in timeline(story) if m.what.en.startswith("closed")]
    assert closings == [(old.code, new.code)]
    assert {d.recipient: d.state for d in story.deliveries} == {old.code: "moved", new.code: "arrived"}


async def test_a_01_for_the_old_office_that_comes_late_is_recorded_and_opens_nothing(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    letter = await sent(exchange, ministry, old)
    await close(exchange, old, new)
    async with keeping(exchange):
        await exchange.document_at(new, letter)
        await dispatched(exchange, letter)
    # The old office had taken its copy before it closed; the successor, which has its files, says so.
    await forwarded(exchange, ministry, await report(exchange, new, item(letter, "01", 1, for_=old.code)))
    row = await delivery(exchange, letter, old)
    assert (row["processing"], row["closed_at"]) == ("arrived", row["moved_at"])
    assert (await delivery(exchange, letter, new))["processing"] == "dispatched"
    await record_agrees(exchange)


async def test_with_several_successors_nothing_moves_and_the_sender_is_told_once(exchange: Exchange) -> None:
    ministry, old, one, other = [await exchange.add(name) for name in ("G01", "H34.1", "H53.1", "H53.2")]
    letter = await sent(exchange, ministry, old)
    await close(exchange, old, one, other, extent="part")
    async with keeping(exchange) as keeper:
        notice = await exchange.notice_at(ministry, letter, "overdue")
        await keeper.whole_rounds("successions", 2)
        assert keeper.done["successions"] == 1
    assert notice.error == "LT-RECIPIENT-CLOSED" and notice.detail is not None
    assert sorted(notice.detail["candidates"]) == [one.code, other.code]
    assert listed(notice) == [(old.code, old.code, old.code)]
    assert (await delivery(exchange, letter, old))["closed_at"] is None
    async with exchange.pool.acquire() as connection:
        assert "has to choose" in explain(await story_of(connection, str(letter.id)), now=datetime.now(UTC)).en
    await record_agrees(exchange)

    # Once the directory knows of one only, through whatever chain, it goes there.
    await close(exchange, other, one)
    async with keeping(exchange):
        await exchange.document_at(one, letter)
        await exchange.notice_at(ministry, letter, "rerouted")
    await record_agrees(exchange)


async def test_chains_are_followed_and_a_suspended_or_unconnected_successor_is_waited_for(exchange: Exchange) -> None:
    ministry, old, middle, new = [await exchange.add(name) for name in ("G01", "H34", "H35", "H53")]
    letter = await sent(exchange, ministry, old)
    async with exchange.pool.acquire() as connection:
        await changes.suspend(connection, new.code, author=AUTHOR)
    await close(exchange, old, middle)
    await close(exchange, middle, new)
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("successions", 2)
        assert keeper.done["successions"] == 0 and await exchange.value(MOVED, 0)
        async with exchange.pool.acquire() as connection:
            await changes.set_mailbox(connection, new.code, has_mailbox=False, author=AUTHOR)
            await changes.resume(connection, new.code, author=AUTHOR)
        await keeper.whole_rounds("successions", 2)
        assert keeper.done["successions"] == 0
        async with exchange.pool.acquire() as connection:
            await changes.set_mailbox(connection, new.code, has_mailbox=True, author=AUTHOR)
        await exchange.document_at(new, letter)
    assert (await delivery(exchange, letter, old))["moved_to"] == new.id


async def test_a_successor_without_a_connection_is_reached_through_its_hub(exchange: Exchange) -> None:
    ministry, hub = await exchange.add("G01"), await exchange.add("HUB", "hub")
    old, new = (
        await exchange.add("H34.1", hub=hub, has_mailbox=False),
        await exchange.add("H53.1", hub=hub, has_mailbox=False),
    )
    letter = exchange.letter(ministry, [old])
    await exchange.send(letter, ministry)
    await exchange.document_at(hub, letter)
    await dispatched(exchange, letter)
    await close(exchange, old, new)
    async with keeping(exchange):
        copy = await exchange.document_at(hub, letter, copies=2)
        notice = await exchange.notice_at(ministry, letter, "rerouted")
        await dispatched(exchange, letter)
    assert copy.slip is not None and copy.slip.recipients == (SlipRecipient(code=new.code, addressed_as=old.code),)
    assert listed(notice) == [(new.code, old.code, hub.code)]
    await forwarded(exchange, ministry, await report(exchange, hub, item(letter, "01", 1, for_=new.code)))
    await record_agrees(exchange)


async def test_nobody_gets_a_document_twice_or_back(exchange: Exchange) -> None:
    """The successor is a recipient already; two closed recipients have the same one; the successor is the sender."""
    ministry, first, second, heir = [await exchange.add(name) for name in ("G01", "H34", "H35", "H53")]
    last = await exchange.add("G02")
    both = await sent(exchange, ministry, first, heir)
    two = await sent(exchange, ministry, first, second)
    own = await sent(exchange, ministry, last)
    await close(exchange, first, heir)
    await close(exchange, second, heir)
    await close(exchange, last, ministry)
    # Copies are counted: a publish that takes long is not to be taken for a dead worker's.
    async with keeping(exchange, outgoing_grace_seconds=600) as keeper:
        for letter, heirs in ((both, [heir]), (two, [heir]), (own, [ministry])):
            notice = await exchange.notice_at(ministry, letter, "rerouted")
            assert [code for code, _, _ in listed(notice)] == [end.code for end in heirs]
        await keeper.whole_rounds("successions")
    assert await exchange.value(MOVED, 4)
    box = await exchange.all_at(heir)
    for letter in (both, two):
        assert [one.document.id for one in box.documents()].count(letter.id) == 1
        assert await exchange.value("SELECT recipients FROM document WHERE id = $1", letter.id) == (
            2 if letter is both else 3
        )
    assert await exchange.value("SELECT recipients FROM document WHERE id = $1", own.id) == 1
    assert not (await exchange.all_at(ministry)).documents()
    await record_agrees(exchange)


async def test_what_a_dead_keeper_had_moved_is_published_by_the_next(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    letter = await sent(exchange, ministry, old)
    await close(exchange, old, new)
    committed = asyncio.Event()

    async def die(*arguments: object, **named: object) -> Any:
        committed.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(KeeperSender, "send_rows", die)
        async with keeping(exchange, keeper_lease_seconds=1.0):
            await committed.wait()
    rows = "SELECT count(*) FROM outgoing WHERE published_at IS NULL AND kind = $1"
    assert [await exchange.value(rows, kind) for kind in ("document", "notice")] == [1, 1]
    assert not (await exchange.all_at(new)).documents()
    async with keeping(exchange):
        await exchange.document_at(new, letter)
        await exchange.notice_at(ministry, letter, "rerouted")
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'rerouted'") == 1
    await record_agrees(exchange)


async def test_a_document_accepted_by_a_worker_that_does_not_know_of_the_closing_yet_is_not_missed(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    worker = exchange.workers[0][0]
    before = worker.directory.current

    async def stale(connection: object) -> object:
        return before

    monkeypatch.setattr(worker.directory, "newest", stale)
    async with keeping(exchange) as keeper:
        await close(exchange, old, new)
        await keeper.whole_rounds("successions", 2)
        letter = exchange.letter(ministry, [old])
        await exchange.send(letter, ministry)
        await exchange.document_at(new, letter)
    assert (await delivery(exchange, letter, old))["moved_to"] == new.id
    await record_agrees(exchange)


async def test_a_member_of_a_group_is_moved_and_named_in_the_slip(exchange: Exchange) -> None:
    ministry, old, new = await exchange.add("G01"), await exchange.add("H34", "province"), await exchange.add("H53")
    letter = exchange.letter(ministry, ["group:provinces"])
    await exchange.send(letter, ministry)
    await exchange.document_at(old, letter)
    await dispatched(exchange, letter)
    await close(exchange, old, new)
    async with keeping(exchange):
        copy = await exchange.document_at(new, letter)
    assert copy.slip is not None
    assert copy.slip.recipients == (SlipRecipient(code=new.code, addressed_as="group:provinces"),)


async def test_what_an_operator_holds_moves_when_it_is_released(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    await exchange.lose_mailbox(old)
    letter = exchange.letter(ministry, [old])
    await exchange.send(letter, ministry)
    await exchange.notice_at(ministry, letter, "accepted")
    await hold(exchange.pool, AUTHOR, str(letter.id))
    await close(exchange, old, new)
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("successions", 2)
        assert await exchange.value(MOVED, 0)
        await release(exchange.pool, AUTHOR, str(letter.id))
        await exchange.document_at(new, letter)
        await exchange.all_published()
    assert (await delivery(exchange, letter, old))["dispatched_at"] is None
    await record_agrees(exchange)


async def test_what_was_asked_of_the_old_office_is_asked_of_the_successor(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    letter = await sent(exchange, ministry, old)
    recall = exchange.letter(ministry, (), parts=None, action="recall", concerns=[letter.reference()], reason="nhầm")
    await exchange.send(recall, ministry)
    await exchange.document_at(old, recall)
    back = await report(exchange, ministry, item(letter, "13", 1, to=[old.code], reason="nhầm"))
    await forwarded(exchange, old, back)
    await dispatched(exchange, recall)
    await close(exchange, old, new)
    async with keeping(exchange):
        await exchange.document_at(new, letter)
        await exchange.document_at(new, recall)
        await forwarded(exchange, new, back)
        await dispatched(exchange, recall)
    agreed = await report(exchange, new, item(letter, "15", 2, answers=recall.reference()))
    await forwarded(exchange, ministry, agreed)
    assert (await delivery(exchange, letter, new))["recalled"]
    # A change asked after the move is asked of the successor alone.
    update = exchange.letter(
        ministry, (), parts=None, action="update", concerns=[letter.reference()], changes={"metadata": True}
    )
    await exchange.send(update, ministry)
    await exchange.notice_at(ministry, update, "accepted")
    asked = "SELECT count(*) FROM change_request WHERE kind = 'update' AND recipient_id = $1"
    assert await exchange.value(asked, old.id) == 0
    await eventually(
        exchange, "SELECT count(*) = 1 FROM delivery v JOIN document d USING (document_id) WHERE d.id = $1", update.id
    )
    await record_agrees(exchange)


TAMPERED = {
    "moved_to": "UPDATE delivery SET moved_to = recipient_id WHERE recipient_id = $2 AND $1::bigint IS NOT NULL",
    "moved_at": "UPDATE delivery SET moved_at = moved_at - interval '1 s', closed_at = closed_at - interval '1 s'"
    " WHERE recipient_id = $2 AND $1::bigint IS NOT NULL",
    "closed_at": "UPDATE delivery SET closed_at = NULL WHERE recipient_id = $2 AND $1::bigint IS NOT NULL",
    "stranded_at": "UPDATE delivery SET stranded_at = now() WHERE recipient_id = $2 AND $1::bigint IS NOT NULL",
    "row": "DELETE FROM delivery WHERE recipient_id = $1 AND $2::bigint IS NOT NULL",
}
"""What an owner of the database could do to a moved delivery, by what `audit verify` finds."""


async def test_no_change_of_a_moved_delivery_stays_hidden(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    letter = await sent(exchange, ministry, old)
    await close(exchange, old, new)
    async with keeping(exchange):
        await exchange.document_at(new, letter)
        await exchange.all_published()
    await record_agrees(exchange)
    async with exchange.pool.acquire() as connection:
        for what, statement in TAMPERED.items():
            tampering = connection.transaction()
            await tampering.start()
            await connection.execute(statement, new.id, old.id)
            found = [f async for f in findings(connection, keys_of(exchange), None, Scope(), {})]
            await tampering.rollback()
            assert ("delivery", what) in {(f.where, f.what) for f in found}, what


async def test_the_questions_of_auditors_know_what_was_moved(exchange: Exchange) -> None:
    ministry, old, new = [await exchange.add(name) for name in ("G01", "H34", "H53")]
    letter = await sent(exchange, ministry, old)
    await close(exchange, old, new)
    deadline = await exchange.value("SELECT due_arrival FROM delivery")
    await exchange.pool.execute("UPDATE delivery SET due_arrival = now() - interval '1 hour'")
    async with keeping(exchange):
        await exchange.notice_at(ministry, letter, "rerouted")
        await exchange.all_published()
    await exchange.pool.execute("UPDATE delivery SET due_arrival = $1 WHERE recipient_id = $2", deadline, old.id)
    await record_agrees(exchange)
    document = await exchange.value("SELECT document_id FROM document WHERE id = $1", letter.id)
    async with exchange.pool.acquire() as connection:
        found = await search_documents(connection, Wanted(recipient=old.code, state="moved"))
        late = await search_documents(connection, Wanted(recipient=old.code, overdue=True))
        silent = await missing(connection, document)
    assert [one.id for one in found.documents] == [letter.id] and not late.documents
    assert {line.recipient: line.state for line in silent.lines} == {old.code: "moved", new.code: "dispatched"}
