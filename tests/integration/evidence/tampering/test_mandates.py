"""What hubs may do for agencies, by an operator's word or by an import."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named


def served(commune: str) -> str:
    """The mandate for one of the province's communes."""
    return f"agency_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53.{commune}')"


TAMPERINGS = [
    Tampering(
        name="a mandate made up",
        sql="INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) SELECT h.agency_id, a.agency_id, true, true"
        " FROM agency h, agency a WHERE h.code LIKE '%.G01' AND a.code LIKE '%.G02'",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="a mandate that came with the agency",
        sql="UPDATE mandate SET may_sign = false, valid_until = '2099-01-01'",
        where="mandate",
        what=("may_sign", "valid_until"),
        key=".H53.1",
    ),
    Tampering(
        name="a mandate made up after an import",
        sql="INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) SELECT h.agency_id, a.agency_id, true, true"
        " FROM agency h, agency a WHERE h.code LIKE '%.G01' AND a.code LIKE '%.H53.2'",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="a mandate of an import removed",
        sql=f"DELETE FROM mandate WHERE {served('2')}",
        where="mandate",
        what="row",
        key=".H53.2",
    ),
    columns(
        "mandate",
        served("2"),
        {"may_receive": "false", "may_sign": "false", "valid_from": "'2020-01-01'", "valid_until": "'2026-01-01'"},
    ),
    Tampering(
        name="a mandate of an import with another hub",
        sql=f"UPDATE mandate SET hub_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G01') WHERE {served('2')}",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="the end of an import's mandate undone",
        sql=f"UPDATE mandate SET valid_until = NULL WHERE {served('3')}",
        where="mandate",
        what="valid_until",
        key=".H53.3",
    ),
    Tampering(
        name="the end of an import's mandate put off",
        sql=f"UPDATE mandate SET valid_until = valid_until + 7 WHERE {served('3')}",
        where="mandate",
        what="valid_until",
        key=".H53.3",
    ),
    Tampering(
        name="a mandate that was imported again ended",
        sql=f"UPDATE mandate SET valid_until = current_date WHERE {served('4')}",
        where="mandate",
        what="valid_until",
        key=".H53.4",
    ),
    Tampering(
        name="a mandate to receive made one to sign",
        sql=f"UPDATE mandate SET may_sign = true WHERE {served('5')}",
        where="mandate",
        what="may_sign",
        key=".H53.5",
    ),
    Tampering(
        name="an event that told an import's mandates removed",
        sql="DELETE FROM event WHERE convert_from(body, 'UTF8') LIKE '%\"mandates.imported\"%'",
        where="event",
        what="mandates",
        key="the import of revision",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
