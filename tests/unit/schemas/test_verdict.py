"""Verdicts: three answers that are never mixed."""

from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from schemas.verdict import Answer, Finding, SignatureVerdict, trust_at

FROM = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MIDDLE = datetime(2025, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("signed_at", "now", "revoked_at", "code"),
    [
        (MIDDLE, MIDDLE, None, None),
        (FROM, FROM, None, None),
        (UNTIL, UNTIL, None, None),
        (FROM - SECOND, MIDDLE, None, "LT-SIGNER-EXPIRED"),
        (MIDDLE, FROM - SECOND, None, "LT-SIGNER-EXPIRED"),
        (UNTIL + SECOND, UNTIL + SECOND, None, "LT-SIGNER-EXPIRED"),
        (UNTIL, UNTIL + SECOND, None, "LT-SIGNER-EXPIRED"),
        (MIDDLE, MIDDLE, MIDDLE, "LT-SIGNER-REVOKED"),
        (MIDDLE, MIDDLE + 2 * SECOND, MIDDLE + SECOND, "LT-SIGNER-REVOKED"),
        (MIDDLE, MIDDLE, MIDDLE + SECOND, None),
        (MIDDLE, UNTIL + SECOND, MIDDLE, "LT-SIGNER-REVOKED"),
    ],
)
def test_a_certificate_must_be_good_when_signed_and_when_received(
    signed_at: datetime, now: datetime, revoked_at: datetime | None, code: str | None
) -> None:
    finding = trust_at(not_before=FROM, not_after=UNTIL, revoked_at=revoked_at, signed_at=signed_at, now=now)
    assert finding.code == code
    assert finding.answer is (Answer.good if code is None else Answer.bad)
    assert finding.why


def test_the_offset_of_a_time_makes_no_difference() -> None:
    local = MIDDLE.astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
    findings = [
        trust_at(not_before=FROM, not_after=UNTIL, revoked_at=local, signed_at=MIDDLE, now=moment)
        for moment in (local, MIDDLE)
    ]
    assert findings[0] == findings[1]


@pytest.mark.parametrize("answers", list(product(Answer, repeat=3)))
def test_a_verdict_is_good_only_if_all_three_answers_are(answers: tuple[Answer, Answer, Answer]) -> None:
    findings = [Finding(answer=answer, why="because") for answer in answers]
    verdict = SignatureVerdict(cryptography=findings[0], trust=findings[1], policy=findings[2])
    assert verdict.good == (set(answers) == {Answer.good})
    assert (verdict.first_fault() is None) == verdict.good


def test_the_first_fault_follows_the_order_of_acceptance() -> None:
    good = Finding.good("yes")
    enrolment = Finding.bad("LT-SIGNER-NOT-ALLOWED", "not for this agency")
    bytes_ = Finding.bad("LT-SIGNATURE", "the bytes do not verify")
    expired = Finding.bad("LT-SIGNER-EXPIRED", "expired")
    assert SignatureVerdict(cryptography=bytes_, trust=expired, policy=enrolment).first_fault() is enrolment
    assert SignatureVerdict(cryptography=bytes_, trust=expired, policy=good).first_fault() is bytes_
    assert SignatureVerdict(cryptography=good, trust=expired, policy=good).first_fault() is expired


def test_a_verdict_for_people_names_all_three() -> None:
    unknown = Finding.unknown("LT-SIGNER-UNKNOWN", "no such certificate")
    verdict = SignatureVerdict(cryptography=unknown, trust=unknown, policy=Finding.good("enrolled"))
    assert verdict.as_dict() == {
        "cryptography": {"answer": "unknown", "why": "no such certificate", "code": "LT-SIGNER-UNKNOWN"},
        "trust": {"answer": "unknown", "why": "no such certificate", "code": "LT-SIGNER-UNKNOWN"},
        "policy": {"answer": "good", "why": "enrolled"},
    }
