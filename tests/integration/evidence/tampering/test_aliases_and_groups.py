"""By which other names agencies are written to: aliases and groups."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    Tampering(
        name="an alias made up",
        sql="INSERT INTO agency_code (alias, agency_id, kind, revision)"
        " SELECT 'X', agency_id, 'local', revision FROM agency WHERE code LIKE '%.G02'",
        where="agency_code",
        what="row",
        key=".G02 X",
    ),
    Tampering(
        name="an alias removed",
        sql="DELETE FROM agency_code WHERE alias = 'TN-1'",
        where="agency_code",
        what="row",
        key=".H53.1 ",
    ),
    Tampering(
        name="an alias that names another agency",
        sql="UPDATE agency_code SET agency_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G02')",
        where="agency_code",
        what="row",
        key=".G02 ",
    ),
    columns(
        "agency_code",
        "alias = 'TN-1'",
        {"kind": "'former'", "valid_from": "'2020-01-01'", "valid_until": "'2020-02-01'", "revision": "revision + 1"},
    ),
    Tampering(
        name="the end of an alias undone",
        sql="UPDATE agency_code SET valid_until = NULL WHERE alias = 'TN-2'",
        where="agency_code",
        what="valid_until",
        key=".H53.1 TN-2",
    ),
    columns("agency_group", "name = 'group:bão'", {"title": "'khác'", "member_ids": "member_ids[2:]", "revision": "1"}),
    Tampering(
        name="a group's members in another order",
        sql="UPDATE agency_group SET member_ids = ARRAY[member_ids[2], member_ids[1]] WHERE name = 'group:bão'",
        where="agency_group",
        what="member_ids",
        key="group:bão",
    ),
    Tampering(
        name="a group that was abolished",
        sql="UPDATE agency_group SET member_ids = ARRAY[1] WHERE member_ids = '{}'",
        where="agency_group",
        what="member_ids",
        key="group:lụt",
    ),
    Tampering(
        name="a group made up",
        sql="INSERT INTO agency_group (name, title, member_ids) VALUES ('group:x', 'x', '{1}')",
        where="agency_group",
        what="row",
        key="group:x",
    ),
    Tampering(name="a group removed", sql="DELETE FROM agency_group", where="agency_group", what="row"),
    Tampering(
        name="a group under another name",
        sql="UPDATE agency_group SET name = 'group:x' WHERE name = 'group:bão'",
        where="agency_group",
        what="row",
        key="group:x",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
