"""What an agency's adapter owes to the exchange (contract §10) and to the code behind it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapters import Agency, Letter, NaturalRef, Part
from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from schemas.base64url import encode
from schemas.content_layout import accepted_path
from schemas.jws import encode_message
from schemas.times import rfc3339
from tests.integration.adapters.standin import BROKER, HUB, MINISTRY, PROVINCE, StandIn

COMMUNES = [f"{HUB}.{number}" for number in range(1, 4)]


def letter(*to: str, **more: Any) -> Letter:
    fields: dict[str, Any] = {
        "number": "12",
        "notation": "VPCP-TH",
        "subject": "Công văn",
        "to": to,
        "parts": [Part.data("12.pdf", b"%PDF-1.7 nothing much")],
    }
    return Letter(**{**fields, **more})


def rows(settings: AgencySettings, statement: str) -> list[Any]:
    with sqlite3.connect(settings.data_dir / DATABASE) as connection:
        return connection.execute(statement).fetchall()


async def until(condition: Any, *, seconds: float = 15.0) -> Any:
    """For facts that are only in another program's or thread's hands."""
    async with asyncio.timeout(seconds):
        while not (found := condition()):
            await asyncio.sleep(0.02)
        return found


async def test_the_same_bytes_go_out_again_until_the_exchange_answers(exchange: StandIn) -> None:
    exchange.answering = False
    settings = await exchange.agency(MINISTRY, resend_after_seconds=0.3)
    await exchange.agency(PROVINCE)
    async with Agency.open(settings) as me:
        sent = await me.send(letter(PROVINCE))
        with pytest.raises(TimeoutError):
            await sent.accepted(timeout=0.2)
        await exchange.until(lambda: len(documents(exchange)) >= 2)
        exchange.answering = True
        assert (await sent.accepted(timeout=10)).count == 1
        seen = documents(exchange)
        assert len({signed.stored() for _, _, _, signed in seen}) == 1
        assert len({message_id for _, _, message_id, _ in seen}) == len(seen)  # unique per publish


def documents(exchange: StandIn) -> list[Any]:
    return [one for one in exchange.submitted if one[1].startswith("document.")]


async def test_a_document_that_comes_again_is_stored_once_and_answered_with_the_same_01(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province):
        sent = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.reported[sent.id, PROVINCE])
        signed = exchange.documents[MINISTRY, sent.id]
        for _ in range(3):
            body = exchange.wrapped(signed, content=await inline(me, sent.id))
            await exchange.publish(PROVINCE, body)
        await until(lambda: rows(province, "SELECT copies FROM inbox") == [(4,)])
        await exchange.until(lambda: len(exchange.reported[sent.id, PROVINCE]) >= 2)
        assert len(set(exchange.reported[sent.id, PROVINCE])) == 1  # one and the same signed message
    assert rows(province, "SELECT count(*) FROM inbox") == [(1,)]
    assert rows(province, "SELECT count(*) FROM outbox WHERE kind = 'status'") == [(1,)]


async def inline(agency: Agency, id: str) -> dict[str, bytes]:
    from schemas.jws import parse_message

    body = await agency.store.run(
        lambda connection: connection.execute("SELECT body FROM outbox WHERE id = ?", (id,)).fetchone()[0]
    )
    return dict(parse_message(body, slip_allowed=False).content)


async def test_a_hub_answers_for_all_its_communes_under_one_signature(exchange: StandIn) -> None:
    ministry = await exchange.agency(MINISTRY)
    hub = await exchange.agency(HUB, serves=dict.fromkeys(COMMUNES, False))
    async with Agency.open(ministry) as me, Agency.open(hub) as them:
        sent = await me.send(letter(*COMMUNES, HUB))
        await exchange.until(lambda: exchange.reported[sent.id, COMMUNES[2]])
        messages = {digest for code in [*COMMUNES, HUB] for _, digest in exchange.reported[sent.id, code]}
        assert len(messages) == 1
        recipients = []
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                recipients.append(came.recipient)
            await them.report(came, "03")
            if len(recipients) == 4:
                break
        assert sorted(recipients) == sorted([*COMMUNES, HUB])
        await exchange.until(lambda: exchange.codes(sent.id, COMMUNES[0]) == ["01", "03"])


@pytest.mark.parametrize("own_key", [True, False])
async def test_a_hub_sends_in_the_name_of_a_commune(exchange: StandIn, own_key: bool) -> None:
    hub = await exchange.agency(HUB, serves={COMMUNES[0]: own_key})
    await exchange.agency(PROVINCE)
    async with Agency.open(hub) as them:
        sent = await them.send(letter(PROVINCE), sender=COMMUNES[0])
        await sent.accepted(timeout=10)
    user, key, _, signed = documents(exchange)[0]
    assert (user, key, sent.document.sender) == (HUB, f"document.normal.{HUB}", COMMUNES[0])
    assert signed.thumbprint == exchange.identities[COMMUNES[0] if own_key else HUB].mark


async def test_statuses_and_notices_are_taken_while_a_document_waits_for_its_clerk(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        await me.send(letter(PROVINCE))
        async for delivery in them.receive(idle=10):
            async with delivery:  # the clerk is at lunch
                answer = await them.send(letter(MINISTRY))
                assert (await answer.accepted(timeout=10)).count == 1
                async for status in them.statuses(idle=10):
                    assert (status.agency, status.code) == (MINISTRY, "01")
                    break
            break


async def test_a_recall_that_precedes_its_document_is_remembered(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    exchange.delivering = False
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        original = letter(PROVINCE)
        sent = await me.send(original)
        by_reference = await me.recall([sent.document], "có sai sót")
        day = datetime.now(UTC).astimezone().date()
        issued = json.loads(exchange.documents[MINISTRY, sent.id].payload)["document"]["issued_on"]
        by_number = await me.recall([NaturalRef(MINISTRY, "12", "VPCP-TH", day.fromisoformat(issued))], "có sai sót")
        await exchange.until(lambda: len(exchange.documents) == 3)
        for recall in (by_reference, by_number):
            await exchange.dispatch(exchange.documents[MINISTRY, recall.id], [PROVINCE])
        await exchange.until(lambda: exchange.reported[by_number.id, PROVINCE])
        content = await inline(me, sent.id)
        await exchange.dispatch(exchange.documents[MINISTRY, sent.id], [PROVINCE], content=content)
        await exchange.until(lambda: exchange.reported[sent.id, PROVINCE])
        came = {}
        async for delivery in them.receive(idle=10):
            async with delivery as one:
                came[one.ref] = one
            if len(came) == 3:
                break
        document, recall = came[sent.document], came[by_number.document]
        assert set(document.changed_by) == {by_reference.document, by_number.document}
        assert (recall.action, recall.concerns, recall.reason) == ("recall", (sent.document,), "có sai sót")
        await them.agree(recall)
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "15"])


async def test_a_take_back_reaches_its_recipients_and_is_answered(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        sent = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.reported[sent.id, PROVINCE])
        await me.take_back(sent.document, [PROVINCE], "gửi nhầm")
        async for asked in them.take_backs(idle=10):
            assert (asked.document, asked.recipients, asked.reason) == (sent.document, (PROVINCE,), "gửi nhầm")
            await them.decline(asked, "đã xử lý xong")
            break
        async for status in me.statuses(idle=10):
            if status.code == "16":
                assert status.reason == "đã xử lý xong" and status.answers is not None
                assert status.answers["id"] == asked.asked_by.id
                break


async def test_what_cannot_be_believed_is_kept_aside_and_stops_nothing(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    stranger = exchange.authority.issue(BROKER)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        exchange.delivering = False
        sent = await me.send(letter(PROVINCE))
        await sent.accepted(timeout=10)
        signed = exchange.documents[MINISTRY, sent.id]
        content = await inline(me, sent.id)
        forged_payload = signed.payload.replace("Công văn".encode(), "Mật thư!".encode())
        forged = replace(signed, payload_b64=encode(forged_payload), digest=sha256(forged_payload).hexdigest())
        other = {"from": MINISTRY, "id": sent.id, "digest": "0" * 64}
        for body in (
            b"nothing at all",
            encode_message(signed, content=content),  # no slip
            exchange.wrapped(signed, content=content, signer=stranger),  # a slip that the exchange did not sign
            exchange.wrapped(signed, content=content, about=other),  # a slip about something else
            exchange.wrapped(signed, content={next(iter(content)): b"%PDF another text"}),
            exchange.wrapped(forged, content=content),
        ):
            await exchange.publish(PROVINCE, body)
        reference = {"from": PROVINCE, "id": sent.id, "digest": signed.digest}
        await exchange.notice(PROVINCE, {"event": "accepted", "concerns": reference}, signer=stranger)
        await exchange.notice(PROVINCE, {"event": "rejected", "concerns": reference, "error": "LT-SCHEMA"})
        await exchange.dispatch(signed, [PROVINCE], content=content)
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                assert came.ref == sent.document
            break
        assert [one async for one in them.notices(idle=0.1)] == []  # about something that it never sent
    aside = [code for (code,) in rows(province, "SELECT code FROM aside ORDER BY code")]
    assert aside == ["LT-PART-DIGEST", "LT-SHAPE", "LT-SHAPE", *["LT-SIGNATURE"] * 2, *["LT-SIGNER-UNKNOWN"] * 2]
    assert rows(province, "SELECT count(*), max(ours) FROM notice") == [(1, 0)]
    assert rows(province, "SELECT count(*) FROM inbox") == [(1,)]


async def test_a_mailbox_that_was_lost_is_read_again_and_its_content_asked_for(exchange: StandIn) -> None:
    province = await exchange.agency(PROVINCE)
    ministry = await exchange.agency(MINISTRY)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        first = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.reported[first.id, PROVINCE])
        asked = len([one for one in exchange.requests if one.from_ == PROVINCE])
        await exchange.lose_mailbox(PROVINCE)
        await exchange.mailbox(PROVINCE)
        before = datetime.now(UTC)
        await exchange.notice(PROVINCE, {"event": "mailbox-reset"})
        await exchange.until(lambda: len([one for one in exchange.requests if one.from_ == PROVINCE]) > asked)
        since = [one for one in exchange.requests if one.from_ == PROVINCE][-1].since
        assert before - timedelta(hours=1) < since < before
        second = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.reported[second.id, PROVINCE])
        assert [one.event async for one in them.notices(idle=0.1)] == ["mailbox-reset"]


async def test_an_empty_memory_asks_for_everything(exchange: StandIn) -> None:
    province = await exchange.agency(PROVINCE)
    async with Agency.open(province):
        await exchange.until(lambda: exchange.requests)
    assert exchange.requests[0].since == datetime(1970, 1, 1, tzinfo=UTC)
    async with Agency.open(province) as again:
        await again.wait_connected()
        await again.flushed(timeout=10)
    assert len(exchange.requests) == 1


async def test_parts_that_are_not_there_yet_delay_only_their_document(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    large = bytes(200_000)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        exchange.delivering = False
        late = await me.send(letter(PROVINCE, parts=[Part.data("large.bin", large)]))
        await late.accepted(timeout=10)
        signed = exchange.documents[MINISTRY, late.id]
        digest = json.loads(signed.payload)["parts"][0]["sha256"]
        there = accepted_path(exchange.folder / "content", digest)
        hidden = there.with_name("hidden")
        there.rename(hidden)
        await exchange.dispatch(signed, [PROVINCE])
        exchange.delivering = True
        small = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.reported[small.id, PROVINCE])
        assert not exchange.reported[late.id, PROVINCE]  # no 01 before all parts are stored
        await until(lambda: rows(province, "SELECT count(*) FROM parked") == [(1,)])
        hidden.rename(there)
        await exchange.until(lambda: exchange.reported[late.id, PROVINCE])
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                if came.ref == late.document:
                    assert await came.parts[0].read() == large
                    break
    assert rows(province, "SELECT count(*) FROM parked") == [(0,)]


async def test_a_rehearsal_is_answered_as_a_rehearsal(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province):
        sent = await me.send(letter(PROVINCE, test=True))
        await exchange.until(lambda: exchange.reported[sent.id, PROVINCE])
    statuses = [json.loads(signed.payload) for _, key, _, signed in exchange.submitted if key.startswith("status.")]
    assert statuses and all(one.get("test") for one in statuses)


async def test_a_moments_statuses_share_a_signature_but_not_their_senders(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    hub = await exchange.agency(HUB)
    async with Agency.open(ministry) as me, Agency.open(province) as them, Agency.open(hub) as other:
        sent = [await me.send(letter(PROVINCE)) for _ in range(5)] + [await other.send(letter(PROVINCE))]
        came = []
        async for delivery in them.receive(idle=10, ahead=10):
            async with delivery as one:
                came.append(one)
            if len(came) == 6:
                break
        await asyncio.gather(*(them.report(one, "03") for one in came))
        await exchange.until(lambda: all("03" in exchange.codes(one.id, PROVINCE) for one in sent))
    digests = {digest for one in sent for code, digest in exchange.reported[one.id, PROVINCE] if code == "03"}
    assert len(digests) == 2


async def test_a_second_process_shares_the_database_and_the_first_one_pumps(exchange: StandIn, tmp_path: Path) -> None:
    ministry = await exchange.agency(MINISTRY)
    await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as service, Agency.open(ministry) as command:
        await service.wait_connected()
        sent = await command.send(letter(PROVINCE))
        await sent.accepted(timeout=10)
        assert service.connected and not command.connected
        await command.wait_connected()  # the connection of the other process is enough for a command


async def test_times_without_a_reason_to_travel_are_kept_as_written(exchange: StandIn) -> None:
    settings = await exchange.agency(MINISTRY)
    await exchange.agency(PROVINCE)
    moment = datetime(2026, 3, 12, 1, 30, tzinfo=UTC)
    async with Agency.open(settings) as me:
        sent = await me.send(letter(PROVINCE, priority=4, deliver_by=moment, further={"place": "Hà Nội"}))
        await sent.accepted(timeout=10)
    about = json.loads(exchange.documents[MINISTRY, sent.id].payload)["document"]
    assert (about["deliver_by"], about["place"], about["priority"]) == (rfc3339(moment), "Hà Nội", 4)
    assert documents(exchange)[0][1] == f"document.urgent.{MINISTRY}"
