"""Contract §5, row by row: what arrives, and what happens."""

from __future__ import annotations

import asyncio
import json

from broker.directory.changes import revoke_certificate
from tests.kit.exchange import AUTHOR, End, Exchange, Letter


async def _effects(x: Exchange) -> tuple[int, int, int]:
    """Documents, deliveries and acceptances."""
    row = await x.pool.fetchrow(
        "SELECT (SELECT count(*) FROM document), (SELECT count(*) FROM delivery),"
        " (SELECT count(*) FROM event WHERE kind = 'accepted')"
    )
    assert row is not None
    return row[0], row[1], row[2]


async def test_a_document_sent_twice_has_one_effect_and_is_answered_twice(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.send(letter, sender)
    first = await exchange.notice_at(sender, letter, "accepted")
    await exchange.all_published()
    await exchange.send(letter, sender)
    again = await exchange.notice_at(sender, letter, "accepted", count=2)
    assert again.first_accepted_at == first.at < again.at
    assert (again.leaf, again.recipients) == (first.leaf, first.recipients)
    await exchange.stop_workers()
    assert await _effects(exchange) == (1, 1, 1)
    assert len((await exchange.all_at(recipient)).documents()) == 1


async def test_an_accepted_document_is_answered_again_whatever_has_expired_since(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    async with exchange.pool.acquire() as connection:
        await revoke_certificate(connection, sender.thumbprint, why="lost", author=AUTHOR)
    await exchange.refresh()
    await exchange.send(letter, sender)
    assert (await exchange.notice_at(sender, letter, "accepted", count=2)).error is None


async def test_a_rejected_document_is_processed_afresh_when_its_fault_is_gone(exchange: Exchange) -> None:
    sender = await exchange.add("G01")
    missing = f"{exchange.prefix}.H53"
    letter = exchange.letter(sender, [missing])
    await exchange.send(letter, sender)
    assert (await exchange.notice_at(sender, letter, "rejected")).error == "LT-RECIPIENT-UNKNOWN"
    recipient = await exchange.add("H53", "province")
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    await exchange.document_at(recipient, letter)


def _same_id(x: Exchange, letter: Letter, sender: End) -> Letter:
    other = letter.manifest | {"document": letter.manifest["document"] | {"subject": "Khác"}}
    content = json.loads(letter.body)["content"]
    body = json.loads(x.body(other, sender)) | {"content": content}
    raw = json.dumps(body).encode()
    return Letter(manifest=other, body=raw, digest=x.digest(raw))


async def test_the_same_id_with_other_bytes_is_quarantined_and_the_first_stays_in_force(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    other = _same_id(exchange, letter, sender)
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    await exchange.send(other, sender)
    item = await exchange.notice_at(sender, other, "quarantined")
    assert item.error == "LT-DUP-CONFLICT"
    assert item.detail is not None and item.detail["found"] == other.digest and item.detail["expected"] == letter.digest
    kept = await exchange.pool.fetchrow("SELECT quarantined, body, detail::text, verdict::text FROM rejection")
    assert kept is not None and kept["quarantined"] and kept["body"] == other.body
    assert json.loads(kept["verdict"])["cryptography"]["answer"] == "good"
    assert json.loads(kept["detail"])["accepted_digest"] == letter.digest
    await exchange.stop_workers()
    assert await _effects(exchange) == (1, 1, 1)


async def test_a_conflict_is_not_told_to_who_could_not_have_signed_it(exchange: Exchange) -> None:
    """Signature and policy come before LT-DUP-CONFLICT: an id alone gains a forger nothing."""
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    forged = _same_id(exchange, letter, recipient)
    await exchange.submit(forged.body, sender)
    assert (await exchange.notice_at(sender, forged, "rejected")).error == "LT-SIGNER-NOT-ALLOWED"


async def test_another_id_with_the_same_number_is_accepted_with_a_warning(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    numbered = {"number": "12", "notation": "VPCP-TH"}
    first = exchange.letter(sender, [recipient], document=numbered)
    second = exchange.letter(sender, [recipient], document=numbered | {"number": " 12 "})
    await exchange.send(first, sender)
    await exchange.notice_at(sender, first, "accepted")
    await exchange.send(second, sender)
    item = await exchange.notice_at(sender, second, "accepted")
    assert [(w["error"], w["id"]) for w in item.warnings] == [("LT-DUP-NATURAL", first.manifest["id"])]


async def test_repetitions_inside_one_batch_have_one_effect_each(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letters = [exchange.letter(sender, [recipient]) for _ in range(5)]
    conflicting = _same_id(exchange, letters[0], sender)
    await exchange.stop_workers()
    for body in [letter.body for letter in letters for _ in range(4)] + [conflicting.body]:
        await exchange.submit(body, sender)
    await exchange.start_worker()
    for letter in letters:
        await exchange.notice_at(sender, letter, "accepted", count=4)
    assert (await exchange.notice_at(sender, conflicting, "quarantined")).error == "LT-DUP-CONFLICT"
    await exchange.stop_workers()
    assert await _effects(exchange) == (5, 5, 5)
    assert len((await exchange.all_at(recipient)).documents()) <= 5


async def test_two_workers_with_the_same_messages_twice_accept_each_once(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letters = [exchange.letter(sender, [recipient]) for _ in range(300)]
    await exchange.stop_workers()
    for _ in range(2):
        await asyncio.gather(*(exchange.send(letter, sender) for letter in letters))
    await exchange.start_worker()
    await exchange.start_worker()
    for letter in letters:
        await exchange.notice_at(sender, letter, "accepted", count=2)
    await exchange.stop_workers()
    assert await _effects(exchange) == (300, 300, 300)
    received = {one.document.id for one in (await exchange.all_at(recipient)).documents()}
    assert received == {letter.id for letter in letters}
    assert await exchange.value("SELECT count(*) FROM rejection") == 0
