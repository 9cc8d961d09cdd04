"""What the keeper makes good: crashes, lost and purged mailboxes, silent recipients, replays."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from broker.dispatch.dispatcher import Sent
from broker.dispatch.jobs import OutgoingJob
from broker.upkeep.lease import Lease
from broker.upkeep.sending import KeeperSender
from schemas.states import Processing
from schemas.wire import mailbox
from tests.kit.exchange import Delivered, End, Exchange, Letter, Mailbox
from tests.kit.keeping import keeping
from tests.kit.statuses import NOON, delivery, dispatched, eventually, forwarded, item, replay, report, sent


def copies(box: Mailbox, letter: Letter) -> list[Delivered]:
    return [one for one in box.documents() if one.message.signed.digest == letter.digest]


def attempts(box: Mailbox, letter: Letter) -> list[int]:
    return [one.slip.attempt for one in copies(box, letter) if one.slip is not None]


async def waiting(exchange: Exchange, end: End, count: int) -> None:
    """Until the server's statistics, which the keeper reads, show so many messages in a mailbox."""
    async with asyncio.timeout(20):
        while True:
            found = await exchange._management.queue(mailbox(end.code))
            if found is not None and found.messages == count:
                return
            await asyncio.sleep(0.05)


async def lose(exchange: Exchange, end: End) -> None:
    """Take a mailbox away with everything in it."""
    await exchange.lose_mailbox(end)


async def long_due(exchange: Exchange) -> None:
    """Let every deadline have passed, and every pause since the last copy."""
    await exchange.pool.execute(
        "UPDATE delivery SET due_arrival = now() - interval '2 hours', last_sent_at = now() - interval '2 days'"
    )


# ── Unfinished publishes ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_a_worker_committed_and_never_published_leaves(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await exchange.stop_workers()
    await exchange.pool.execute(
        "UPDATE outgoing SET published_at = NULL, created_at = now() - interval '1 minute' WHERE kind = 'document'"
    )
    async with keeping(exchange):
        await exchange.document_at(province, letter, copies=2)
        await eventually(exchange, "SELECT bool_and(published_at IS NOT NULL) FROM outgoing")


