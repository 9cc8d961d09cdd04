"""Deliveries, and what changes asked of them."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, Tampering, columns, each, found_and_named

ADDED = "document_id = (SELECT c.concerned_id FROM document_concerns c JOIN document d USING (document_id)" + (
    " WHERE d.action = 'update') AND addressed_as LIKE '%.G02'"
)
"""The delivery that an update has added."""


TAMPERINGS = [
    Tampering(
        name="a delivery removed",
        sql="ALTER TABLE delivery DISABLE TRIGGER ALL;"
        "DELETE FROM delivery WHERE (document_id, recipient_id) ="
        " (SELECT document_id, recipient_id FROM delivery LIMIT 1)",
        where="delivery",
        what="row",
    ),
    Tampering(
        name="a delivery made up",
        sql="INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, due_arrival)"
        f" SELECT {FIRST}, 1, 1, 'X', now()",
        where="delivery",
        what="row",
    ),
    columns(
        "delivery",
        "document_id = (SELECT min(document_id) FROM document) AND arrived_at IS NOT NULL",
        {
            "owner_id": "1",
            "processing": "'completed'",
            "recalled": "NOT recalled",
            "anomalous": "NOT anomalous",
            "arrived_at": "arrived_at - interval '1 hour'",
            "closed_at": "now()",
            "dispatched_at": "dispatched_at - interval '1 second'",
            "overdue_at": "now()",
        },
    ),
    columns(
        "delivery",
        f"document_id = {FIRST}",
        {
            "addressed_as": "'X'",
            "due_arrival": "due_arrival + interval '1 hour'",
            "sends": "sends + 1",
            "last_sent_at": "last_sent_at + interval '1 second'",
        },
    ),
    columns("delivery", f"document_id = {FIRST}", {"sends": "0", "last_sent_at": "NULL"}),
    columns("delivery", "addressed_as LIKE 'group:%'", {"addressed_as": "'group:communes'"}),
    columns("delivery", ADDED, {"due_arrival": "due_arrival - interval '1 day'", "addressed_as": "'X'"}),
    Tampering(
        name="whose mailbox an added recipient's delivery goes to",
        sql=f"UPDATE delivery SET owner_id = 1 WHERE {ADDED}",
        where="delivery",
        what="owner_id",
        key=".G02",
    ),
    Tampering(
        name="the deadlines of two documents exchanged",
        sql="UPDATE delivery v SET due_arrival = o.due_arrival FROM delivery o"
        f" WHERE v.document_id IN ({FIRST}, {FIRST} + 1) AND o.document_id = {FIRST} + {FIRST} + 1 - v.document_id",
        where="delivery",
        what="due_arrival",
    ),
    Tampering(
        name="a delivery that an update added removed",
        sql=f"SET LOCAL session_replication_role = replica; DELETE FROM delivery WHERE {ADDED}",
        where="delivery",
        what="row",
        key=".G02",
    ),
    Tampering(
        name="a delivery kept back",
        sql="ALTER TABLE event DISABLE TRIGGER ALL; UPDATE delivery SET processing = 'held' WHERE document_id ="
        " (SELECT max(document_id) FROM delivery WHERE dispatched_at IS NOT NULL AND arrived_at IS NULL)",
        where="delivery",
        what="processing",
    ),
    Tampering(
        name="a delivery cancelled behind an operator's other action",
        sql="UPDATE delivery SET processing = 'cancelled', closed_at = now(), arrived_at = NULL, anomalous = true"
        f" WHERE document_id = {FIRST} AND arrived_at IS NOT NULL",
        where="delivery",
        what="processing",
    ),
    columns(
        "change_request",
        "true",
        {"state": "'refused_change'", "kind": "'update'", "answered_at": "now() - interval '1 hour'"},
    ),
    Tampering(
        name="what was asked of a delivery removed",
        sql="UPDATE delivery SET recalled = false, closed_at = NULL WHERE recalled; DELETE FROM change_request",
        where="change_request",
        what="row",
    ),
    Tampering(
        name="what an update asked of a delivery removed",
        sql="DELETE FROM change_request WHERE kind = 'update'",
        where="change_request",
        what="row",
    ),
    Tampering(
        name="a change that another document asks",
        sql="INSERT INTO change_request (document_id, recipient_id, asked_by, kind, asking_document_id, asked_at)"
        " SELECT v.document_id, v.recipient_id, d.digest, d.action, d.document_id, d.accepted_at"
        f" FROM document d, delivery v WHERE d.action = 'update' AND v.document_id = {FIRST}",
        where="change_request",
        what="row",
    ),
    Tampering(
        name="a take-back that nobody asked",
        sql="INSERT INTO change_request (document_id, recipient_id, asked_by, kind, asking_status_id, asked_at)"
        " SELECT v.document_id, v.recipient_id, m.digest, 'take-back', m.status_message_id, m.accepted_at"
        f" FROM status_message m, delivery v WHERE v.document_id = {FIRST}"
        " AND m.status_message_id = (SELECT min(status_message_id) FROM status_message)",
        where="change_request",
        what="row",
    ),
    Tampering(
        name="who asked for a change",
        sql="UPDATE change_request SET asked_by = sha256('x')",
        where="change_request",
        what="asked_by",
    ),
    columns(
        "change_request",
        "kind = 'take-back'",
        {
            "asked_at": "asked_at - interval '1 day'",
            "overdue_at": "now()",
            "kind": "'recall'",
            "state": "'asked'",
            "answered_at": "NULL",
        },
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
