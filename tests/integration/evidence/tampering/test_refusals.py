"""Refusals, and messages in quarantine."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named

TAMPERINGS = [
    Tampering(name="a refusal removed", sql="DELETE FROM rejection", where="rejection", what="row"),
    Tampering(
        name="a refusal for another reason", sql="UPDATE rejection SET code = 'LT-TIME'", where="rejection", what="row"
    ),
    Tampering(
        name="a refusal made up",
        sql="INSERT INTO rejection (at, code, detail) VALUES (now(), 'LT-TIME', '{}')",
        where="rejection",
        what="row",
    ),
    Tampering(
        name="a refusal of another message",
        sql="UPDATE rejection SET id = 'another', claimed_from = 'X'",
        where="rejection",
        what="id",
    ),
    columns(
        "rejection",
        "quarantined",
        {
            "kind": "'status'",
            "claimed_from": "'X'",
            "id": "gen_random_uuid()",
            "digest": "sha256('x')",
            "number": "'0'",
            "notation": "'X'",
        },
    ),
    columns("rejection", "quarantined", {"body": "NULL"}),
    columns(
        "rejection",
        "code = 'LT-RECIPIENT-UNKNOWN'",
        {
            "kind": "'status'",
            "claimed_from": "'X'",
            "message_id": "'x'",
            "verdict": "NULL",
            "body": "'x'",
            "number": "'0'",
            "notation": "NULL",
            "detail": "jsonb_set(detail, '{found}', '\"X\"')",
            "settled_at": "now()",
        },
    ),
    columns(
        "rejection",
        "kind = 'status'",
        {
            "kind": "'document'",
            "claimed_from": "'X'",
            "id": "'x'",
            "message_id": "'x'",
            "verdict": "NULL",
            "body": "'x'",
            "number": "'0'",
            "notation": "'x'",
            "detail": "jsonb_set(detail, '{item}', '7')",
        },
    ),
    columns("rejection", "true", {"detail": "jsonb_set(detail, '{salt}', '\"X\"')"}),
    columns("rejection", "quarantined", {"settled_at": "NULL"}),
    columns("rejection", "quarantined", {"settled_at": "settled_at - interval '1 hour'"}),
    Tampering(
        name="a status item's refusal removed",
        sql="DELETE FROM rejection WHERE rejection_id ="
        " (SELECT max(rejection_id) FROM rejection WHERE kind = 'status')",
        where="rejection",
        what="row",
    ),
    Tampering(
        name="why a refusal was, exchanged with another's",
        sql="UPDATE rejection r SET detail = o.detail FROM rejection o WHERE r.code = 'LT-SHAPE'"
        " AND o.code = 'LT-RECIPIENT-UNKNOWN'",
        where="rejection",
        what="detail",
        key="LT-SHAPE",
    ),
    Tampering(
        name="a quarantined message exchanged",
        sql="UPDATE rejection SET body = (SELECT jws FROM document LIMIT 1) WHERE quarantined",
        where="rejection",
        what=("digest", "id"),
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
