"""The log in the database: entries, nodes, the head, checkpoints, and what they promised."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import FIRST, LATE, Tampering, each, found_and_named

TAMPERINGS = [
    Tampering(
        name="a leaf",
        sql="UPDATE log_entry SET leaf = sha256('x') WHERE position = 100",
        where="log_entry",
        what="leaf",
        key="position 100",
    ),
    Tampering(
        name="a leaf in the tile that is not full",
        sql=f"UPDATE log_entry SET leaf = sha256('x') WHERE position = {LATE}",
        where="log_entry",
        what="leaf",
        key=f"position {LATE}",
    ),
    Tampering(
        name="an entry removed",
        sql="DELETE FROM log_entry WHERE position = 100",
        where="log_entry",
        what="row",
        key="position 100",
    ),
    Tampering(
        name="the last entry removed",
        sql="DELETE FROM log_entry WHERE position = (SELECT max(position) FROM log_entry)",
        where="log_entry",
        what="row",
    ),
    Tampering(
        name="two entries exchanged",
        sql="UPDATE log_entry SET position = -1 WHERE position = 100;"
        "UPDATE log_entry SET position = 100 WHERE position = 101;"
        "UPDATE log_entry SET position = 101 WHERE position = -1",
        where="log_entry",
        what="order",
        key="position 100",
    ),
    Tampering(
        name="two entries in the last tile exchanged",
        sql=f"UPDATE log_entry SET position = -1 WHERE position = {LATE};"
        f"UPDATE log_entry SET position = {LATE} WHERE position = {LATE + 1};"
        f"UPDATE log_entry SET position = {LATE + 1} WHERE position = -1",
        where="log_entry",
        what="order",
        key=f"position {LATE}",
    ),
    Tampering(
        name="an entry added at the end",
        sql="INSERT INTO log_entry SELECT origin_id, max(position) + 1, now(), 0, sha256('x') FROM log_entry"
        " GROUP BY 1",
        where="log_entry",
        what="row",
    ),
    Tampering(
        name="entries of no origin",
        sql="INSERT INTO log_entry VALUES (99, 0, now(), 0, sha256('x'))",
        where="log_entry",
        what="row",
        key="origin 99",
    ),
    Tampering(
        name="a node", sql="UPDATE log_node SET hash = sha256('x')", where="log_node", what="hash", key="number 0"
    ),
    Tampering(name="a node removed", sql="DELETE FROM log_node", where="log_node", what="row", key="number 0"),
    Tampering(
        name="a node too many",
        sql="INSERT INTO log_node VALUES (1, 1, 7, sha256('x'))",
        where="log_node",
        what="row",
        key="number 7",
    ),
    Tampering(name="the root", sql="UPDATE log_head SET root = sha256('x')", where="log_head", what="root"),
    Tampering(name="the size", sql="UPDATE log_head SET size = size - 1", where="log_entry", what="row"),
    Tampering(
        name="a checkpoint's root",
        sql="UPDATE checkpoint SET root = sha256('x') WHERE number = 1",
        where="checkpoint",
        what="root",
    ),
    Tampering(
        name="a checkpoint's size",
        sql="UPDATE checkpoint SET size = size - 1 WHERE number = 1",
        where="checkpoint",
        what="size",
    ),
    Tampering(
        name="a checkpoint's note",
        sql="UPDATE checkpoint SET note = set_byte(note, 30, get_byte(note, 30) # 1) WHERE number = 1",
        where="checkpoint",
        what="note",
    ),
    Tampering(
        name="a checkpoint's signature",
        sql="UPDATE checkpoint SET note = set_byte(note, length(note) - 30, CASE get_byte(note, length(note) - 30)"
        " WHEN 65 THEN 66 ELSE 65 END) WHERE number = 1",
        where="checkpoint",
        what="note",
    ),
    Tampering(
        name="a checkpoint removed", sql="DELETE FROM checkpoint WHERE number = 1", where="checkpoint", what="order"
    ),
    Tampering(
        name="the newest checkpoint removed",
        sql="DELETE FROM checkpoint WHERE number = (SELECT max(number) FROM checkpoint)",
        where="checkpoint",
        what="row",
    ),
    Tampering(
        name="a checkpoint made up",
        sql="INSERT INTO checkpoint SELECT origin_id, size - 1, sha256('x'), at, 1, note, number FROM checkpoint"
        " ORDER BY size DESC LIMIT 1",
        where="checkpoint",
        what="root",
    ),
    Tampering(
        name="a promise that was not kept",
        sql="UPDATE checkpoint SET at = at + interval '1 day' WHERE number > 0",
        where="checkpoint",
        what="at",
    ),
    Tampering(
        name="a promise that the log's place of an event breaks",
        sql="DELETE FROM log_entry l USING event e WHERE (e.at, e.event_id) = (l.event_at, l.event_id)"
        f" AND e.document_id = {FIRST};"
        "UPDATE document SET log_by = accepted_at; UPDATE status_message SET log_by = accepted_at",
        where="checkpoint",
        what="at",
        key="none yet",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)
