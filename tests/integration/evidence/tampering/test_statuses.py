"""Statuses and the messages that they came in."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, Tampering, columns, each, found_and_named, named_by_another

TAMPERINGS = [
    Tampering(
        name="a status message in the name of another's certificate",
        sql=named_by_another("status_message", "document"),
        where="status_message",
        what=("thumbprint", "signer"),
        full=True,
    ),
    Tampering(
        name="a status removed", sql="DELETE FROM status_entry WHERE code = '02'", where="status_entry", what="row"
    ),
    Tampering(
        name="a status of another code",
        sql="UPDATE status_entry SET code = '06' WHERE code = '03'",
        where="status_entry",
        what="row",
    ),
    Tampering(
        name="a status of another time",
        sql="UPDATE status_entry SET at = at + interval '1 day' WHERE code = '02'",
        where="status_entry",
        what="row",
    ),
    Tampering(
        name="a status by another",
        sql="UPDATE status_entry SET by_id = 1 WHERE code = '02'",
        where="status_entry",
        what="row",
    ),
    Tampering(
        name="a status's reason",
        sql="UPDATE status_entry SET reason = 'khác' WHERE code = '02'",
        where="status_entry",
        what="reason",
    ),
    Tampering(
        name="a status's staff",
        sql="UPDATE status_entry SET staff = '{\"name\": \"Bình\"}' WHERE code = '03'",
        where="status_entry",
        what="staff",
    ),
    Tampering(
        name="a status's digest",
        sql="UPDATE status_entry SET digest = sha256('x') WHERE code = '02'",
        where="status_entry",
        what="digest",
    ),
    Tampering(
        name="a status made up",
        sql="INSERT INTO status_entry SELECT document_id, recipient_id, status_message_id, 100, by_id, '06', at,"
        " digest, NULL, NULL, NULL, false, recorded_at FROM status_entry WHERE code = '03'",
        where="status_entry",
        what="row",
    ),
    columns(
        "status_message",
        "status_message_id = (SELECT min(status_message_id) FROM status_message)",
        {
            "digest": "sha256('x')",
            "leaf": "sha256('x')",
            "thumbprint": "(SELECT c.thumbprint FROM certificate c"
            " WHERE c.thumbprint <> status_message.thumbprint LIMIT 1)",
            "accepted_at": "accepted_at - interval '1 second'",
            "sent_at": "sent_at - interval '1 day'",
            "log_by": "log_by + interval '1 hour'",
        },
    ),
    Tampering(
        name="a status message's signed bytes",
        sql="UPDATE status_message SET jws = (SELECT jws FROM document LIMIT 1)",
        where="status_message",
        what="jws",
    ),
    Tampering(
        name="a status message removed",
        sql="DELETE FROM status_entry; ALTER TABLE status_message DISABLE TRIGGER ALL; DELETE FROM status_message",
        where="status_message",
        what="row",
    ),
    Tampering(
        name="a status that answers what nobody asked",
        sql="UPDATE status_entry SET answers = sha256('x') WHERE code = '01'",
        where="status_entry",
        what="answers",
    ),
    Tampering(
        name="a status in another message",
        sql="UPDATE status_entry e SET status_message_id = m.status_message_id, digest = m.digest FROM status_message m"
        " WHERE m.status_message_id = (SELECT max(status_message_id) FROM status_message)"
        f" AND e.code = '01' AND e.item = 0 AND e.document_id = {FIRST}",
        where="status_entry",
        what="document_id",
    ),
    Tampering(
        name="a status marked as contradicting",
        sql="UPDATE status_entry SET anomalous = NOT anomalous WHERE code = '03'",
        where="status_entry",
        what="anomalous",
    ),
    columns("status_entry", "code = '02'", {"recorded_at": "recorded_at - interval '1 day'"}),
    Tampering(
        name="a status of a code that there is not",
        sql="UPDATE status_entry SET code = '07' WHERE code = '02'",
        where="status_entry",
        what="row",
    ),
    columns(
        "status_message",
        "true",
        {"concerns_sender_id": "1", "refused_items": '\'[{"item": 7, "error": "LT-TIME"}]\''},
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