async def test_what_is_younger_than_the_grace_period_is_left_to_its_worker(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await exchange.pool.execute("UPDATE outgoing SET published_at = NULL WHERE kind = 'document'")
    async with keeping(exchange, outgoing_grace_seconds=3600) as keeper:
        await keeper.whole_rounds("unfinished", 2)
    assert len(copies(await exchange.mailbox(province), letter)) == 1


async def test_a_keeper_that_dies_between_publish_and_record_publishes_once_more(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await exchange.stop_workers()
    await exchange.pool.execute("UPDATE outgoing SET published_at = NULL, created_at = now() - interval '1 minute'")
    published = asyncio.Event()

    async def never_record(*arguments: object, **named: object) -> object:
        published.set()
        return await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr("broker.dispatch.dispatcher.record_sent", never_record)
        async with keeping(exchange, keeper_lease_seconds=1.0):
            await published.wait()
            await exchange.document_at(province, letter, copies=2)
        # Its round was broken off here, between the confirm and the record.
    assert await exchange.value("SELECT count(*) FROM outgoing WHERE kind = 'document' AND published_at IS NULL") == 1
    async with keeping(exchange):
        await exchange.document_at(province, letter, copies=3)
        await eventually(exchange, "SELECT bool_and(published_at IS NOT NULL) FROM outgoing")
    box = await exchange.mailbox(province)
    # One document, whatever the number of copies: sender, id and digest are the same in all of them.
    assert len({(one.document.from_, one.document.id, one.message.signed.digest) for one in copies(box, letter)}) == 1
    assert (await delivery(exchange, letter, province))["processing"] == Processing.DISPATCHED


async def test_a_backlog_for_a_missing_mailbox_does_not_keep_the_others_waiting(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.upkeep.unfinished.PAGE", 2)
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    gone = await exchange.add("H54", "province")
    await lose(exchange, gone)
    await exchange.pool.execute("UPDATE agency SET has_mailbox = false WHERE agency_id = $1", gone.id)
    letters = [await sent(exchange, ministry, province) for _ in range(2)]
    stuck = exchange.letter(ministry, [province])
    await exchange.pool.execute(
        """INSERT INTO outgoing (kind, notice, owner_ids, created_at)
           SELECT 'notice', (SELECT notice FROM outgoing WHERE kind = 'notice' LIMIT 1), ARRAY[$1::bigint],
                  now() - interval '1 day' FROM generate_series(1, 5)""",
        gone.id,
    )
    await exchange.pool.execute(
        """UPDATE outgoing SET published_at = NULL, created_at = now() - interval '1 hour' WHERE kind = 'document'"""
    )
    async with keeping(exchange):
        for letter in letters:
            await exchange.document_at(province, letter, copies=2)
    assert await exchange.value("SELECT count(*) FROM outgoing WHERE published_at IS NULL") == 5
    assert not copies(await exchange.mailbox(province), stuck)


# ── Lost mailboxes ───────────────────────────────────────────────────────────────────────────────────────────────────
async def answer_resets(exchange: Exchange, end: End, since: datetime) -> None:
    """What an adapter does: for each `mailbox-reset` notice that comes, ask for a replay."""
    box = await exchange.mailbox(end)
    answered = 0
    while True:

        def unanswered(answered: int = answered) -> int | None:
            come = len(box.items("mailbox-reset"))
            return come if come > answered else None

        answered = await box.until(unanswered, "a mailbox-reset notice", seconds=600)
        await exchange.submit(replay(exchange, end, since).body, end, kind="request")


async def test_a_mailbox_deleted_under_load_comes_back_whole_statuses_included(exchange: Exchange) -> None:
    began = datetime.now(UTC)
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    own = await sent(exchange, province, ministry)  # whose statuses will be lost with the mailbox
    silent = await exchange.add("H99", "province")
    letters: list[Letter] = []
    statuses = []
    # A grace that a worker on a slow machine keeps: the keeper must not publish beside it.
    async with keeping(exchange, outgoing_grace_seconds=20) as keeper:
        await keeper.whole_rounds("mailboxes")
        # Nobody reads the province's mailbox for now, so that everything in it is lost.
        for number in range(40):
            letter = exchange.letter(ministry, [province, silent] if number % 2 else [province])
            await exchange.send(letter, ministry)
            letters.append(letter)
            if number % 10 == 3:
                statuses.append(await report(exchange, ministry, item(own, "01", number)))
            if number == 20:
                await lose(exchange, province)
        await eventually(
            exchange, "SELECT reset_at IS NULL AND generation = 2 FROM mailbox WHERE owner_id = $1", province.id
        )
        box = await exchange.mailbox(province)
        adapter = asyncio.create_task(answer_resets(exchange, province, began))
        for letter in letters:
            await exchange.document_at(province, letter)
        for spoken in statuses:
            await forwarded(exchange, province, spoken)
        await eventually(exchange, "SELECT count(*) = 1 AND bool_and(done_at IS NOT NULL) FROM request_message")
        await keeper.whole_rounds("replay", 2)
        adapter.cancel()
        await asyncio.gather(adapter, return_exceptions=True)
    assert len(box.told("mailbox-reset")) == 1, "a replay must not ask for the next one"
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'mailbox_reset'") == 1
    # The neighbour with the same documents was not disturbed.
    other = await exchange.mailbox(silent)
    for letter in letters[1::2]:
        await exchange.document_at(silent, letter)
    assert set(Counter(one.manifest.id for one in other.documents()).values()) == {1}


async def test_what_has_its_01_is_not_sent_again_to_a_mailbox_made_anew(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    arrived, silent = await sent(exchange, ministry, province), await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(arrived, "01", 1)))
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("mailboxes")
        exchange._mailboxes.pop(province.code)
        connection, _ = exchange._connections.pop(province.code)
        await connection.close()
        await lose(exchange, province)
        await keeper.until_done("mailboxes")
        await exchange.document_at(province, silent)
        box = await exchange.mailbox(province)
        await box.until(lambda: box.items("mailbox-reset") or None, "the mailbox-reset notice")
    assert attempts(box, silent) == [2]
    assert not copies(box, arrived)


async def test_a_mailbox_that_an_operator_made_anew_is_filled_too(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    # As `topology apply` leaves it when it has found the queue missing and made it.
    await exchange.pool.execute(
        "INSERT INTO mailbox (owner_id, generation, created_at, reset_at) VALUES ($1, 2, now(), now())", province.id
    )
    async with keeping(exchange) as keeper:
        await keeper.until_done("mailboxes")
        await exchange.document_at(province, letter, copies=2)
    assert attempts(await exchange.mailbox(province), letter) == [1, 2]
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'mailbox_reset'") == 1


async def test_the_mailbox_of_a_new_agency_is_made_without_a_reset(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    await lose(exchange, province)
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("mailboxes", 2)
        await sent(exchange, ministry, province)
    rows = await exchange.pool.fetch("SELECT generation, reset_at FROM mailbox")
    assert {tuple(row) for row in rows} == {(1, None)}
    assert not (await exchange.mailbox(province)).items("mailbox-reset")


# ── Silent recipients ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_purged_mailbox_gets_its_documents_again_and_a_hint_to_ask_for_the_rest(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(ministry, [province])
    await exchange.send(letter, ministry)
    await dispatched(exchange, letter)
    _, channel = await exchange._own_channel()
    await (await channel.get_queue(mailbox(province.code), ensure=False)).purge()
    await waiting(exchange, province, 0)
    await long_due(exchange)
    async with keeping(exchange):
        await exchange.document_at(province, letter)
        box = await exchange.mailbox(province)
        await box.until(lambda: box.items("mailbox-reset") or None, "the mailbox-reset notice")
    assert attempts(box, letter) == [2]
    assert (await delivery(exchange, letter, province))["sends"] == 2


async def test_a_recipient_that_does_not_read_is_called_overdue_and_gets_no_second_copy(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(ministry, [province])
    await exchange.send(letter, ministry)
    await dispatched(exchange, letter)
    await waiting(exchange, province, 1)
    await long_due(exchange)
    async with keeping(exchange) as keeper:
        told = await exchange.notice_at(ministry, letter, "overdue")
        await keeper.whole_rounds("arrivals", 2)
    assert told.error == "LT-OVERDUE"
    assert told.recipients is not None and [one.code for one in told.recipients.list] == [province.code]
    row = await delivery(exchange, letter, province)
    assert row["overdue_at"] is not None and row["sends"] == 1
    assert len((await exchange.mailbox(ministry)).told("overdue")) == 1
    event = orjson.loads(await exchange.value("SELECT body FROM event WHERE kind = 'overdue'"))
    assert (event["recipients"], event["document"]["digest"]) == ([province.code], letter.digest)
    # It comes back to life: what waited is there, once, and the late 01 counts.
    await exchange.document_at(province, letter)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01", 1)))
    row = await delivery(exchange, letter, province)
    assert (row["processing"], row["overdue_at"] is not None) == (Processing.ARRIVED, True)
    assert attempts(await exchange.mailbox(province), letter) == [1]


async def test_a_recipient_whose_mailbox_was_taken_away_for_good_is_called_overdue(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(ministry, [province])
    await exchange.send(letter, ministry)
    await dispatched(exchange, letter)
    await exchange.pool.execute(
        "UPDATE agency SET has_mailbox = false, revision = nextval('directory_revision') WHERE agency_id = $1",
        province.id,
    )
    await lose(exchange, province)
    await long_due(exchange)
    async with keeping(exchange):
        await exchange.notice_at(ministry, letter, "overdue")
    assert (await delivery(exchange, letter, province))["sends"] == 1


async def test_after_the_last_attempt_the_sender_is_told_and_no_copy_follows(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)  # read, acknowledged, and never confirmed by 01
    await waiting(exchange, province, 0)
    async with keeping(exchange, max_attempts=3) as keeper:
        for copy in (2, 3):
            await long_due(exchange)
            await exchange.document_at(province, letter, copies=copy)
            await eventually(exchange, "SELECT sends = $1 FROM delivery", copy)
        assert not (await exchange.mailbox(ministry)).items("overdue")
        await long_due(exchange)
        await exchange.notice_at(ministry, letter, "overdue")
        await long_due(exchange)
        await keeper.whole_rounds("arrivals", 2)
    box = await exchange.mailbox(province)
    assert attempts(box, letter) == [1, 2, 3]
    assert len(box.told("mailbox-reset")) == 1


async def test_a_document_with_its_01_is_left_in_peace(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01", 1)))
    await waiting(exchange, province, 0)
    await long_due(exchange)
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("arrivals", 2)
        assert keeper.done["arrivals"] == 0
    assert len(copies(await exchange.mailbox(province), letter)) == 1


async def test_a_hub_gets_the_copy_of_a_silent_commune_again_with_its_name_in_the_slip(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    first = await exchange.add("H53.1", "commune", has_mailbox=False, hub=province)
    second = await exchange.add("H53.2", "commune", has_mailbox=False, hub=province)
    letter = exchange.letter(ministry, [first, second])
    await exchange.send(letter, ministry)
    await exchange.document_at(province, letter)
    await dispatched(exchange, letter)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01", 1, for_=first.code)))
    await waiting(exchange, province, 0)
    await long_due(exchange)
    async with keeping(exchange):
        again = await exchange.document_at(province, letter, copies=2)
    assert again.slip is not None and again.slip.attempt == 2
    assert [one.code for one in again.slip.recipients or ()] == [second.code]


# ── Replays ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_replay_brings_documents_without_01_statuses_and_notices_since_then(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    before = await sent(exchange, ministry, province)
    old = await sent(exchange, province, ministry)
    early = await report(exchange, ministry, item(old, "01", 1))
    await forwarded(exchange, province, early)
    await exchange.pool.execute("UPDATE delivery SET last_sent_at = last_sent_at - interval '1 day'")
    await exchange.pool.execute(
        "UPDATE outgoing SET created_at = created_at - interval '1 day', published_at = published_at - interval '1 day'"
    )
    since = datetime.now(UTC) - timedelta(minutes=1)
    silent, arrived = await sent(exchange, ministry, province), await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(arrived, "01", 2)))
    own = await sent(exchange, province, ministry)
    spoken = [await report(exchange, ministry, item(own, code, 3)) for code in ("01", "03")]
    for one in spoken:
        await forwarded(exchange, province, one)
    asking = await report(exchange, ministry, item(silent, "13", 9, to=[province.code], reason="x"))
    await forwarded(exchange, province, asking)
    await exchange.notice_at(province, own, "accepted")
    await eventually(exchange, "SELECT bool_and(published_at IS NOT NULL) FROM outgoing")
    await exchange.submit(replay(exchange, province, since).body, province, kind="request")
    async with keeping(exchange) as keeper:
        await exchange.document_at(province, silent, copies=2)
        for one in (*spoken, asking):
            come = await forwarded(exchange, province, one, copies=2)
            assert come.slip is not None and come.slip.attempt == 2
        await exchange.notice_at(province, own, "accepted", count=2)
        await eventually(exchange, "SELECT bool_and(done_at IS NOT NULL) FROM request_message")
        await keeper.whole_rounds("replay", 2)
    box = await exchange.mailbox(province)
    assert attempts(box, silent) == [1, 2]
    assert attempts(box, arrived) == [1]
    assert attempts(box, before) == [1]
    assert [one.message.signed.digest for one in box.statuses()].count(early.digest) == 1
    again = [one.message.signed.digest for one in box.statuses()][-3:]
    assert sorted(again) == sorted(one.digest for one in (*spoken, asking))
    other = await exchange.mailbox(ministry)
    assert all(len(copies(other, letter)) == 1 for letter in (old, own)), "somebody else's mailbox was filled"


async def test_a_13_to_several_mailboxes_is_replayed_to_each_that_asks(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    provinces = [await exchange.add(f"H{number}", "province") for number in range(3)]
    letter = await sent(exchange, ministry, *provinces)
    asking = await report(exchange, ministry, item(letter, "13", 1, to=[one.code for one in provinces], reason="x"))
    for one in provinces:
        await forwarded(exchange, one, asking)
    assert await exchange.value("SELECT cardinality(owner_ids) FROM outgoing WHERE kind = 'status'") == 3
    await eventually(exchange, "SELECT bool_and(published_at IS NOT NULL) FROM outgoing")
    await exchange.submit(replay(exchange, provinces[2], NOON).body, provinces[2], kind="request")
    async with keeping(exchange):
        await forwarded(exchange, provinces[2], asking, copies=2)
        await eventually(exchange, "SELECT bool_and(done_at IS NOT NULL) FROM request_message")
    for one in provinces[:2]:
        assert len((await exchange.mailbox(one)).statuses()) == 1


async def test_a_replay_is_handed_over_page_by_page_in_the_order_of_creation(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.upkeep.replay.PAGE", 3)
    handed_over: list[OutgoingJob] = []
    send = KeeperSender.send

    async def listen(self: KeeperSender, lease: Lease, jobs: Iterable[OutgoingJob]) -> Sent:
        listed = list(jobs)
        handed_over.extend(listed)
        return await send(self, lease, listed)

    monkeypatch.setattr(KeeperSender, "send", listen)
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letters = [await sent(exchange, ministry, province) for _ in range(5)]
    own = await sent(exchange, province, ministry)
    for minutes in range(5):
        await forwarded(exchange, province, await report(exchange, ministry, item(own, "01", minutes)))
    await eventually(exchange, "SELECT bool_and(published_at IS NOT NULL) FROM outgoing")
    await exchange.submit(replay(exchange, province, NOON).body, province, kind="request")
    async with keeping(exchange, outgoing_grace_seconds=3600):
        await eventually(exchange, "SELECT bool_and(done_at IS NOT NULL) FROM request_message")
    assert [job.id for job in handed_over if job.kind == "document"] == [letter.id for letter in letters]
    rest = [job.outgoing_id for job in handed_over if job.kind != "document"]
    assert rest == sorted(set(rest)) and len(rest) == 6  # five statuses and the notice of acceptance


async def test_many_requests_are_answered_by_one_replay(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    for _ in range(5):
        await exchange.submit(replay(exchange, province, NOON).body, province, kind="request")
    await eventually(exchange, "SELECT count(*) = 5 FROM request_message")
    async with keeping(exchange):
        await eventually(exchange, "SELECT bool_and(done_at IS NOT NULL) FROM request_message")
    # Each replay would count one up. A publish whose confirm is late comes once more as the attempt that it was.
    assert set(attempts(await exchange.mailbox(province), letter)) == {1, 2}
