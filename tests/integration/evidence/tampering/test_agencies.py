"""Agencies: rows, tiers and superiors, when they close and who follows, mailboxes."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    Tampering(
        name="an agency's code",
        sql="UPDATE agency SET code = 'X' || agency_id WHERE code LIKE '%.G01'",
        where="agency",
        what="code",
    ),
    Tampering(
        name="an agency's level",
        sql="UPDATE agency SET level = 'district' WHERE code LIKE '%.G01'",
        where="agency",
        what="level",
    ),
    columns(
        "agency",
        "code LIKE '%.G01'",
        {
            "name": "'Bộ khác'",
            "nso_code": "'99'",
            "valid_from": "valid_from - 1",
            "derived": "true",
            "revision": "revision - 1",
        },
    ),
    columns(
        "agency",
        "code LIKE '%.H53.2'",
        {
            "name": "'Xã khác'",
            "level": "'district'",
            "nso_code": "NULL",
            "valid_from": "'2020-01-01'",
            "derived": "true",
        },
    ),
    Tampering(
        name="the name of an agency that was imported as closed",
        sql="UPDATE agency SET name = 'Xã khác' WHERE code LIKE '%.H53.7'",
        where="agency",
        what="name",
        key=".H53.7",
    ),
    Tampering(
        name="the names of two agencies exchanged",
        sql="UPDATE agency a SET name = b.name FROM agency b"
        " WHERE a.code LIKE '%.H53.2' AND b.code LIKE '%.H53.3' OR a.code LIKE '%.H53.3' AND b.code LIKE '%.H53.2'",
        where="agency",
        what="name",
        key=".H53.3",
    ),
    Tampering(
        name="two agencies' rows exchanged",
        sql="ALTER TABLE agency ALTER COLUMN agency_id DROP IDENTITY;"
        "SET LOCAL session_replication_role = replica; UPDATE agency a SET agency_id = -b.agency_id FROM agency b"
        " WHERE a.code LIKE '%.H53.2' AND b.code LIKE '%.H53.3' OR a.code LIKE '%.H53.3' AND b.code LIKE '%.H53.2';"
        "UPDATE agency SET agency_id = -agency_id WHERE agency_id < 0",
        where="agency",
        what=("code", "name"),
        key=".H53.3",
    ),
    Tampering(
        name="an imported agency removed",
        sql="SET LOCAL session_replication_role = replica; DELETE FROM agency WHERE code LIKE '%.H53.2'",
        where="agency",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="a former agency made up under a code that there is",
        sql="INSERT INTO agency (code, name, level, state, valid_until, revision) SELECT code, 'x', level, 'closed',"
        " '2020-01-01', revision FROM agency WHERE code LIKE '%.H53.2'",
        where="agency",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="an added agency's tier, by which reports count",
        sql="UPDATE agency SET tier = 3 WHERE code LIKE '%.G01'",
        where="agency",
        what="tier",
        key=".G01",
    ),
    Tampering(
        name="an imported agency's tier taken away",
        sql="UPDATE agency SET tier = NULL WHERE code LIKE '%.H53.2'",
        where="agency",
        what="tier",
        key=".H53.2",
    ),
    Tampering(
        name="the tier of an agency that was imported as closed",
        sql="UPDATE agency SET tier = 1 WHERE code LIKE '%.H53.7'",
        where="agency",
        what="tier",
        key=".H53.7",
    ),
    Tampering(
        name="the tier that a later import has changed put back",
        sql="UPDATE agency SET tier = 3 WHERE code LIKE '%.H53.4'",
        where="agency",
        what="tier",
        key=".H53.4",
    ),
    Tampering(
        name="an added agency's superior, by whom an auditor sees it",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.H53.1'",
        where="agency",
        what="parent_id",
        key=".H53.1",
    ),
    Tampering(
        name="a superior for an agency that has none",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.G02'",
        where="agency",
        what="parent_id",
        key=".G02",
    ),
    Tampering(
        name="an imported agency's superior taken away",
        sql="UPDATE agency SET parent_id = NULL WHERE code LIKE '%.H53.2'",
        where="agency",
        what="parent_id",
        key=".H53.2",
    ),
    Tampering(
        name="the superior of an agency that was imported as closed",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.H53.7'",
        where="agency",
        what="parent_id",
        key=".H53.7",
    ),
    Tampering(
        name="the superior that a later import has changed put back",
        sql="UPDATE agency SET parent_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53')"
        " WHERE code LIKE '%.H53.4'",
        where="agency",
        what="parent_id",
        key=".H53.4",
    ),
    Tampering(
        name="who follows a closed agency removed",
        sql="DELETE FROM succession s USING agency a WHERE a.agency_id = s.old_id AND a.code LIKE '%.H53.6'",
        where="succession",
        what="row",
        key=".H53.6 to ",
    ),
    Tampering(
        name="who follows an agency that was imported as closed removed",
        sql="DELETE FROM succession s USING agency a WHERE a.agency_id = s.new_id AND a.code LIKE '%.H53.2'",
        where="succession",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="a successor made up",
        sql="INSERT INTO succession (old_id, new_id, extent, on_date) SELECT o.agency_id, n.agency_id, 'whole',"
        " current_date FROM agency o, agency n WHERE o.code LIKE '%.H53.7' AND n.code LIKE '%.G01'",
        where="succession",
        what="row",
        key=".G01",
    ),
    Tampering(
        name="another successor",
        sql="UPDATE succession SET new_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G01')"
        " WHERE old_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53.6')",
        where="succession",
        what="row",
        key=".G01",
    ),
    columns("succession", "extent = 'whole'", {"extent": "'part'", "on_date": "on_date + 1"}),
    columns("succession", "extent = 'main part'", {"extent": "'part'", "on_date": "on_date + 1"}),
    Tampering(
        name="an agency made up",
        sql="INSERT INTO agency (code, name, level) VALUES ('X1', 'x', 'ministry')",
        where="agency",
        what="row",
        key="X1",
    ),
    Tampering(
        name="an agency suspended",
        sql="UPDATE agency SET state = 'suspended' WHERE code LIKE '%.G02'",
        where="agency",
        what="state",
    ),
    Tampering(
        name="an agency closed that no event closes",
        sql="UPDATE agency SET state = 'closed', valid_until = current_date WHERE code LIKE '%.G02'",
        where="agency",
        what="valid_until",
        key=".G02",
    ),
    Tampering(
        name="an agency closed without a day",
        sql="UPDATE agency SET state = 'closed' WHERE code LIKE '%.G02'",
        where="agency",
        what="state",
        key=".G02",
    ),
    Tampering(
        name="a closed agency opened",
        sql="UPDATE agency SET state = 'active', valid_until = NULL WHERE code LIKE '%.H53.6'",
        where="agency",
        what="valid_until",
        key=".H53.6",
    ),
    Tampering(
        name="a closed agency opened with its day kept",
        sql="UPDATE agency SET state = 'active' WHERE code LIKE '%.H53.6'",
        where="agency",
        what="state",
        key=".H53.6",
    ),
    Tampering(
        name="an agency that was imported as closed opened",
        sql="UPDATE agency SET state = 'active', valid_until = NULL WHERE code LIKE '%.H53.7'",
        where="agency",
        what="valid_until",
        key=".H53.7",
    ),
    Tampering(
        name="an agency closed before its day",
        sql="UPDATE agency SET state = 'closed' WHERE code LIKE '%.H53.5'",
        where="agency",
        what="state",
        key=".H53.5",
    ),
    Tampering(
        name="the day on which an agency closes",
        sql="UPDATE agency SET valid_until = valid_until + 30 WHERE code LIKE '%.H53.5'",
        where="agency",
        what="valid_until",
        key=".H53.5",
    ),
    Tampering(
        name="an added agency's mailbox taken away",
        sql="UPDATE agency SET has_mailbox = false WHERE code LIKE '%.G01'",
        where="agency",
        what="has_mailbox",
        key=".G01",
    ),
    Tampering(
        name="a mailbox for an imported agency",
        sql="UPDATE agency SET has_mailbox = true WHERE code LIKE '%.H53.2'",
        where="agency",
        what="has_mailbox",
        key=".H53.2",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
