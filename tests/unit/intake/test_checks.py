"""The order of contract §4: of several faults the first step's decides; and the three answers about a signature."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from broker.directory.records import Agency, AgencyId, Enrolled, Mandate
from broker.directory.snapshot import Directory
from broker.intake.checks import TimeLimits, open_submission
from broker.intake.submission import Authentic, Opened, Refused, Submission
from broker.intake.verifying import verify
from schemas.certificates import new_private_key, thumbprint
from schemas.errors import Refusal
from schemas.jws import PrivateKey, encode_message, sign
from schemas.times import rfc3339
from schemas.verdict import Answer

NOW = datetime(2026, 3, 12, 8, tzinfo=UTC)
LIMITS = TimeLimits(past=timedelta(days=30), ahead=timedelta(minutes=5))
MINISTRY = Agency(id=AgencyId(1), code="G01", name="x", level="ministry", has_mailbox=True)
HUB = Agency(id=AgencyId(2), code="H53", name="x", level="province", has_mailbox=True)
COMMUNE = Agency(id=AgencyId(3), code="H53.1", name="x", level="commune")


def _enrolled(agency: Agency, key: PrivateKey, **more: Any) -> Enrolled:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "anything")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=100))
        .not_valid_after(NOW + timedelta(days=100))
        .sign(key, hashes.SHA256())
    )
    times = {"not_before": certificate.not_valid_before_utc, "not_after": certificate.not_valid_after_utc}
    der = certificate.public_bytes(Encoding.DER)
    return Enrolled(thumbprint=thumbprint(certificate), agency_id=agency.id, der=der, **(times | more))


KEYS = {agency.code: new_private_key("P-256") for agency in (MINISTRY, HUB, COMMUNE)}
REVOKED_KEY, EXPIRED_KEY = new_private_key("P-256"), new_private_key("P-256")
ENROLLED = {agency.code: _enrolled(agency, KEYS[agency.code]) for agency in (MINISTRY, HUB, COMMUNE)}
REVOKED = _enrolled(MINISTRY, REVOKED_KEY, revoked_at=NOW - timedelta(hours=1), revoked_why="lost")
EXPIRED = _enrolled(MINISTRY, EXPIRED_KEY, not_after=NOW - timedelta(minutes=1))
DIRECTORY = Directory.build(
    agencies=[MINISTRY, HUB, COMMUNE],
    mandates=[Mandate(hub_id=HUB.id, agency_id=COMMUNE.id, may_receive=True, may_sign=True)],
    certificates=[*ENROLLED.values(), REVOKED, EXPIRED],
)


def _submission(
    by: str = "G01",
    *,
    from_: str = "G01",
    key: PrivateKey | None = None,
    signer: Enrolled | None = None,
    spoil: bool = False,
    routing_key: str | None = None,
    sent_at: datetime = NOW,
    **fields: Any,
) -> Submission:
    manifest = {
        "spec": "lienthong/1",
        "kind": "document",
        "id": "01890a5d-ac96-774b-bcce-b302099a8057",
        "from": from_,
        "sent_at": rfc3339(sent_at),
        "action": "new",
        "to": ["H53"],
        "document": {"subject": "x"},
        "parts": [
            {"name": "a", "media_type": "a/b", "size": 0, "sha256": "0" * 64, "role": "document"},
        ],
    } | fields
    owner = signer or ENROLLED[from_]
    signed = sign(json.dumps(manifest).encode(), key=key or KEYS[from_], thumbprint=owner.thumbprint)
    body = encode_message(signed)
    if spoil:
        other = encode_message(sign(b"{}", key=KEYS["G01"], thumbprint=owner.thumbprint))
        body = json.dumps(json.loads(body) | {"signature": json.loads(other)["signature"]}).encode()
    return Submission(
        body=body,
        routing_key=routing_key or f"document.normal.{by}",
        submitter=by or None,
        message_id="m",
        kind="document",
    )


def _outcome(submission: Submission) -> Authentic[Any] | Refused | Refusal:
    try:
        opened: Opened[Any] = open_submission(submission, DIRECTORY)
    except Refusal as refusal:
        return refusal
    return verify(opened, directory=DIRECTORY, now=NOW, limits=LIMITS)


def _code(submission: Submission) -> str | None:
    outcome = _outcome(submission)
    if isinstance(outcome, Refused):
        return outcome.refusal.code
    return outcome.code if isinstance(outcome, Refusal) else None


def test_an_agency_speaks_for_itself_and_a_hub_for_whom_it_may_sign() -> None:
    assert _code(_submission()) is None
    assert _code(_submission("H53", from_="H53.1")) is None
    assert _code(_submission("H53", from_="H53.1", key=KEYS["H53"], signer=ENROLLED["H53"])) is None


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("LT-ROUTING-KEY", {"routing_key": "document.normal.H53"}),
    ("LT-SCHEMA", {"to": []}),
    ("LT-USER", {"from_": "H53"}),
    ("LT-SIGNER-NOT-ALLOWED", {"signer": ENROLLED["H53.1"], "key": KEYS["H53.1"]}),
    ("LT-SIGNATURE", {"spoil": True}),
    ("LT-SIGNER-REVOKED", {"signer": REVOKED, "key": REVOKED_KEY}),
    ("LT-TIME", {"sent_at": NOW + timedelta(hours=1)}),
]
"""One fault for each step, in the order of the steps."""


@pytest.mark.parametrize(("earlier", "later"), [(a, b) for a in range(len(FAULTS)) for b in range(a + 1, len(FAULTS))])
def test_of_two_faults_the_earlier_step_decides(earlier: int, later: int) -> None:
    code, faults = FAULTS[earlier]
    both = FAULTS[later][1] | faults
    if "signer" in FAULTS[later][1] and "signer" in faults:
        return  # one message has one signer
    assert _code(_submission(**both)) == code


@pytest.mark.parametrize(("code", "faults"), FAULTS)
def test_each_fault_alone_has_its_code(code: str, faults: dict[str, Any]) -> None:
    assert _code(_submission(**faults)) == code


def test_the_three_answers_are_given_apart() -> None:
    """A revoked certificate whose bytes verify: cryptography and policy stay good, trust is bad."""
    outcome = _outcome(_submission(signer=REVOKED, key=REVOKED_KEY))
    assert isinstance(outcome, Refused) and outcome.verdict is not None
    verdict = outcome.verdict
    assert (verdict.cryptography.answer, verdict.trust.answer, verdict.policy.answer) == (
        Answer.good,
        Answer.bad,
        Answer.good,
    )


def test_a_certificate_must_be_valid_when_signed_and_now() -> None:
    assert _code(_submission(signer=EXPIRED, key=EXPIRED_KEY)) == "LT-SIGNER-EXPIRED"
    early = NOW - timedelta(days=101)
    assert _code(_submission(sent_at=early)) == "LT-SIGNER-EXPIRED"


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (timedelta(days=-30), None),
        (timedelta(days=-30, seconds=-1), "LT-TIME"),
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, seconds=1), "LT-TIME"),
    ],
)
def test_sent_at_lies_within_thirty_days_past_and_five_minutes_ahead(offset: timedelta, code: str | None) -> None:
    assert _code(_submission(sent_at=NOW + offset)) == code
