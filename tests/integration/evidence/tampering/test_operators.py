"""What operators did, who they were, and why."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    Tampering(
        name="what an operator did",
        sql="DELETE FROM admin_action WHERE action = 'document.resend'",
        where="admin_action",
        what="row",
    ),
    Tampering(
        name="an operator's reason",
        sql="UPDATE admin_action SET reason = 'another' WHERE action = 'document.resend'",
        where="admin_action",
        what="reason",
    ),
    Tampering(
        name="an operator's action made up",
        sql="INSERT INTO admin_action (at, actor, action, target, reason) VALUES (now(), 'x', 'document.hold',"
        " 'y', 'z')",
        where="admin_action",
        what="row",
    ),
    Tampering(
        name="who the operator was",
        sql="UPDATE admin_action SET actor = 'another' WHERE action = 'document.resend'",
        where="admin_action",
        what="actor",
    ),
    Tampering(
        name="who changed the directory",
        sql="DELETE FROM admin_action WHERE action = 'certificate.revoked'",
        where="admin_action",
        what="row",
        key="certificate.revoked",
    ),
    columns(
        "admin_action",
        "action IN ('agency.added', 'mandates.imported')",
        {"actor": "'another'", "reason": "'another'"},
    ),
    columns("admin_action", "action IN ('mandate.ended', 'certificate.revoked')", {"target": "'another'"}),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
