"""What recipients report, from their signature to the sender's mailbox."""

from __future__ import annotations

import asyncio
import random
from base64 import b64decode

import orjson

from schemas.certificates import public_key_of
from schemas.jws import parse_message, signature_holds
from schemas.states import Processing
from tests.kit.exchange import End, Exchange
from tests.kit.statuses import NOON, at, delivery, eventually, forwarded, item, report, sent, status


async def test_an_arrival_reaches_the_sender_as_it_was_signed(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    spoken = await report(exchange, province, item(letter, "01", 3))
    come = await forwarded(exchange, ministry, spoken)
    assert come.message.signed == parse_message(spoken.body, slip_allowed=False).signed
    assert come.slip is not None and come.slip_signed is not None
    assert (come.slip.document.from_, come.slip.document.id) == (province.code, spoken.id)
    assert come.slip.attempt == 1
    assert signature_holds(come.slip_signed, public_key_of(exchange.identity.certificate))
    assert b64decode(come.slip.certificate) == (
        await exchange.value("SELECT der FROM certificate WHERE thumbprint = $1", province.thumbprint)
    )
    row = await delivery(exchange, letter, province)
    assert (row["processing"], row["arrived_at"]) == (Processing.ARRIVED, NOON.replace(minute=3))
    assert row["closed_at"] is None


async def test_the_state_does_not_depend_on_the_order_in_which_statuses_arrive(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    provinces = [await exchange.add(f"H{number}", "province") for number in range(4)]
    letter = await sent(exchange, ministry, *provinces)
    minute = {"01": 1, "03": 3, "05": 5, "06": 6, "02": 8}
    orders = (
        ["01", "03", "05", "06", "02"],
        ["02", "06", "05", "03", "01"],
        ["05", "02", "01", "06", "03"],
        ["06", "01", "02", "03", "05"],
    )
    for province, order in zip(provinces, orders, strict=True):
        for code in order:
            # One after the other, each known to be recorded before the next is sent.
            spoken = await report(exchange, province, item(letter, code, minute[code], reason="x"))
            await forwarded(exchange, ministry, spoken)
    rows = [await delivery(exchange, letter, province) for province in provinces]
    seen = {(r["processing"], r["anomalous"], r["arrived_at"], r["closed_at"], r["recalled"]) for r in rows}
    assert seen == {(Processing.COMPLETED, True, NOON.replace(minute=1), NOON.replace(minute=6), False)}
    marked = await exchange.pool.fetch("SELECT code, count(*) FROM status_entry WHERE anomalous GROUP BY code")
    assert [tuple(row) for row in marked] == [("02", 4)]


async def test_a_status_of_lower_rank_that_comes_late_is_recorded_and_turns_nothing_back(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "05", 5)))
    late = await report(exchange, province, item(letter, "03", 9))
    await forwarded(exchange, ministry, late)
    row = await delivery(exchange, letter, province)
    assert (row["processing"], row["anomalous"]) == (Processing.PROCESSING, False)
    assert await exchange.value("SELECT count(*) FROM status_entry WHERE code = '03'") == 1


