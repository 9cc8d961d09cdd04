"""Parts that are not inline: verified and taken over before acceptance, and only by who may name them (contract §6)."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from schemas.content_layout import accepted_path, stored_path
from tests.kit.exchange import End, Exchange, Letter, part


def _store(x: Exchange, code: str, data: bytes, *, under: str | None = None) -> Path:
    """What an adapter does before it submits."""
    path = stored_path(x.settings.content_dir, code, under or hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _naming(x: Exchange, sender: End, to: End, data: bytes, *, by: End | None = None) -> Letter:
    manifest = x.manifest(sender, [to], parts={}) | {"parts": [part("lớn.pdf", data)]}
    body = x.body(manifest, by or sender)
    return Letter(manifest=manifest, body=body, digest=x.digest(body))


async def test_a_stored_part_is_taken_over_and_no_later_change_reaches_it(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    data = secrets.token_bytes(3_000_000)
    stored = _store(exchange, sender.code, data)
    letter = _naming(exchange, sender, recipient, data)
    await exchange.send(letter, sender)
    copy = await exchange.document_at(recipient, letter)
    assert copy.message.content == {}
    stored.write_bytes(b"changed afterwards")
    kept = accepted_path(exchange.settings.content_dir, hashlib.sha256(data).hexdigest())
    assert kept.read_bytes() == data
    assert await exchange.value("SELECT size FROM content WHERE place IS NOT NULL") == len(data)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


async def test_a_part_whose_bytes_are_others_is_refused(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    data = secrets.token_bytes(1000)
    _store(exchange, sender.code, data[::-1], under=hashlib.sha256(data).hexdigest())
    letter = _naming(exchange, sender, recipient, data)
    await exchange.send(letter, sender)
    item = await exchange.notice_at(sender, letter, "rejected")
    assert item.error == "LT-PART-DIGEST" and item.detail is not None and item.detail["field"] == "parts.0.sha256"
    assert not accepted_path(exchange.settings.content_dir, hashlib.sha256(data).hexdigest()).exists()


async def test_knowing_a_digest_gives_nobody_the_content(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    stranger = await exchange.add("G09")
    data = secrets.token_bytes(1000)
    _store(exchange, sender.code, data)
    first = _naming(exchange, sender, recipient, data)
    await exchange.send(first, sender)
    await exchange.notice_at(sender, first, "accepted")

    by_stranger = _naming(exchange, stranger, sender, data)
    await exchange.send(by_stranger, stranger)
    refused = await exchange.notice_at(stranger, by_stranger, "rejected")
    unknown = _naming(exchange, stranger, sender, secrets.token_bytes(1000))
    await exchange.send(unknown, stranger)
    missing = await exchange.notice_at(stranger, unknown, "rejected")
    assert refused.error == missing.error == "LT-PART-MISSING", "nobody learns what the exchange holds"
    assert refused.detail is not None and missing.detail is not None
    told = [{k: v for k, v in one.detail.items() if k != "found"} for one in (refused, missing) if one.detail]
    assert told[0] == told[1]

    forwarded = _naming(exchange, recipient, stranger, data)
    await exchange.send(forwarded, recipient)
    await exchange.document_at(stranger, forwarded)


async def test_a_hub_stores_parts_for_its_commune(exchange: Exchange) -> None:
    hub, recipient = await exchange.add("H53", "province"), await exchange.add("G01")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=hub)
    data = secrets.token_bytes(1000)
    _store(exchange, hub.code, data)
    letter = _naming(exchange, commune, recipient, data, by=hub)
    await exchange.send(letter, hub)
    await exchange.document_at(recipient, letter)


async def test_a_small_part_that_was_received_inline_can_be_forwarded_by_its_digest(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    data = b"%PDF-1.7 small"
    manifest = exchange.manifest(sender, [recipient], parts={"a.pdf": data})
    body = exchange.body(manifest, sender, content=[data])
    await exchange.send(Letter(manifest=manifest, body=body, digest=exchange.digest(body)), sender)
    third = await exchange.add("H54", "province")
    forwarded = _naming(exchange, recipient, third, data)
    await exchange.send(forwarded, recipient)
    await exchange.document_at(third, forwarded)
    kept = accepted_path(exchange.settings.content_dir, hashlib.sha256(data).hexdigest())
    assert kept.read_bytes() == data
