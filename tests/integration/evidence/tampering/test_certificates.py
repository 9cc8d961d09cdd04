"""Certificates: whose they are, from when until when, and why they were revoked."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    Tampering(
        name="a certificate's bytes", sql="UPDATE certificate SET der = der || '\\x00'", where="certificate", what="der"
    ),
    Tampering(
        name="a certificate's agency",
        sql="UPDATE certificate SET agency_id = 1 WHERE agency_id <> 1",
        where="certificate",
        what="agency_id",
    ),
    Tampering(
        name="a certificate's custody",
        sql="UPDATE certificate SET custody = 'broker'",
        where="certificate",
        what="custody",
    ),
    Tampering(
        name="a revocation undone",
        sql="UPDATE certificate SET revoked_at = NULL WHERE revoked_at IS NOT NULL",
        where="certificate",
        what="revoked_at",
    ),
    Tampering(
        name="a revocation made up",
        sql="UPDATE certificate SET revoked_at = now() WHERE revoked_at IS NULL",
        where="certificate",
        what="revoked_at",
    ),
    Tampering(
        name="a certificate's validity",
        sql="UPDATE certificate SET not_after = not_after + interval '1 year'",
        where="certificate",
        what="not_after",
    ),
    columns(
        "certificate",
        "revoked_at IS NOT NULL",
        {"revoked_why": "'another'", "chain": "ARRAY[der]", "revision": "revision - 1"},
    ),
    Tampering(
        name="an intermediate certificate made up",
        sql="UPDATE certificate SET chain = ARRAY['\\x30'::bytea] WHERE revoked_at IS NULL",
        where="certificate",
        what="chain",
    ),
    Tampering(
        name="whose two certificates are exchanged",
        sql="UPDATE certificate c SET agency_id = d.agency_id FROM certificate d, agency a, agency b"
        " WHERE a.agency_id = c.agency_id AND b.agency_id = d.agency_id"
        " AND (a.code LIKE '%.G01' AND b.code LIKE '%.H53' OR a.code LIKE '%.H53' AND b.code LIKE '%.G01')",
        where="certificate",
        what="agency_id",
    ),
    Tampering(
        name="a certificate made up",
        sql="INSERT INTO certificate (thumbprint, agency_id, der, not_before, not_after)"
        " VALUES (sha256('x'), 1, 'x', now(), now())",
        where="certificate",
        what="row",
    ),
    Tampering(
        name="a certificate removed",
        sql="ALTER TABLE certificate DISABLE TRIGGER ALL; DELETE FROM certificate WHERE revoked_at IS NOT NULL",
        where="certificate",
        what="row",
    ),
    Tampering(
        name="since when a certificate is enrolled",
        sql="UPDATE certificate SET enrolled_at = enrolled_at - interval '1 day'",
        where="certificate",
        what="enrolled_at",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
