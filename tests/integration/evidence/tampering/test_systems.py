"""Connected systems, their secrets, and the keys that the exchange keeps for offices."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    columns(
        "vxp_system",
        "state = 'disabled'",
        {
            "state": "'active'",
            "name": "'00.01.W03'",
            "addresses": "'{}'",
            "fresh_seconds": "NULL",
            "sign_all": "NOT sign_all",
            "registration": "'open'",
            "created_at": "created_at - interval '1 day'",
            "changed_at": "now()",
        },
    ),
    Tampering(
        name="whose mailbox a system has",
        sql="UPDATE vxp_system SET hub_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G02')"
        " WHERE state = 'active'",
        where="vxp_system",
        what="row",
        key=".G02",
    ),
    Tampering(
        name="the mailboxes of two systems exchanged",
        sql="ALTER TABLE vxp_system DROP CONSTRAINT vxp_system_hub_id_key;"
        "UPDATE vxp_system s SET hub_id = o.hub_id FROM vxp_system o WHERE o.system_id <> s.system_id",
        where="vxp_system",
        what="state",
        key=".H53",
    ),
    Tampering(
        name="a system removed",
        sql="SET LOCAL session_replication_role = replica; DELETE FROM vxp_system",
        where="vxp_system",
        what="row",
    ),
    columns(
        "vxp_secret",
        "ends_at IS NOT NULL",
        {"sealed": "sealed || '\\x00'", "made_at": "made_at - interval '1 day'", "ends_at": "NULL"},
    ),
    Tampering(
        name="a secret of another system",
        sql="UPDATE vxp_secret SET system_id = (SELECT max(system_id) FROM vxp_system)",
        where="vxp_secret",
        what="row",
    ),
    Tampering(
        name="a secret made up",
        sql="INSERT INTO vxp_secret (system_id, sealed) SELECT system_id, 'x' FROM vxp_system",
        where="vxp_secret",
        what="row",
    ),
    Tampering(name="secrets removed", sql="DELETE FROM vxp_secret", where="vxp_secret", what="row"),
    columns("custody_key", "true", {"sealed": "'x'", "made_at": "made_at - interval '1 day'"}),
    Tampering(name="a kept key removed", sql="DELETE FROM custody_key", where="custody_key", what="row"),
    Tampering(
        name="two kept keys exchanged",
        sql="UPDATE custody_key k SET sealed = o.sealed FROM custody_key o WHERE o.thumbprint <> k.thumbprint",
        where="custody_key",
        what="sealed",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
