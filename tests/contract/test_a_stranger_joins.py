"""A program that has only the wire contract, another AMQP library and another JOSE library takes part in everything."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jwcrypto import jwk

from tests.contract.conftest import Exchange, make_certificate
from tests.contract.stranger import Received, Stranger, b64url, now, unb64url
from tests.kit.installation import wait_until

PDF = b"%PDF-1.4 a small paper with Vietnamese: \xc4\x91\xc3\xa3 k\xc3\xbd"


def next_of(stranger: Stranger, kind: str) -> Received:
    """The next message of this kind in the mailbox; others are put aside for later."""
    kept: list[Received] = stranger.__dict__.setdefault("kept", [])

    def find() -> Received | None:
        while (message := stranger.take()) is not None:
            kept.append(message)
        return next((m for m in kept if m.manifest["kind"] == kind), None)

    found: Received = wait_until(find, what=f"a {kind} for {stranger.code}")
    kept.remove(found)
    return found


def next_notice(stranger: Stranger) -> dict[str, Any]:
    """The next notice, which must be the broker's own; it must have exactly one item here."""
    notice = next_of(stranger, "notice")
    assert notice.manifest["from"] == stranger.broker_code
    (item,) = notice.manifest["items"]
    return dict(item)


def test_a_stranger_sends_and_receives_answers_and_verifies_slips(exchange: Exchange) -> None:
    ministry, commune = exchange.join("AG1"), exchange.join("AX1", level="commune", key="ed25519")
    manifest, content = ministry.document([commune.code], [("công văn.pdf", PDF)])
    digest = ministry.submit(manifest, content)

    accepted = next_notice(ministry)
    assert accepted["event"] == "accepted"
    assert accepted["concerns"] == {"from": ministry.code, "id": manifest["id"], "digest": digest}
    assert accepted["recipients"]["count"] == 1
    assert len(accepted["leaf"]) == 64 and datetime.fromisoformat(accepted["log_by"]) > datetime.now(UTC)

    delivered = next_of(commune, "document")
    assert delivered.manifest == manifest, "the bytes that were signed are the bytes that travel"
    assert delivered.digest == digest
    assert list(delivered.content.values()) == [PDF]
    assert delivered.slip is not None
    assert delivered.slip["kind"] == "slip"
    assert delivered.slip["document"] == {"from": ministry.code, "id": manifest["id"], "digest": digest}
    assert delivered.slip["leaf"] == accepted["leaf"]
    assert delivered.headers["lt-id"] == manifest["id"]
    assert delivered.headers["lt-digest"] == digest

    reference = {"from": ministry.code, "id": manifest["id"], "digest": digest}
    commune.submit(
        commune.status(
            [
                {"concerns": reference, "code": "01", "at": now()},
                {"concerns": reference, "code": "03", "at": now(), "staff": {"name": "Trần Thị B"}},
            ]
        )
    )
    status = next_of(ministry, "status")
    assert status.manifest["from"] == commune.code, "forwarded as signed by who said it"
    assert [item["code"] for item in status.manifest["items"]] == ["01", "03"]

    explained = exchange.installation.json("document", "explain", manifest["id"])
    assert f"Received and registered at {commune.code}" in explained["en"]


def test_every_kind_of_key_may_sign(exchange: Exchange) -> None:
    reader = exchange.join("BR1")
    for key in ("ec", "rsa", "ed25519"):
        sender = exchange.join(f"BK{key.upper()}", key=key)
        manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
        sender.submit(manifest, content)
        assert next_notice(sender)["event"] == "accepted"
        assert next_of(reader, "document").manifest["id"] == manifest["id"]


def test_the_same_bytes_twice_have_one_effect_and_two_answers(exchange: Exchange) -> None:
    sender, reader = exchange.join("CG1"), exchange.join("CG2")
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    signed = sender.sign(manifest)
    sender.send_signed(signed, manifest, content)
    first = next_notice(sender)
    sender.send_signed(signed, manifest, content)
    second = next_notice(sender)
    assert (first["event"], second["event"]) == ("accepted", "accepted")
    assert second["first_accepted_at"] is not None
    assert next_of(reader, "document").manifest["id"] == manifest["id"]
    other, other_content = sender.document([reader.code], [("b.pdf", PDF + b"!")])
    sender.submit(other, other_content)
    assert next_of(reader, "document").manifest["id"] == other["id"], "no double lay between the two"


