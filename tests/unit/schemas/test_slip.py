"""The slip: what the broker signs can be read back, and says what the published schema says."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from schemas.errors import Refusal
from schemas.manifest import Reference
from schemas.publish import REPOSITORY
from schemas.slip import Slip, SlipRecipient, encode_slip, parse_slip

NOW = datetime(2026, 3, 12, 1, 30, tzinfo=UTC)
FIELDS: dict[str, Any] = {
    "from_": "G22",
    "id": UUID("0198f2a4-7c11-7d2e-9b1a-3f5e8c7d6a21"),
    "digest": "0f" * 32,
    "accepted_at": NOW,
    "attempt": 1,
    "certificate": base64.b64encode(b"DER").decode(),
    "leaf": "ab" * 32,
    "log_by": NOW,
}
RECIPIENTS = (SlipRecipient(code="H53.31", addressed_as="000.00.31.H53"), SlipRecipient(code="H17", addressed_as="H17"))


def published() -> Draft202012Validator:
    path = REPOSITORY / "schemas" / "json" / "slip.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("recipients", [None, (), RECIPIENTS])
def test_a_slip_that_was_written_is_read_as_what_it_was(recipients: tuple[SlipRecipient, ...] | None) -> None:
    written = encode_slip(**FIELDS, recipients=recipients)
    slip = parse_slip(written)
    assert slip == Slip(
        document=Reference(from_="G22", id=FIELDS["id"], digest=FIELDS["digest"]),
        accepted_at=NOW,
        attempt=1,
        recipients=recipients,
        certificate=FIELDS["certificate"],
        leaf=FIELDS["leaf"],
        log_by=NOW,
    )
    assert slip.certificate_der() == b"DER"
    assert published().is_valid(json.loads(written))


def test_a_slip_for_the_mailboxs_owner_names_no_recipients() -> None:
    assert "recipients" not in json.loads(encode_slip(**FIELDS))


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"kind": "document"}, "LT-SCHEMA", "slip.kind"),
        ({"spec": "lienthong/2"}, "LT-VERSION", "slip.spec"),
        ({"attempt": 0}, "LT-SCHEMA", "attempt"),
        ({"certificate": "—"}, "LT-SCHEMA", "certificate"),
        ({"certificate": "QUJ"}, "LT-SCHEMA", "certificate"),
        ({"leaf": "AB" * 32}, "LT-SCHEMA", "leaf"),
        ({"log_by": "2026-03-12T01:30:00"}, "LT-SCHEMA", "log_by"),
        ({"document": {"from": "G22"}}, "LT-SCHEMA", "document.id"),
        ({"recipients": [{"code": "H53"}]}, "LT-SCHEMA", "recipients.0.addressed_as"),
    ],
)
def test_what_is_no_slip_is_refused_with_its_field(change: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_slip(json.dumps(json.loads(encode_slip(**FIELDS)) | change).encode())
    assert (refused.value.code, refused.value.field) == (code, field)


@pytest.mark.parametrize("data", [b"[]", b"null", b"3"])
def test_what_is_no_object_is_no_slip(data: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse_slip(data)
    assert refused.value.code == "LT-SCHEMA"


def test_a_slip_is_read_as_strictly_as_everything_else() -> None:
    with pytest.raises(Refusal) as refused:
        parse_slip(b'{"kind":"slip","kind":"slip"}')
    assert refused.value.code == "LT-SHAPE"
