"""An event's bytes, its place, and the columns by which it is found."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, LATE, Tampering, each, found_and_named, opened, verified

OTHER_BODY = r"""convert_to(replace(convert_from(body, 'UTF8'), '"attempt":1', '"attempt":2'), 'UTF8')"""

TWIN = (
    "INSERT INTO event (at, kind, body, leaf, epoch, document_id)"
    " SELECT at, kind, body, sha256('\\x00'::bytea || body), epoch, document_id FROM (SELECT at, kind, epoch,"
    " document_id, convert_to(regexp_replace(convert_from(body, 'UTF8'), '\"digest\":\"[0-9a-f]{64}\"',"
    " '\"digest\":\"' || repeat('0', 64) || '\"'), 'UTF8') AS body FROM event"
    f" WHERE kind = 'accepted' AND document_id = {FIRST}) e"
)
"""A second acceptance of the first document, under another digest, written as a worker would."""


def entry(position: int) -> str:
    """The event that has this place in the log."""
    return f"(at, event_id) = (SELECT event_at, event_id FROM log_entry WHERE position = {position})"


TAMPERINGS = [
    Tampering(
        name="an event's bytes",
        sql=f"UPDATE event SET body = {OTHER_BODY} WHERE {entry(200)}",
        where="event",
        what="body",
        key="position 200",
    ),
    Tampering(
        name="an event's bytes and leaf column",
        sql=f"UPDATE event SET body = {OTHER_BODY}, leaf = sha256('\\x00'::bytea || {OTHER_BODY}) WHERE {entry(200)}",
        where="event",
        what="body",
        key="position 200",
    ),
    Tampering(
        name="an event's bytes, its leaf and the log's entry",
        sql=f"UPDATE event SET body = {OTHER_BODY}, leaf = sha256('\\x00'::bytea || {OTHER_BODY}) WHERE {entry(200)};"
        f"UPDATE log_entry l SET leaf = e.leaf FROM event e WHERE l.position = 200"
        " AND (e.at, e.event_id) = (l.event_at, l.event_id)",
        where="log_entry",
        what="order",
        key="position 200",
    ),
    Tampering(
        name="the same in the tile that is not full",
        sql=f"UPDATE event SET body = {OTHER_BODY}, leaf = sha256('\\x00'::bytea || {OTHER_BODY}) WHERE {entry(LATE)};"
        f"UPDATE log_entry l SET leaf = e.leaf FROM event e WHERE l.position = {LATE}"
        " AND (e.at, e.event_id) = (l.event_at, l.event_id)",
        where="log_entry",
        what="order",
        key=f"position {LATE}",
    ),
    Tampering(
        name="an event's leaf column",
        sql=f"UPDATE event SET leaf = sha256('x') WHERE {entry(10)}",
        where="event",
        what="leaf",
        key="position 10",
    ),
    Tampering(
        name="an event's kind",
        sql=f"UPDATE event SET kind = 'overdue' WHERE {entry(200)}",
        where="event",
        what="kind",
        key="position 200",
    ),
    Tampering(
        name="an event removed",
        sql=f"DELETE FROM event WHERE {entry(200)}",
        where="event",
        what="row",
        key="position 200",
    ),
    Tampering(
        name="an event removed with its entry",
        sql=f"DELETE FROM event WHERE {entry(200)}; DELETE FROM log_entry WHERE position = 200",
        where="log_entry",
        what="row",
        key="position 200",
    ),
    Tampering(
        name="an event dated otherwise",
        sql=f"WITH moved AS (SELECT at, event_id FROM event WHERE {entry(200)}),"
        " e AS (UPDATE event e SET at = e.at - interval '1 day' FROM moved m"
        " WHERE (e.at, e.event_id) = (m.at, m.event_id))"
        " UPDATE log_entry SET event_at = event_at - interval '1 day' WHERE position = 200",
        where="event",
        what="at",
        key="position 200",
    ),
    Tampering(
        name="an event inserted behind the log's back",
        sql="INSERT INTO event (at, kind, body, leaf, epoch, xid)"
        " SELECT at, kind, body || ' '::bytea, sha256('\\x00'::bytea || body || ' '::bytea), epoch, '5'"
        f" FROM event WHERE {entry(200)}",
        where="event",
        what="row",
    ),
    Tampering(
        name="an event's document",
        sql="UPDATE event SET document_id = 0 WHERE kind = 'accepted'",
        where="event",
        what="document_id",
    ),
    Tampering(
        name="an event that is no JSON any more",
        sql=f"UPDATE event SET body = '\\xff' WHERE {entry(10)}",
        where="event",
        what="body",
        key="position 10",
    ),
    Tampering(
        name="a document accepted a second time, as its twin",
        sql=TWIN,
        where="event",
        what="accepted",
    ),
    Tampering(
        name="an event's agency",
        sql="UPDATE event SET agency_id = NULL WHERE agency_id IS NOT NULL",
        where="event",
        what="agency_id",
    ),
    Tampering(
        name="an event put off for ever",
        sql="INSERT INTO event (at, kind, body, leaf, epoch, xid) SELECT at, kind, body, leaf, epoch,"
        f" '9000000000000000000' FROM event WHERE {entry(40)}",
        where="event",
        what="xid",
    ),
    Tampering(
        name="an event of an epoch to come",
        sql="INSERT INTO event (at, kind, body, leaf, epoch) SELECT at, kind, body, leaf, 99 FROM event"
        f" WHERE {entry(40)}",
        where="event",
        what="xid",
    ),
    Tampering(
        name="an event's transaction, by which the newest is found",
        sql=f"UPDATE event SET xid = '7' WHERE {entry(20)}",
        where="event",
        what="xid",
        key="position 20",
    ),
    Tampering(
        name="a hold that is gone, with the column that finds its event",
        sql="UPDATE event SET document_id = NULL WHERE kind = 'operator_action';"
        "UPDATE delivery SET processing = 'accepted' WHERE processing = 'held'; UPDATE document SET held_at = NULL",
        where="event",
        what="document_id",
    ),
    Tampering(
        name="an operator's action on another document",
        sql=f"UPDATE event SET document_id = {FIRST} WHERE kind = 'operator_action' AND document_id IS NOT NULL",
        where="event",
        what="document_id",
    ),
    Tampering(
        name="a status's event among those of another document",
        sql=f"UPDATE event SET document_id = {FIRST} + 1 WHERE kind = 'status_recorded' AND document_id = {FIRST}",
        where="event",
        what="document_id",
    ),
    Tampering(
        name="an event about no document among those of one",
        sql=f"UPDATE event SET document_id = {FIRST} WHERE {entry(LATE)}",
        where="event",
        what="document_id",
    ),
    Tampering(
        name="an event about no agency among those of one",
        sql=f"UPDATE event SET agency_id = 1 WHERE {entry(LATE)}",
        where="event",
        what="agency_id",
    ),
    Tampering(
        name="no epoch, so that nothing is written down any more",
        sql="DELETE FROM exchange_epoch",
        where="exchange_epoch",
        what="row",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)


async def test_an_acceptance_that_a_restore_put_back_is_no_second_one(story: Story) -> None:
    """What was lost with its rows is accepted anew when its office sends it again; two that survived are named."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(TWIN)
        twice = await verified(connection, story, story.home / "log")
        await connection.execute(
            "INSERT INTO log_put_back SELECT l.event_at, l.event_id, l.origin_id, l.position FROM log_entry l"
            " JOIN event e ON (e.at, e.event_id) = (l.event_at, l.event_id)"
            f" WHERE e.kind = 'accepted' AND e.document_id = {FIRST}"
        )
        once = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    (named,) = [finding for finding in twice if finding.what == "accepted"]
    assert "(position " in named.found and "(not in the log yet): 0000000000000000" in named.found
    assert [finding for finding in once if finding.what == "accepted"] == []
