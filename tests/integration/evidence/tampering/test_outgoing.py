"""What leaves the exchange: documents, statuses and notices, gone or waiting."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, Tampering, each, found_and_named


def first_out(kind: str) -> str:
    """The first message of a kind that has left."""
    return f"(SELECT min(outgoing_id) FROM outgoing WHERE kind = '{kind}' AND published_at IS NOT NULL)"


TAMPERINGS = [
    *(
        Tampering(
            name=f"a {kind} that left removed",
            sql=f"DELETE FROM outgoing WHERE outgoing_id = {first_out(kind)}",
            where="outgoing",
            what="row",
        )
        for kind in ("document", "status", "notice")
    ),
    *(
        Tampering(
            name=f"a {kind} that left waiting again",
            sql=f"UPDATE outgoing SET published_at = NULL WHERE outgoing_id = {first_out(kind)}",
            where="outgoing",
            what="published_at",
        )
        for kind in ("document", "status", "notice")
    ),
    *(
        Tampering(
            name=f"when and in which attempt a {kind} left",
            sql=f"UPDATE outgoing SET {change} WHERE outgoing_id = {first_out(kind)}",
            where="outgoing",
            what=what,
            key=kind,
        )
        for kind in ("document", "status", "notice")
        for what, change in (("published_at", "published_at = now()"), ("attempt", "attempt = 3"))
    ),
    *(
        Tampering(
            name=f"to whom a {kind} left",
            sql=f"UPDATE outgoing SET owner_ids = '{{1}}' WHERE outgoing_id = {first_out(kind)}",
            where="outgoing",
            what="owner_ids",
        )
        for kind in ("document", "status", "notice")
    ),
    Tampering(
        name="for whom a hub's copy left",
        sql="UPDATE outgoing SET recipient_ids = recipient_ids[2:] WHERE recipient_ids IS NOT NULL",
        where="outgoing",
        what=("recipient_ids", "row"),
    ),
    Tampering(
        name="for whom a hub's copy left, somebody else",
        sql="UPDATE outgoing SET recipient_ids = '{1}' WHERE recipient_ids IS NOT NULL",
        where="outgoing",
        what="recipient_ids",
        key="document",
    ),
    Tampering(
        name="what waits to leave removed",
        sql="DELETE FROM outgoing WHERE published_at IS NULL AND kind = 'document'",
        where="outgoing",
        what="row",
        key=".G02",
    ),
    Tampering(
        name="what waits to leave to another mailbox",
        sql="UPDATE outgoing SET owner_ids = '{1}' WHERE published_at IS NULL AND kind = 'document'",
        where="outgoing",
        what="owner_ids",
    ),
    Tampering(
        name="what waits to leave marked as gone",
        sql="UPDATE outgoing SET published_at = now() WHERE published_at IS NULL AND kind = 'document'",
        where="outgoing",
        what="published_at",
    ),
    Tampering(
        name="another document in a copy",
        sql=f"UPDATE outgoing SET document_id = {FIRST} + 1 WHERE outgoing_id = {first_out('document')}",
        where="outgoing",
        what=("published_at", "row"),
    ),
    Tampering(
        name="a notice that waits removed, with the event that it left",
        sql="DELETE FROM event WHERE kind = 'dispatched' AND convert_from(body, 'UTF8') LIKE '%\"notice\"%';"
        "DELETE FROM outgoing WHERE kind = 'notice'",
        where="outgoing",
        what="row",
        key="notice to ",
    ),
    Tampering(
        name="a status that waits removed, with the event that it left",
        sql="DELETE FROM event WHERE kind = 'dispatched' AND convert_from(body, 'UTF8') LIKE '%\"status\"%';"
        "DELETE FROM outgoing WHERE kind = 'status'",
        where="outgoing",
        what="row",
        key="status ",
    ),
    Tampering(
        name="a status forwarded to another",
        sql="INSERT INTO outgoing (kind, status_message_id, owner_ids)"
        " SELECT kind, status_message_id, '{1}' FROM outgoing WHERE kind = 'status' LIMIT 1",
        where="outgoing",
        what="owner_ids",
    ),
    Tampering(
        name="a notice that is sent once more",
        sql="INSERT INTO outgoing (kind, notice, owner_ids, created_at)"
        f" SELECT kind, notice, owner_ids, created_at FROM outgoing WHERE outgoing_id = {first_out('notice')}",
        where="outgoing",
        what="notice",
    ),
    Tampering(
        name="the bytes of two notices exchanged",
        sql="UPDATE outgoing v SET notice = o.notice FROM outgoing o WHERE v.outgoing_id <> o.outgoing_id"
        " AND ARRAY[v.outgoing_id, o.outgoing_id] <@"
        " ARRAY(SELECT outgoing_id FROM outgoing WHERE kind = 'notice' ORDER BY 1 LIMIT 2)",
        where="outgoing",
        what="published_at",
    ),
    Tampering(
        name="a notice's signature",
        sql="UPDATE outgoing SET notice = convert_to(regexp_replace(convert_from(notice, 'UTF8'), '\"signature\":\"..',"
        f" '\"signature\":\"AA'), 'UTF8') WHERE outgoing_id = {first_out('notice')}",
        where="outgoing",
        what="notice",
        full=True,
    ),
    Tampering(
        name="a notice that somebody else has signed",
        sql="UPDATE outgoing SET notice = (SELECT jws FROM document LIMIT 1)"
        f" WHERE outgoing_id = {first_out('notice')}",
        where="outgoing",
        what="notice",
        full=True,
    ),
    Tampering(
        name="when a notice was decided",
        sql=f"UPDATE outgoing SET created_at = created_at - interval '1 day' WHERE outgoing_id = {first_out('notice')}",
        where="outgoing",
        what="created_at",
        full=True,
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
