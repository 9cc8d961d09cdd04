"""Who might sign for whom at a time: nobody is blamed for what happened later, or for what an import left untold."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from broker.evidence.signers import MandateRow, Signers
from schemas.exchange_events import directory_changed

NOON = datetime(2026, 5, 5, 5, tzinfo=UTC)
HUB, OFFICE, THUMB = "H53", "H53.1", "ab" * 32


def told(change: str, hours: int, codes: list[str] | None = None, **facts: Any) -> bytes:
    """An event of the directory, hours from noon."""
    events = directory_changed(
        at=NOON + timedelta(hours=hours), revision=1, change=change, codes=codes or [OFFICE, HUB], facts=facts
    )
    return events[0].body


def row(*, may_sign: bool = True, since: date = date(2019, 3, 12), until: date | None = None) -> MandateRow:
    return MandateRow(hub=HUB, agency=OFFICE, may_sign=may_sign, since=since, until=until)


GIVEN: dict[str, Any] = {"hub": HUB, "sign": True, "receive": True}
IMPORTED = told("agencies.imported", -100, ["H53.2"])
TOLD_IMPORT = told("agencies.imported", -99, [OFFICE, HUB], mandates=1)
TOLD_MANDATES = told("mandates.imported", -99, [HUB, "H53.2", OFFICE], sign=True, receive=True)
ENDED_TODAY = row(until=date(2026, 5, 5))

ALLOWED = {
    "a mandate given before": ([told("mandate.given", -1, **GIVEN)], [row()]),
    "a mandate that came with the agency": ([told("agency.added", -1, [OFFICE], hub=HUB)], [row()]),
    "a mandate ended later": ([told("mandate.given", -1, **GIVEN), told("mandate.ended", 1, hub=HUB)], [ENDED_TODAY]),
    "an import's mandate": ([IMPORTED], [row()]),
    "an import's mandate ended later the same day": ([IMPORTED, told("mandate.ended", 1, hub=HUB)], [ENDED_TODAY]),
    "an import's mandate without signing later": (
        [IMPORTED, told("mandate.given", 1, hub=HUB, sign=False, receive=True)],
        [row(may_sign=False)],
    ),
    "a mandate ended and imported again": (
        [told("mandate.ended", -3, hub=HUB), told("agencies.imported", -2, ["H53.2"])],
        [row()],
    ),
    "a mandate that an import told": ([TOLD_IMPORT, TOLD_MANDATES], []),
    "a mandate that an import told, ended later the same day": (
        [TOLD_IMPORT, TOLD_MANDATES, told("mandate.ended", 1, hub=HUB)],
        [ENDED_TODAY],
    ),
    "an import's mandate, handed over from a day to come": (
        [IMPORTED, told("mandate.given", -1, **GIVEN, **{"from": "2026-05-06"})],
        [row()],
    ),
    "a hub or an office that closed later": (
        [told("mandate.given", -1, **GIVEN), told("agency.closed", 1, [HUB]), told("agency.closed", 1, [OFFICE])],
        [row()],
    ),
}

FORBIDDEN = {
    "nothing told and no row": ([], []),
    "a mandate given later": ([told("mandate.given", 1, **GIVEN)], []),
    "a mandate ended before": ([told("mandate.given", -2, **GIVEN), told("mandate.ended", -1, hub=HUB)], [row()]),
    "a mandate to receive alone": ([told("mandate.given", -2, hub=HUB, sign=False, receive=True)], [row()]),
    "a row that no event tells": ([], [row()]),
    "a row that an import did not tell that told its mandates": ([TOLD_IMPORT], [row()]),
    "a mandate that an import told, ended before": (
        [TOLD_IMPORT, TOLD_MANDATES, told("mandate.ended", -1, hub=HUB)],
        [row()],
    ),
    "a mandate from a day to come": ([told("mandate.given", -1, **GIVEN, **{"from": "2026-05-06"})], [row()]),
    "an import's mandate that ended on a day before": ([IMPORTED], [row(until=date(2026, 5, 4))]),
    "an import's mandate to receive alone": ([IMPORTED], [row(may_sign=False)]),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_a_hub_that_might_sign_then_is_not_blamed(case: str) -> None:
    assert Signers(*ALLOWED[case]).may_sign(HUB, OFFICE, NOON)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_hub_that_might_not_sign_then_is_found(case: str) -> None:
    assert not Signers(*FORBIDDEN[case]).may_sign(HUB, OFFICE, NOON)


def test_a_certificate_speaks_for_whom_it_was_enrolled_whatever_came_later() -> None:
    signers = Signers(
        [
            told("certificate.enrolled", -1, [OFFICE], thumbprint=THUMB, custody="broker"),
            told("certificate.revoked", 1, [OFFICE], thumbprint=THUMB),
            b"\xff",
            b'{"event":"directory_changed"}',
        ],
        [],
    )
    enrolment = signers.enrolment(bytes.fromhex(THUMB))
    assert enrolment is not None
    assert enrolment.code == OFFICE
    assert signers.may_sign(enrolment.code, OFFICE, NOON)
    assert signers.enrolment(bytes(32)) is None