def test_a_document_that_comes_to_its_hub_names_the_recipient_in_the_slip(exchange: Exchange) -> None:
    ministry, hub = exchange.join("DG1"), exchange.join("DH1", level="province")
    commune = exchange.code("DH1.2")
    exchange.installation.command(
        *("agency", "add", commune, "--name", "Xã Hai", "--level", "commune", "--no-mailbox", "--hub", hub.code)
    )
    manifest, content = ministry.document([commune], [("a.pdf", PDF)])
    digest = ministry.submit(manifest, content)
    delivered = next_of(hub, "document")
    assert delivered.slip is not None
    assert delivered.slip["recipients"] == [{"code": commune, "addressed_as": commune}]
    reference = {"from": ministry.code, "id": manifest["id"], "digest": digest}
    hub.submit(hub.status([{"concerns": reference, "for": commune, "code": "01", "at": now()}]))
    assert next_of(ministry, "status").manifest["items"][0]["for"] == commune


Bend = Callable[[Exchange, Stranger, Stranger], tuple[str, str]]


def _altered(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    signed = sender.sign(manifest)
    changed = manifest | {"id": str(uuid.uuid4())}
    sender.send_signed(signed | {"payload": b64url(json.dumps(changed).encode())}, changed, content)
    return "LT-SIGNATURE", "signature"


def _manifest(**fields: Any) -> Bend:
    """A manifest with some fields changed; `code` is what it must be refused with, `None` removes a field."""
    code = fields.pop("code")

    def bend(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
        manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
        for name, value in fields.items():
            manifest[name] = value(exchange, manifest) if callable(value) else value
        manifest = {name: value for name, value in manifest.items() if value is not None}
        sender.submit(manifest, content)
        return code, ""

    return bend


def _not_json(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    sender.publish(b"\x00\xff not JSON", f"document.normal.{sender.code}", "document")
    return "LT-SHAPE", ""


def _too_large(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    sender.publish(b"{" + b" " * (512 * 1024) + b"}", f"document.normal.{sender.code}", "document")
    return "LT-SIZE", ""


def _duplicate_member(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    signed = sender.sign(sender.document([reader.code], [("a.pdf", PDF)])[0])
    body = json.dumps(signed)[:-1] + ', "payload": "e30"}'
    sender.publish(body.encode(), f"document.normal.{sender.code}", "document")
    return "LT-SHAPE", ""


def _alg_none(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    signed = sender.sign(manifest)
    header = json.loads(unb64url(signed["protected"])) | {"alg": "none"}
    sender.send_signed(signed | {"protected": b64url(json.dumps(header).encode())}, manifest, content)
    return "LT-ALGORITHM", "alg"


def _unknown_recipient(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([exchange.code("NOBODY")], [("a.pdf", PDF)])
    sender.submit(manifest, content)
    return "LT-RECIPIENT-UNKNOWN", "to"


def _wrong_lane(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    body = json.dumps(sender.sign(manifest) | {"content": content}).encode()
    sender.publish(body, f"document.urgent.{sender.code}", "document")
    return "LT-ROUTING-KEY", ""


def _another_agency(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([sender.code], [("a.pdf", PDF)])
    manifest["from"] = reader.code
    sender.submit(manifest, content)
    return "LT-USER", "from"


def _stolen_key(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    """Signed with the other agency's enrolled key."""
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    signed = reader.sign(manifest)
    sender.send_signed(signed, manifest, content)
    return "LT-SIGNER-NOT-ALLOWED", ""


def _unknown_certificate(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    folder = exchange.installation.folder
    key, certificate = make_certificate(folder, exchange.root_key, exchange.root, sender.code)
    other = Stranger.__new__(Stranger)
    other.__dict__ |= sender.__dict__ | {"certificate_pem": certificate.read_text()}
    other.key = jwk.JWK.from_pem(key.read_bytes())
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    sender.send_signed(other.sign(manifest), manifest, content)
    return "LT-SIGNER-UNKNOWN", ""


def _part_missing(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, _ = sender.document([reader.code], [("a.pdf", PDF + uuid.uuid4().bytes)])
    sender.submit(manifest)
    return "LT-PART-MISSING", "parts"


def _part_digest(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    (name,) = content
    sender.submit(manifest, {name: base64.b64encode(PDF + b"altered").decode()})
    return "LT-PART-DIGEST", "parts"


def _with_slip(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    sender.submit(manifest, content, slip="a.b.c")
    return "LT-SHAPE", "slip"


def _conflict(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    sender.submit(manifest, content)
    assert next_notice(sender)["event"] == "accepted"
    manifest["document"]["subject"] = "Một nội dung khác với cùng mã"
    sender.submit(manifest, content)
    return "LT-DUP-CONFLICT", "id"


def _recall_without_reason(exchange: Exchange, sender: Stranger, reader: Stranger) -> tuple[str, str]:
    manifest, _ = sender.document([reader.code], [])
    manifest |= {
        "action": "recall",
        "concerns": [{"from": sender.code, "id": str(uuid.uuid4()), "digest": hashlib.sha256(b"?").hexdigest()}],
    }
    sender.submit(manifest)
    return "LT-REASON-MISSING", "reason"


def _ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()


BAD: dict[str, Bend] = {
    "not JSON": _not_json,
    "too large": _too_large,
    "a member twice": _duplicate_member,
    "a slip on what is submitted": _with_slip,
    "alg none": _alg_none,
    "altered after signing": _altered,
    "another version": _manifest(spec="lienthong/2", code="LT-VERSION"),
    "no parts": _manifest(parts=[], code="LT-SCHEMA"),
    "a naive time": _manifest(sent_at="2026-03-12T08:00:00", code="LT-SCHEMA"),
    "no recipients": _manifest(to=[], code="LT-SCHEMA"),
    "a field that must be understood": _manifest(must_understand=["sealed"], sealed=True, code="LT-MUST-UNDERSTAND"),
    "signed before its certificate was valid": _manifest(sent_at=lambda *_: _ago(days=31), code="LT-SIGNER-EXPIRED"),
    "sent in the future": _manifest(sent_at=lambda *_: _ago(minutes=-30), code="LT-TIME"),
    "the wrong lane": _wrong_lane,
    "another agency's name": _another_agency,
    "another agency's key": _stolen_key,
    "a certificate that is not enrolled": _unknown_certificate,
    "a part that is not there": _part_missing,
    "a part with other bytes": _part_digest,
    "a recipient that does not exist": _unknown_recipient,
    "the same id for other bytes": _conflict,
    "a recall without a reason": _recall_without_reason,
}


@pytest.fixture
def pair(exchange: Exchange) -> tuple[Stranger, Stranger]:
    return exchange.join("EG1"), exchange.join("EG2")


def test_every_kind_of_bad_message_gets_its_own_code_and_a_notice_and_blocks_nobody(
    exchange: Exchange, pair: tuple[Stranger, Stranger]
) -> None:
    sender, reader = pair
    for what, bend in BAD.items():
        code, field = bend(exchange, sender, reader)
        item = next_notice(sender)
        assert item["error"] == code, f"{what}: {item}"
        assert item["event"] in ("rejected", "quarantined"), what
        detail = item["detail"]
        assert field in str(detail.get("field") or ""), f"{what}: {detail}"
        assert detail["en"] and detail["vi"], what
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])
    sender.submit(manifest, content)
    assert next_notice(sender)["event"] == "accepted"
    seen = [next_of(reader, "document").manifest["id"]]
    while seen[-1] != manifest["id"]:
        seen.append(next_of(reader, "document").manifest["id"])
    assert len(seen) == 2, "only the good document and the one whose id was used again came through"
    refused = exchange.installation.json("audit", "search", "--refused", "--limit", "1000")
    assert sum(1 for row in refused["rejections"] if row["amqp_user"] == sender.code) == len(BAD), (
        "every refusal is recorded with its reason"
    )


def test_a_revoked_and_an_expired_certificate_have_their_own_codes(exchange: Exchange) -> None:
    sender, reader = exchange.join("GG1"), exchange.join("GG2")
    listed = exchange.installation.json("cert", "list", sender.code)
    exchange.installation.command("cert", "revoke", listed[0]["thumbprint"], "--reason", "Key lost")
    manifest, content = sender.document([reader.code], [("a.pdf", PDF)])

    def refused() -> bool:
        manifest["id"] = str(uuid.uuid4())
        sender.submit(manifest, content)
        return next_notice(sender).get("error") == "LT-SIGNER-REVOKED"

    wait_until(refused, what="the revocation to reach the worker")


def test_statuses_of_strangers_are_refused_item_by_item(exchange: Exchange) -> None:
    ministry, reader, outsider = exchange.join("HG1"), exchange.join("HG2"), exchange.join("HG3")
    manifest, content = ministry.document([reader.code], [("a.pdf", PDF)])
    digest = ministry.submit(manifest, content)
    next_notice(ministry)
    reference = {"from": ministry.code, "id": manifest["id"], "digest": digest}
    outsider.submit(outsider.status([{"concerns": reference, "code": "01", "at": now()}]))
    assert next_notice(outsider)["error"] == "LT-STATUS-NOT-ALLOWED"
    wrong_digest = reference | {"digest": hashlib.sha256(b"other").hexdigest()}
    reader.submit(
        reader.status(
            [
                {"concerns": wrong_digest, "code": "01", "at": now()},
                {"concerns": reference, "code": "01", "at": now()},
                {"concerns": reference | {"id": str(uuid.uuid4())}, "code": "01", "at": now()},
            ]
        )
    )
    notice = next_of(reader, "notice")
    assert [i["error"] for i in notice.manifest["items"]] == ["LT-CONCERNS-DIGEST", "LT-CONCERNS-UNKNOWN"]
    assert all(i["event"] == "status-refused" for i in notice.manifest["items"])
    assert next_of(ministry, "status").manifest["from"] == reader.code
    trace = exchange.installation.json("document", "trace", manifest["id"])
    assert [d["processing"] for d in trace["deliveries"]] == ["arrived"], "the good item took effect"
