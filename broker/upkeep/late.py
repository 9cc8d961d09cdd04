"""How a notice tells that a deadline has passed: what was missing, by when, and at whom. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from broker.directory.records import AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.notices import LISTED_RECIPIENTS, item, reference
from schemas.errors import Refusal
from schemas.times import rfc3339


def overdue_item(
    message: Record,
    rows: Sequence[Record],
    directory: Directory,
    *,
    missing: str,
    expected: str,
    due: datetime,
    now: datetime,
) -> bytes:
    """The item that names `message` (sender, id, digest) and the recipients in `rows` that are late with something.

    `missing` is what has not come, such as “01”; `expected` what should have, by `due`.
    """
    refusal = Refusal(
        code="LT-OVERDUE",
        found=f"no {missing} from {len(rows)} recipients",
        expected=f"{expected} by {rfc3339(due)}",
    )
    return item(
        "overdue",
        concerns=reference(message["sender"], message["id"], message["digest"].hex()),
        at=now,
        error=refusal.code,
        detail=refusal.detail() | {"due": rfc3339(due)},
        recipients={
            "count": len(rows),
            "list": [
                {
                    "code": directory.by_id(AgencyId(row["recipient_id"])).code,
                    "addressed_as": row["addressed_as"],
                    "owner": directory.by_id(AgencyId(row["owner_id"])).code,
                }
                for row in rows[:LISTED_RECIPIENTS]
            ],
        },
    )