async def test_a_refusal_closes_the_delivery_and_its_reason_reaches_the_sender(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    spoken = await report(exchange, province, item(letter, "01", 1), item(letter, "02", 2, reason="Gửi nhầm nơi nhận"))
    come = await forwarded(exchange, ministry, spoken)
    assert [one.reason for one in come.manifest.items] == [None, "Gửi nhầm nơi nhận"]  # type: ignore[union-attr]
    row = await delivery(exchange, letter, province)
    assert (row["processing"], row["closed_at"]) == (Processing.REFUSED, NOON.replace(minute=2))


async def test_a_hub_answers_for_96_communes_in_one_message(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    communes = await communes_of(exchange, province, 96)
    letter = exchange.letter(ministry, communes)
    await exchange.send(letter, ministry)
    copy = await exchange.document_at(province, letter)
    assert copy.slip is not None and len(copy.slip.recipients or ()) == 96
    spoken = await report(exchange, province, *(item(letter, "01", 1, for_=code) for code in communes))
    await forwarded(exchange, ministry, spoken)
    states = await exchange.pool.fetch("SELECT processing, count(*) FROM delivery GROUP BY processing")
    assert [tuple(row) for row in states] == [(Processing.ARRIVED, 96)]
    assert await exchange.value("SELECT count(*) FROM status_entry WHERE by_id = $1", province.id) == 96
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'status_recorded'") == 1


async def test_500_statuses_under_one_signature_are_one_transaction_and_soon_done(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    communes = await communes_of(exchange, province, 500)
    letter = exchange.letter(ministry, communes)
    await exchange.send(letter, ministry)
    await exchange.document_at(province, letter)
    loop = asyncio.get_running_loop()
    for minutes, code in enumerate(("01", "03", "05", "06")):
        began = loop.time()
        spoken = await report(exchange, province, *(item(letter, code, minutes, for_=commune) for commune in communes))
        await forwarded(exchange, ministry, spoken)
        assert loop.time() - began < 5.0
    assert await exchange.value("SELECT count(*) FROM delivery WHERE processing = 'completed'") == 500
    assert await exchange.value("SELECT count(DISTINCT xmin::text) FROM status_entry") == 4


async def communes_of(exchange: Exchange, province: End, count: int) -> list[str]:
    """Codes of communes without a connection, for which a province may receive and sign."""
    codes = [f"{province.code}.{number}" for number in range(count)]
    await exchange.pool.execute(
        """WITH made AS (
               INSERT INTO agency (code, name, level, tier, parent_id)
               SELECT code, code, 'commune', 3, $2 FROM unnest($1::text[]) AS code RETURNING agency_id)
           INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) SELECT $2, agency_id, true, true FROM made""",
        codes,
        province.id,
    )
    await exchange.refresh()
    return codes


async def test_a_foreign_agencys_items_are_refused_one_by_one_and_named_to_it(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    stranger = await exchange.add("H17", "province")
    for_province = await sent(exchange, ministry, province)
    for_both = await sent(exchange, ministry, province, stranger)
    spoken = await report(
        exchange,
        stranger,
        item(for_province, "06", 1),
        item(for_both, "01", 2),
        item(for_both, "01", 3, for_=province.code),
    )
    come = await forwarded(exchange, ministry, spoken)
    assert come.message.signed.digest == spoken.digest
    await exchange.notice_about(stranger, "status-refused", digest=spoken.digest, count=2)
    told = (await exchange.mailbox(stranger)).items("status-refused")
    assert [(one.error, one.detail and one.detail["item"]) for one in told] == [
        ("LT-STATUS-NOT-ALLOWED", 0),
        ("LT-STATUS-NOT-ALLOWED", 2),
    ]
    assert [one.detail and one.detail["concerns"]["digest"] for one in told] == [for_province.digest, for_both.digest]
    assert (await delivery(exchange, for_province, province))["processing"] == Processing.DISPATCHED
    assert (await delivery(exchange, for_both, province))["processing"] == Processing.DISPATCHED
    assert (await delivery(exchange, for_both, stranger))["processing"] == Processing.ARRIVED
    rejections = await exchange.pool.fetch("SELECT code FROM rejection WHERE claimed_from = $1", stranger.code)
    assert [row["code"] for row in rejections] == ["LT-STATUS-NOT-ALLOWED"] * 2
    assert orjson.loads(await exchange.value("SELECT refused_items::text FROM status_message")) == [
        {"item": 0, "error": "LT-STATUS-NOT-ALLOWED"},
        {"item": 2, "error": "LT-STATUS-NOT-ALLOWED"},
    ]


async def test_a_status_about_a_document_never_accepted_is_refused_and_may_come_again_later(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(ministry, [province])
    spoken = await report(exchange, province, item(letter, "01", 1))
    refused = await exchange.notice_about(province, "status-refused", digest=spoken.digest)
    assert refused.error == "LT-CONCERNS-UNKNOWN"
    assert await exchange.value("SELECT count(*) FROM status_message") == 0
    await exchange.send(letter, ministry)
    await exchange.document_at(province, letter)
    await exchange.submit(spoken.body, province, kind="status")
    await forwarded(exchange, ministry, spoken)
    assert (await delivery(exchange, letter, province))["processing"] == Processing.ARRIVED


async def test_a_status_about_other_bytes_is_refused_with_the_digest_that_was_accepted(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    other = letter.reference() | {"digest": "0" * 64}
    spoken = await report(exchange, province, item(other, "01", 1))
    refused = await exchange.notice_about(province, "status-refused", digest=spoken.digest)
    assert refused.error == "LT-CONCERNS-DIGEST"
    assert refused.detail is not None and refused.detail["expected"] == letter.digest


async def test_a_status_message_sent_twice_has_one_effect(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    spoken = status(exchange, province, item(letter, "01", 1))
    for _ in range(3):
        await exchange.submit(spoken.body, province, kind="status")
    last = await report(exchange, province, item(letter, "03", 2))
    await forwarded(exchange, ministry, last)
    box = await exchange.mailbox(ministry)
    assert [one.message.signed.digest for one in box.statuses()].count(spoken.digest) == 1
    assert await exchange.value("SELECT count(*) FROM status_entry") == 2
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'status_recorded'") == 2


async def test_workers_that_get_the_same_messages_at_once_give_them_one_effect(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    for _ in range(2):
        await exchange.start_worker()
    communes = await communes_of(exchange, province, 20)
    letter = exchange.letter(ministry, communes)
    await exchange.send(letter, ministry)
    await exchange.document_at(province, letter)
    # Every message touches every delivery, in an order of its own, and comes three times.
    spoken = []
    for number, code in enumerate(("01", "03", "04", "05", "06") * 4):
        turned = communes[number:] + communes[:number]
        spoken.append(status(exchange, province, *(item(letter, code, number, for_=one) for one in turned)))
    shuffled = [one for one in spoken for _ in range(3)]
    random.Random(7).shuffle(shuffled)
    await asyncio.gather(*(exchange.submit(one.body, province, kind="status") for one in shuffled))
    for one in spoken:
        await forwarded(exchange, ministry, one)
    assert await exchange.value("SELECT count(*) FROM status_message") == 20
    assert await exchange.value("SELECT count(*) FROM status_entry") == 20 * 20
    rows = await exchange.pool.fetch("SELECT DISTINCT processing, arrived_at, closed_at FROM delivery")
    assert [tuple(row) for row in rows] == [(Processing.COMPLETED, NOON, NOON.replace(minute=4))]
    assert await exchange.value("SELECT count(*) FROM rejection") == 0


async def test_a_repeated_status_item_is_recorded_once(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01", 1)))
    repeated = await report(exchange, province, item(letter, "01", 1))
    await eventually(exchange, "SELECT count(*) = 2 FROM status_message")
    mixed = await report(exchange, province, item(letter, "01", 1), item(letter, "03", 2))
    await forwarded(exchange, ministry, mixed)
    box = await exchange.mailbox(ministry)
    assert repeated.digest not in [one.message.signed.digest for one in box.statuses()]
    assert await exchange.value("SELECT count(*) FROM status_entry") == 2


async def test_the_same_id_with_other_bytes_is_quarantined_and_the_first_stays_in_force(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    first = await report(exchange, province, item(letter, "01", 1))
    await forwarded(exchange, ministry, first)
    second = status(exchange, province, item(letter, "06", 2), id=first.manifest["id"])
    await exchange.submit(second.body, province, kind="status")
    told = await exchange.notice_about(province, "quarantined", digest=second.digest)
    assert told.error == "LT-DUP-CONFLICT"
    assert (await delivery(exchange, letter, province))["processing"] == Processing.ARRIVED
    kept = await exchange.pool.fetchrow("SELECT quarantined, body, detail FROM rejection")
    assert kept is not None and kept["quarantined"] and kept["body"] == second.body
    assert orjson.loads(kept["detail"])["accepted_digest"] == first.digest


async def test_a_repeated_message_completes_what_had_not_left(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    spoken = await report(exchange, province, item(letter, "01", 1))
    await forwarded(exchange, ministry, spoken)
    await eventually(exchange, "SELECT published_at IS NOT NULL FROM outgoing WHERE kind = 'status'")
    await exchange.pool.execute(
        "UPDATE outgoing SET published_at = NULL, created_at = now() - interval '1 hour' WHERE kind = 'status'"
    )
    await exchange.submit(spoken.body, province, kind="status")
    await forwarded(exchange, ministry, spoken, copies=2)
    assert await exchange.value("SELECT count(*) FROM status_entry") == 1


async def test_a_status_with_a_bad_signature_is_rejected_to_who_submitted_it(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    spoken = status(exchange, province, item(letter, "01", 1))
    forged = exchange.body(spoken.manifest, province, key=ministry.key)
    await exchange.submit(forged, province, kind="status")
    told = await exchange.notice_about(province, "rejected", digest=spoken.digest)
    assert told.error == "LT-SIGNATURE"
    assert (await delivery(exchange, letter, province))["processing"] == Processing.DISPATCHED


async def test_one_poisonous_message_waits_alone_and_its_neighbours_take_effect(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    provinces = [await exchange.add(f"H{number}", "province") for number in range(4)]
    letter = await sent(exchange, ministry, *provinces)
    await exchange.pool.execute(
        """CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF NEW.reason = 'poison' THEN RAISE 'cannot store this'; END IF; RETURN NEW; END $$;
           CREATE TRIGGER choke BEFORE INSERT ON status_entry FOR EACH ROW EXECUTE FUNCTION choke()"""
    )
    spoken = [
        status(exchange, p, item(letter, "05", 5, reason="poison" if p is provinces[1] else "x")) for p in provinces
    ]
    await asyncio.gather(
        *(exchange.submit(one.body, p, kind="status") for one, p in zip(spoken, provinces, strict=True))
    )
    for one, province in zip(spoken, provinces, strict=True):
        if province is not provinces[1]:
            await forwarded(exchange, ministry, one)
            assert (await delivery(exchange, letter, province))["processing"] == Processing.PROCESSING
    # It waits on the ladder, is tried again, and takes effect once the fault is mended.
    await exchange.pool.execute("DROP TRIGGER choke ON status_entry")
    await forwarded(exchange, ministry, spoken[1])
    assert (await delivery(exchange, letter, provinces[1]))["processing"] == Processing.PROCESSING


async def test_the_events_of_statuses_hold_no_text(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    secret = "Nguyễn Văn Bí Mật"
    spoken = await report(
        exchange, province, item(letter, "02", 1, reason=secret, staff={"name": secret, "phone": "0903"})
    )
    await forwarded(exchange, ministry, spoken)
    bodies = [row["body"] for row in await exchange.pool.fetch("SELECT body FROM event")]
    assert bodies and all(secret.encode() not in body and b"0903" not in body for body in bodies)
    told = orjson.loads(await exchange.value("SELECT body FROM event WHERE kind = 'status_recorded'"))
    assert [(one["code"], one["recipient"]) for one in told["items"]] == [("02", province.code)]
    assert told["items"][0]["at"] == at(1)
