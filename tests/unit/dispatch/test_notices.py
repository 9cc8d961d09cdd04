"""Notices are what their schema says, in as few messages as hold them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from broker.dispatch.notices import ITEMS_PER_NOTICE, NoticeBuilder, accepted_item, reference, refusal_item
from broker.identity import BrokerIdentity
from schemas.certificates import new_private_key
from schemas.errors import Refusal
from schemas.jws import MAX_MESSAGE, encode_message, signature_holds
from schemas.manifest import NoticeManifest, parse_manifest

NOW = datetime(2026, 3, 12, 1, 2, 3, 456, tzinfo=UTC)
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture(scope="module")
def identity() -> BrokerIdentity:
    key = new_private_key("P-256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "LT.EXCHANGE")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return BrokerIdentity.of(code="LT.EXCHANGE", key=key, certificate=certificate)


def _accepted(recipients: int) -> bytes:
    return accepted_item(
        concerns=reference("G01", ID, "0" * 64),
        at=NOW,
        first_accepted_at=NOW,
        count=recipients,
        recipients=[{"code": f"H{n}", "addressed_as": "group:communes", "owner": "H53"} for n in range(recipients)],
        unresolved=["X1"],
        warnings=[{"error": "LT-DUP-NATURAL", "id": ID}],
        leaf=bytes(32),
        log_by=NOW,
    )


def test_every_kind_of_item_reads_back_through_the_schema(identity: BrokerIdentity) -> None:
    refusal = Refusal(code="LT-RECIPIENT-UNKNOWN", field="to.0", found="X", expected="Y", candidates=("H53",))
    builder = NoticeBuilder(identity)
    builder.add(1, "G01", _accepted(3))
    builder.add(1, "G01", refusal_item("rejected", concerns={"message_id": "m"}, at=NOW, refusal=refusal))
    builder.add(1, "G01", refusal_item("quarantined", concerns=None, at=NOW, refusal=refusal))
    (notice,) = builder.build(NOW)
    manifest = parse_manifest(notice.signed.payload)
    assert isinstance(manifest, NoticeManifest)
    assert manifest.from_ == "LT.EXCHANGE" and manifest.id == notice.id
    assert [item.event for item in manifest.items] == ["accepted", "rejected", "quarantined"]
    assert manifest.items[0].recipients is not None and manifest.items[0].recipients.count == 3
    assert manifest.items[0].first_accepted_at == NOW
    assert manifest.items[1].detail == refusal.detail()
    assert signature_holds(notice.signed, identity.key.public_key())
    assert builder.build(NOW) == []


def test_mailboxes_are_kept_apart_and_500_items_fill_a_notice(identity: BrokerIdentity) -> None:
    builder = NoticeBuilder(identity)
    for n in range(ITEMS_PER_NOTICE + 1):
        builder.add(2, "G02", _accepted(1))
        if n == 0:
            builder.add(1, "G01", _accepted(1))
    sizes = [(n.owner_code, len(parse_manifest(n.signed.payload).items)) for n in builder.build(NOW)]  # type: ignore[union-attr]
    assert sizes == [("G01", 1), ("G02", 500), ("G02", 1)]


def test_notices_about_telegrams_stay_within_the_size_of_a_message(identity: BrokerIdentity) -> None:
    builder = NoticeBuilder(identity)
    for _ in range(30):
        builder.add(1, "G01", _accepted(500))
    built = builder.build(NOW)
    assert len(built) > 1
    assert all(len(encode_message(notice.signed)) <= MAX_MESSAGE for notice in built)
