"""From a submitted document to a mailbox and an accepted notice, on real servers."""

from __future__ import annotations

import base64

from schemas.certificates import public_key_of, thumbprint
from schemas.jws import signature_holds
from tests.kit.exchange import Exchange


async def test_a_document_reaches_its_recipient_byte_for_byte_with_a_slip(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.send(letter, sender)

    delivered = await exchange.document_at(recipient, letter)
    assert delivered.message.signed.payload == exchange.payload(letter)
    assert signature_holds(delivered.message.signed, sender.key.public_key())
    assert set(delivered.message.content) == {part["sha256"] for part in letter.manifest["parts"]}
    assert delivered.raw.headers["lt-id"] == letter.manifest["id"]
    assert delivered.raw.headers["lt-digest"] == letter.digest

    slip, signed = delivered.slip, delivered.slip_signed
    assert slip is not None and signed is not None
    assert signature_holds(signed, public_key_of(exchange.identity.certificate))
    assert signed.thumbprint == exchange.identity.thumbprint
    assert slip.document.digest == letter.digest
    assert slip.recipients is None
    assert base64.b64decode(slip.certificate) != b"" and thumbprint(sender.certificate) == sender.thumbprint


async def test_the_sender_is_told_who_gets_the_document_and_what_the_log_promises(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.send(letter, sender)

    item = await exchange.notice_at(sender, letter, "accepted")
    assert item.recipients is not None
    assert item.recipients.count == 1
    assert [(r.code, r.addressed_as, r.owner) for r in item.recipients.list] == [(recipient.code,) * 3]
    assert item.first_accepted_at == item.at
    assert item.leaf is not None and item.log_by is not None
    leaf = await exchange.value(
        "SELECT leaf FROM event WHERE kind = 'accepted' AND leaf = $1", bytes.fromhex(item.leaf)
    )
    assert leaf is not None
    await exchange.all_published()
    assert await exchange.value("SELECT (processing, sends)::text FROM delivery") == "(dispatched,1)"
