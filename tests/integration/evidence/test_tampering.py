"""Whatever somebody changes in the database or in the log's files is found, and named: table, row, column or file."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from broker.evidence.findings import Finding
from broker.evidence.keys import read_vkeys
from broker.evidence.tile_files import published_notes
from broker.evidence.verify import Scope, findings
from broker.services import Endpoints
from schemas.exchange_events import operator_action
from tests.conftest import fresh_database, fresh_vhost, migrate
from tests.integration.evidence.conftest import INSERT
from tests.integration.evidence.story import Story, play


@pytest.fixture(scope="module")
def story(servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The day, played once for all tests here; nobody may keep a change to it."""
    with fresh_vhost(servers) as vhost, fresh_database(servers) as database:
        folder = tmp_path_factory.mktemp("story")
        asyncio.run(migrate(database))
        yield asyncio.run(play(vhost, database, folder))


@asynccontextmanager
async def opened(story: Story) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(story.database, server_settings={"jit": "off"})
    try:
        yield connection
    finally:
        await connection.close()


async def verified(
    connection: asyncpg.Connection[asyncpg.Record], story: Story, log_dir: Path, scope: Scope | None = None
) -> list[Finding]:
    vkeys = read_vkeys(story.home / "keys" / "log.vkey")
    return [
        finding async for finding in findings(connection, vkeys, log_dir, scope or Scope(), published_notes(log_dir))
    ]


async def test_a_day_as_it_was_verifies(story: Story) -> None:
    async with opened(story) as connection, connection.transaction():
        found = await verified(connection, story, story.home / "log", Scope(full=True))
    assert [finding.sentence() for finding in found] == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """One thing that somebody does with a database owner's or a file system's rights, and what must be found."""

    name: str
    sql: str = ""
    files: Callable[[Path], None] = lambda folder: None
    where: str
    what: str | tuple[str, ...]
    """Columns and the like; of several, each must be found."""
    key: str = ""
    """Part of the finding's key."""
    full: bool = False
    """Found with --full only."""


def flip(path: str, at: int = 0) -> Callable[[Path], None]:
    """Change one bit of a file."""

    def change(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(bytes(data))

    return change


def cut(path: str, by: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / path).write_bytes((folder / path).read_bytes()[:-by])

    return change


def swap(path: str) -> Callable[[Path], None]:
    """Exchange two hashes of a tile."""

    def change(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[32:64] + data[:32] + data[64:])

    return change


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def partial(folder: Path, level: str) -> Path:
    return sorted((folder / "tile" / level).glob("*.p/*"))[-1]


def last_partial(level: str, change: Callable[[str], Callable[[Path], None]]) -> Callable[[Path], None]:
    return lambda folder: change(partial(folder, level).relative_to(folder).as_posix())(folder)


def older_checkpoint(folder: Path) -> None:
    text = (folder / "checkpoint").read_bytes()
    (folder / "checkpoint").write_bytes(text.replace(b"\n", b"\n1", 1))


OTHER_BODY = r"""convert_to(replace(convert_from(body, 'UTF8'), '"attempt":1', '"attempt":2'), 'UTF8')"""
FIRST = "(SELECT min(document_id) FROM document)"
"""The first document of the day, whose statuses are many."""
AT = "(SELECT (event_at, event_id) FROM log_entry WHERE position = {})"


def entry(position: int) -> str:
    return f"(at, event_id) = (SELECT event_at, event_id FROM log_entry WHERE position = {position})"


LATE = 290
"""A position in the partial tile; 100 is one in the full tile."""


ADDED = "document_id = (SELECT c.concerned_id FROM document_concerns c JOIN document d USING (document_id)" + (
    " WHERE d.action = 'update') AND addressed_as LIKE '%.G02'"
)
"""The delivery that an update has added."""


def first_out(kind: str) -> str:
    """The first message of a kind that has left."""
    return f"(SELECT min(outgoing_id) FROM outgoing WHERE kind = '{kind}' AND published_at IS NOT NULL)"


TWIN = (
    "INSERT INTO event (at, kind, body, leaf, epoch, document_id)"
    " SELECT at, kind, body, sha256('\\x00'::bytea || body), epoch, document_id FROM (SELECT at, kind, epoch,"
    " document_id, convert_to(regexp_replace(convert_from(body, 'UTF8'), '\"digest\":\"[0-9a-f]{64}\"',"
    " '\"digest\":\"' || repeat('0', 64) || '\"'), 'UTF8') AS body FROM event"
    f" WHERE kind = 'accepted' AND document_id = {FIRST}) e"
)
"""A second acceptance of the first document, under another digest, written as a worker would."""


MADE_AGAIN = (
    "INSERT INTO event (at, kind, body, leaf, epoch) SELECT at, kind, body, sha256('\\x00'::bytea || body), epoch"
    " FROM (SELECT at, kind, epoch, convert_to(replace(convert_from(body, 'UTF8'), '\"auditor\"', '\"operator\"'),"
    " 'UTF8') AS body FROM event WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') LIKE '%\"account.add\"%'"
    " AND convert_from(body, 'UTF8')::jsonb ->> 'target' = (SELECT account_id FROM account WHERE login = 'an')) e"
)
"""An event that tells of the account "an" as an operator's, written as a worker would."""


def served(commune: str) -> str:
    """The mandate for one of the province's communes."""
    return f"agency_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53.{commune}')"


def columns(table: str, which: str, changes: dict[str, str]) -> Tampering:
    """One row with all these columns changed."""
    values = ", ".join(f"{column} = {value}" for column, value in changes.items())
    sql = f"UPDATE {table} SET {values} WHERE {which}"
    return Tampering(name=f"columns of {table}", sql=sql, where=table, what=tuple(changes))


def named_by_another(table: str, source: str) -> str:
    """Signed headers exchanged for that of a message from somebody else: `signer` is found whatever the columns say."""
    protected = 'substring(convert_from({}.jws, \'UTF8\') from \'"protected":"([^"]+)"\')'
    return (
        f"UPDATE {table} t SET jws = convert_to(replace(convert_from(t.jws, 'UTF8'), {protected.format('t')},"
        f" {protected.format('o')}), 'UTF8') FROM {source} o, agency a, agency s WHERE a.agency_id = t.sender_id"
        " AND s.agency_id = o.sender_id AND (a.code LIKE '%.H53' AND s.code LIKE '%.G01'"
        " OR a.code LIKE '%.G01' AND s.code LIKE '%.G02')"
    )


TAMPERINGS = [
    # ── events ──
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
    # ── log_entry, log_node, log_head, checkpoint ──
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
    # ── documents and deliveries ──
    columns(
        "document",
        "document_id = (SELECT min(document_id) FROM document)",
        {
            "digest": "sha256('x')",
            "action": "'recall'",
            "priority": "4",
            "test": "true",
            "number": "'0'",
            "notation": "'X'",
            "issued_on": "'2020-01-01'",
            "type": "'Y'",
            "subject": "'Z'",
            "natural_key": "sha256('x')",
            "sent_at": "sent_at - interval '1 day'",
            "accepted_at": "accepted_at - interval '1 second'",
            "leaf": "sha256('x')",
            "recipients": "7",
            "warnings": '\'[{"error": "LT-DUP-NATURAL"}]\'',
            "via": '\'{"protocol": "x"}\'',
            "thumbprint": "(SELECT c.thumbprint FROM certificate c WHERE c.thumbprint <> document.thumbprint LIMIT 1)",
            "submitter_id": "(SELECT min(agency_id) FROM agency)",
            "log_by": "log_by + interval '1 hour'",
            "unresolved": "'[\"X\"]'",
        },
    ),
    columns(
        "document",
        "unresolved <> '[]'",
        {"unresolved": "'[]'", "warnings": "jsonb_set(warnings, '{0,addressed_as}', '\"X\"')"},
    ),
    Tampering(
        name="what was promised of a document's acceptance",
        sql=f"UPDATE document SET log_by = log_by + interval '1 hour' WHERE document_id = {FIRST}",
        where="document",
        what="log_by",
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
    Tampering(
        name="a document's sender",
        sql=f"UPDATE document SET sender_id = 1 WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document's signed bytes",
        sql="UPDATE document d SET jws = o.jws FROM document o"
        f" WHERE d.document_id = {FIRST} AND o.document_id = {FIRST} + 1",
        where="document",
        what="jws",
    ),
    Tampering(
        name="a document's signature",
        sql="UPDATE document SET jws = convert_to(regexp_replace(convert_from(jws, 'UTF8'), '\"signature\":\"..',"
        f" '\"signature\":\"AA'), 'UTF8') WHERE document_id = {FIRST}",
        where="document",
        what="jws",
        full=True,
    ),
    Tampering(
        name="a document in the name of another's certificate",
        sql=named_by_another("document", "document"),
        where="document",
        what=("thumbprint", "signer"),
        full=True,
    ),
    Tampering(
        name="a status message in the name of another's certificate",
        sql=named_by_another("status_message", "document"),
        where="status_message",
        what=("thumbprint", "signer"),
        full=True,
    ),
    Tampering(
        name="a document removed",
        sql="ALTER TABLE delivery DISABLE TRIGGER ALL; ALTER TABLE document DISABLE TRIGGER ALL;"
        f"DELETE FROM document WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document made up",
        sql="INSERT INTO document (sender_id, id, digest, jws, action, thumbprint, submitter_id, sent_at, accepted_at,"
        " leaf, log_by, recipients) SELECT sender_id, gen_random_uuid(), digest, jws, action, thumbprint, submitter_id,"
        f" sent_at, accepted_at, leaf, log_by, 0 FROM document WHERE document_id = {FIRST}",
        where="document",
        what="row",
    ),
    Tampering(
        name="a document's part",
        sql="UPDATE document_part p SET digest = (SELECT digest FROM content c WHERE c.digest <> p.digest LIMIT 1)"
        f" WHERE document_id = {FIRST}",
        where="document",
        what="document_part",
    ),
    Tampering(name="a part's bytes", sql="UPDATE content SET inline = 'x'", where="content", what="inline"),
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
    # ── what leaves ──
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
    Tampering(
        name="a delivery kept back",
        sql="ALTER TABLE event DISABLE TRIGGER ALL; UPDATE delivery SET processing = 'held' WHERE document_id ="
        " (SELECT max(document_id) FROM delivery WHERE dispatched_at IS NOT NULL AND arrived_at IS NULL)",
        where="delivery",
        what="processing",
    ),
    # ── statuses ──
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
    # ── refusals, directory, operators ──
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
        name="an agency's code",
        sql="UPDATE agency SET code = 'X' || agency_id WHERE code LIKE '%.G01'",
        where="agency",
        what="code",
    ),
    Tampering(
        name="an agency's level",
        sql="UPDATE agency SET level = 'district' WHERE code LIKE '%.G01'",
        where="agency",
        what="level",
    ),
    columns(
        "agency",
        "code LIKE '%.G01'",
        {
            "name": "'Bộ khác'",
            "nso_code": "'99'",
            "valid_from": "valid_from - 1",
            "derived": "true",
            "revision": "revision - 1",
        },
    ),
    columns(
        "agency",
        "code LIKE '%.H53.2'",
        {
            "name": "'Xã khác'",
            "level": "'district'",
            "nso_code": "NULL",
            "valid_from": "'2020-01-01'",
            "derived": "true",
        },
    ),
    Tampering(
        name="the name of an agency that was imported as closed",
        sql="UPDATE agency SET name = 'Xã khác' WHERE code LIKE '%.H53.7'",
        where="agency",
        what="name",
        key=".H53.7",
    ),
    Tampering(
        name="the names of two agencies exchanged",
        sql="UPDATE agency a SET name = b.name FROM agency b"
        " WHERE a.code LIKE '%.H53.2' AND b.code LIKE '%.H53.3' OR a.code LIKE '%.H53.3' AND b.code LIKE '%.H53.2'",
        where="agency",
        what="name",
        key=".H53.3",
    ),
    Tampering(
        name="two agencies' rows exchanged",
        sql="ALTER TABLE agency ALTER COLUMN agency_id DROP IDENTITY;"
        "SET LOCAL session_replication_role = replica; UPDATE agency a SET agency_id = -b.agency_id FROM agency b"
        " WHERE a.code LIKE '%.H53.2' AND b.code LIKE '%.H53.3' OR a.code LIKE '%.H53.3' AND b.code LIKE '%.H53.2';"
        "UPDATE agency SET agency_id = -agency_id WHERE agency_id < 0",
        where="agency",
        what=("code", "name"),
        key=".H53.3",
    ),
    Tampering(
        name="an imported agency removed",
        sql="SET LOCAL session_replication_role = replica; DELETE FROM agency WHERE code LIKE '%.H53.2'",
        where="agency",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="a former agency made up under a code that there is",
        sql="INSERT INTO agency (code, name, level, state, valid_until, revision) SELECT code, 'x', level, 'closed',"
        " '2020-01-01', revision FROM agency WHERE code LIKE '%.H53.2'",
        where="agency",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="an alias made up",
        sql="INSERT INTO agency_code (alias, agency_id, kind, revision)"
        " SELECT 'X', agency_id, 'local', revision FROM agency WHERE code LIKE '%.G02'",
        where="agency_code",
        what="row",
        key=".G02 X",
    ),
    Tampering(
        name="an alias removed",
        sql="DELETE FROM agency_code WHERE alias = 'TN-1'",
        where="agency_code",
        what="row",
        key=".H53.1 ",
    ),
    Tampering(
        name="an alias that names another agency",
        sql="UPDATE agency_code SET agency_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G02')",
        where="agency_code",
        what="row",
        key=".G02 ",
    ),
    columns(
        "agency_code",
        "alias = 'TN-1'",
        {"kind": "'former'", "valid_from": "'2020-01-01'", "valid_until": "'2020-02-01'", "revision": "revision + 1"},
    ),
    Tampering(
        name="the end of an alias undone",
        sql="UPDATE agency_code SET valid_until = NULL WHERE alias = 'TN-2'",
        where="agency_code",
        what="valid_until",
        key=".H53.1 TN-2",
    ),
    columns("agency_group", "name = 'group:bão'", {"title": "'khác'", "member_ids": "member_ids[2:]", "revision": "1"}),
    Tampering(
        name="a group's members in another order",
        sql="UPDATE agency_group SET member_ids = ARRAY[member_ids[2], member_ids[1]] WHERE name = 'group:bão'",
        where="agency_group",
        what="member_ids",
        key="group:bão",
    ),
    Tampering(
        name="a group that was abolished",
        sql="UPDATE agency_group SET member_ids = ARRAY[1] WHERE member_ids = '{}'",
        where="agency_group",
        what="member_ids",
        key="group:lụt",
    ),
    Tampering(
        name="a group made up",
        sql="INSERT INTO agency_group (name, title, member_ids) VALUES ('group:x', 'x', '{1}')",
        where="agency_group",
        what="row",
        key="group:x",
    ),
    Tampering(name="a group removed", sql="DELETE FROM agency_group", where="agency_group", what="row"),
    Tampering(
        name="a group under another name",
        sql="UPDATE agency_group SET name = 'group:x' WHERE name = 'group:bão'",
        where="agency_group",
        what="row",
        key="group:x",
    ),
    Tampering(
        name="an added agency's tier, by which reports count",
        sql="UPDATE agency SET tier = 3 WHERE code LIKE '%.G01'",
        where="agency",
        what="tier",
        key=".G01",
    ),
    Tampering(
        name="an imported agency's tier taken away",
        sql="UPDATE agency SET tier = NULL WHERE code LIKE '%.H53.2'",
        where="agency",
        what="tier",
        key=".H53.2",
    ),
    Tampering(
        name="the tier of an agency that was imported as closed",
        sql="UPDATE agency SET tier = 1 WHERE code LIKE '%.H53.7'",
        where="agency",
        what="tier",
        key=".H53.7",
    ),
    Tampering(
        name="the tier that a later import has changed put back",
        sql="UPDATE agency SET tier = 3 WHERE code LIKE '%.H53.4'",
        where="agency",
        what="tier",
        key=".H53.4",
    ),
    Tampering(
        name="an added agency's superior, by whom an auditor sees it",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.H53.1'",
        where="agency",
        what="parent_id",
        key=".H53.1",
    ),
    Tampering(
        name="a superior for an agency that has none",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.G02'",
        where="agency",
        what="parent_id",
        key=".G02",
    ),
    Tampering(
        name="an imported agency's superior taken away",
        sql="UPDATE agency SET parent_id = NULL WHERE code LIKE '%.H53.2'",
        where="agency",
        what="parent_id",
        key=".H53.2",
    ),
    Tampering(
        name="the superior of an agency that was imported as closed",
        sql="UPDATE agency SET parent_id = 1 WHERE code LIKE '%.H53.7'",
        where="agency",
        what="parent_id",
        key=".H53.7",
    ),
    Tampering(
        name="the superior that a later import has changed put back",
        sql="UPDATE agency SET parent_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53')"
        " WHERE code LIKE '%.H53.4'",
        where="agency",
        what="parent_id",
        key=".H53.4",
    ),
    Tampering(
        name="who follows a closed agency removed",
        sql="DELETE FROM succession s USING agency a WHERE a.agency_id = s.old_id AND a.code LIKE '%.H53.6'",
        where="succession",
        what="row",
        key=".H53.6 to ",
    ),
    Tampering(
        name="who follows an agency that was imported as closed removed",
        sql="DELETE FROM succession s USING agency a WHERE a.agency_id = s.new_id AND a.code LIKE '%.H53.2'",
        where="succession",
        what="row",
        key=".H53.2",
    ),
    Tampering(
        name="a successor made up",
        sql="INSERT INTO succession (old_id, new_id, extent, on_date) SELECT o.agency_id, n.agency_id, 'whole',"
        " current_date FROM agency o, agency n WHERE o.code LIKE '%.H53.7' AND n.code LIKE '%.G01'",
        where="succession",
        what="row",
        key=".G01",
    ),
    Tampering(
        name="another successor",
        sql="UPDATE succession SET new_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G01')"
        " WHERE old_id = (SELECT agency_id FROM agency WHERE code LIKE '%.H53.6')",
        where="succession",
        what="row",
        key=".G01",
    ),
    columns("succession", "extent = 'whole'", {"extent": "'part'", "on_date": "on_date + 1"}),
    columns("succession", "extent = 'main part'", {"extent": "'part'", "on_date": "on_date + 1"}),
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
    Tampering(
        name="a delivery cancelled behind an operator's other action",
        sql="UPDATE delivery SET processing = 'cancelled', closed_at = now(), arrived_at = NULL, anomalous = true"
        f" WHERE document_id = {FIRST} AND arrived_at IS NOT NULL",
        where="delivery",
        what="processing",
    ),
    Tampering(name="a hold made up", sql="UPDATE document SET held_at = now()", where="document", what="held_at"),
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
        name="a part's place among the others",
        sql="UPDATE document_part SET ordinal = 5",
        where="document",
        what="document_part",
    ),
    Tampering(
        name="what a document changes removed",
        sql="DELETE FROM document_concerns",
        where="document_concerns",
        what="row",
    ),
    Tampering(
        name="what a document changes made up",
        sql=f"INSERT INTO document_concerns SELECT (SELECT max(document_id) FROM document), {FIRST}",
        where="document_concerns",
        what="row",
    ),
    Tampering(
        name="a part's name", sql="UPDATE document_part SET name = 'x.pdf'", where="document", what="document_part"
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
    Tampering(
        name="a refusal of another message",
        sql="UPDATE rejection SET id = 'another', claimed_from = 'X'",
        where="rejection",
        what="id",
    ),
    Tampering(
        name="an agency made up",
        sql="INSERT INTO agency (code, name, level) VALUES ('X1', 'x', 'ministry')",
        where="agency",
        what="row",
        key="X1",
    ),
    Tampering(
        name="an agency suspended",
        sql="UPDATE agency SET state = 'suspended' WHERE code LIKE '%.G02'",
        where="agency",
        what="state",
    ),
    Tampering(
        name="a mandate made up",
        sql="INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) SELECT h.agency_id, a.agency_id, true, true"
        " FROM agency h, agency a WHERE h.code LIKE '%.G01' AND a.code LIKE '%.G02'",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="a mandate that came with the agency",
        sql="UPDATE mandate SET may_sign = false, valid_until = '2099-01-01'",
        where="mandate",
        what=("may_sign", "valid_until"),
        key=".H53.1",
    ),
    Tampering(
        name="a mandate made up after an import",
        sql="INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) SELECT h.agency_id, a.agency_id, true, true"
        " FROM agency h, agency a WHERE h.code LIKE '%.G01' AND a.code LIKE '%.H53.2'",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="a mandate of an import removed",
        sql=f"DELETE FROM mandate WHERE {served('2')}",
        where="mandate",
        what="row",
        key=".H53.2",
    ),
    columns(
        "mandate",
        served("2"),
        {"may_receive": "false", "may_sign": "false", "valid_from": "'2020-01-01'", "valid_until": "'2026-01-01'"},
    ),
    Tampering(
        name="a mandate of an import with another hub",
        sql=f"UPDATE mandate SET hub_id = (SELECT agency_id FROM agency WHERE code LIKE '%.G01') WHERE {served('2')}",
        where="mandate",
        what="row",
        key=".G01 for",
    ),
    Tampering(
        name="the end of an import's mandate undone",
        sql=f"UPDATE mandate SET valid_until = NULL WHERE {served('3')}",
        where="mandate",
        what="valid_until",
        key=".H53.3",
    ),
    Tampering(
        name="the end of an import's mandate put off",
        sql=f"UPDATE mandate SET valid_until = valid_until + 7 WHERE {served('3')}",
        where="mandate",
        what="valid_until",
        key=".H53.3",
    ),
    Tampering(
        name="a mandate that was imported again ended",
        sql=f"UPDATE mandate SET valid_until = current_date WHERE {served('4')}",
        where="mandate",
        what="valid_until",
        key=".H53.4",
    ),
    Tampering(
        name="a mandate to receive made one to sign",
        sql=f"UPDATE mandate SET may_sign = true WHERE {served('5')}",
        where="mandate",
        what="may_sign",
        key=".H53.5",
    ),
    Tampering(
        name="an event that told an import's mandates removed",
        sql="DELETE FROM event WHERE convert_from(body, 'UTF8') LIKE '%\"mandates.imported\"%'",
        where="event",
        what="mandates",
        key="the import of revision",
    ),
    Tampering(
        name="an agency closed that no event closes",
        sql="UPDATE agency SET state = 'closed', valid_until = current_date WHERE code LIKE '%.G02'",
        where="agency",
        what="valid_until",
        key=".G02",
    ),
    Tampering(
        name="an agency closed without a day",
        sql="UPDATE agency SET state = 'closed' WHERE code LIKE '%.G02'",
        where="agency",
        what="state",
        key=".G02",
    ),
    Tampering(
        name="a closed agency opened",
        sql="UPDATE agency SET state = 'active', valid_until = NULL WHERE code LIKE '%.H53.6'",
        where="agency",
        what="valid_until",
        key=".H53.6",
    ),
    Tampering(
        name="a closed agency opened with its day kept",
        sql="UPDATE agency SET state = 'active' WHERE code LIKE '%.H53.6'",
        where="agency",
        what="state",
        key=".H53.6",
    ),
    Tampering(
        name="an agency that was imported as closed opened",
        sql="UPDATE agency SET state = 'active', valid_until = NULL WHERE code LIKE '%.H53.7'",
        where="agency",
        what="valid_until",
        key=".H53.7",
    ),
    Tampering(
        name="an agency closed before its day",
        sql="UPDATE agency SET state = 'closed' WHERE code LIKE '%.H53.5'",
        where="agency",
        what="state",
        key=".H53.5",
    ),
    Tampering(
        name="the day on which an agency closes",
        sql="UPDATE agency SET valid_until = valid_until + 30 WHERE code LIKE '%.H53.5'",
        where="agency",
        what="valid_until",
        key=".H53.5",
    ),
    Tampering(
        name="an added agency's mailbox taken away",
        sql="UPDATE agency SET has_mailbox = false WHERE code LIKE '%.G01'",
        where="agency",
        what="has_mailbox",
        key=".G01",
    ),
    Tampering(
        name="a mailbox for an imported agency",
        sql="UPDATE agency SET has_mailbox = true WHERE code LIKE '%.H53.2'",
        where="agency",
        what="has_mailbox",
        key=".H53.2",
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
        name="a part's bytes, dated before all time",
        sql="UPDATE content SET inline = 'x', stored_at = '1960-01-01'",
        where="content",
        what="inline",
    ),
    Tampering(
        name="who asked for a change",
        sql="UPDATE change_request SET asked_by = sha256('x')",
        where="change_request",
        what="asked_by",
    ),
    # ── what columns alone find, and what somebody would change along with it ──
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
    Tampering(
        name="what is known of a part removed",
        sql="SET LOCAL session_replication_role = replica; DELETE FROM content",
        where="content",
        what="row",
    ),
    Tampering(
        name="since when a certificate is enrolled",
        sql="UPDATE certificate SET enrolled_at = enrolled_at - interval '1 day'",
        where="certificate",
        what="enrolled_at",
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
    columns(
        "admin_action",
        "action IN ('agency.added', 'mandates.imported')",
        {"actor": "'another'", "reason": "'another'"},
    ),
    columns("admin_action", "action IN ('mandate.ended', 'certificate.revoked')", {"target": "'another'"}),
    Tampering(
        name="an account that no operator made",
        sql="INSERT INTO account (account_id, login, role) VALUES ('p-' || repeat('0', 16), 'xx', 'operator')",
        where="account",
        what="row",
        key="p-0",
    ),
    Tampering(
        name="an account removed", sql="DELETE FROM account WHERE login = 'an'", where="account", what="row", key="p-"
    ),
    columns("account", "login = 'binh'", {"disabled_at": "NULL"}),
    columns("account", "login = 'an'", {"disabled_at": "now()"}),
    columns("account", "login = 'an'", {"role": "'operator'"}),
    columns("account", "login = 'dung'", {"role": "'auditor'"}),
    columns("account", "login = 'chi'", {"root_id": "NULL", "role": "'operator'"}),
    columns("account", "login = 'chi'", {"root_id": "NULL"}),
    columns("account", "login = 'chi'", {"root_id": "(SELECT agency_id FROM agency WHERE code LIKE '%.G01')"}),
    columns("account", "login = 'binh'", {"root_id": "(SELECT agency_id FROM agency WHERE code LIKE '%.H53')"}),
    columns(
        "account",
        "login = 'chi'",
        {"login": "'khac'", "full_name": "'khác'", "created_at": "created_at - interval '1 day'"},
    ),
    columns("account", "login = 'an'", {"oidc_subject": "'issuer another'"}),
    columns("account", "login = 'an'", {"oidc_subject": "NULL", "password_at": "now()"}),
    columns("account", "login = 'dung'", {"password_at": "password_at - interval '1 day'", "full_name": "''"}),
    columns("account", "login = 'binh'", {"disabled_at": "disabled_at - interval '1 day'"}),
    Tampering(
        name="an account's password",
        sql="UPDATE account SET password_hash = overlay(password_hash placing 'AAAA' from 40) WHERE login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="a password for who signs in by OpenID alone",
        sql="UPDATE account a SET password_hash = b.password_hash FROM account b"
        " WHERE a.login = 'an' AND b.login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="an account's password taken away",
        sql="UPDATE account SET password_hash = NULL WHERE login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="two accounts' logins exchanged",
        sql="UPDATE account SET login = 'x-' || login WHERE login IN ('an', 'chi');"
        "UPDATE account SET login = CASE login WHEN 'x-an' THEN 'chi' ELSE 'an' END WHERE login LIKE 'x-%'",
        where="account",
        what="login",
    ),
    Tampering(
        name="the pseudonyms of two accounts exchanged",
        sql="CREATE TEMP TABLE was ON COMMIT DROP AS SELECT max(account_id) FILTER (WHERE login = 'an') AS an,"
        " max(account_id) FILTER (WHERE login = 'binh') AS binh FROM account;"
        "UPDATE account SET account_id = 'p-' || repeat('0', 16) WHERE login = 'an';"
        "UPDATE account SET account_id = was.an FROM was WHERE login = 'binh';"
        "UPDATE account SET account_id = was.binh FROM was WHERE login = 'an'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="an operator whom a second event makes out of an auditor",
        sql="UPDATE account SET role = 'operator' WHERE login = 'an';" + MADE_AGAIN,
        where="account",
        what="role",
        key="p-",
    ),
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
    # ── files ──
    Tampering(name="a full tile", files=flip("tile/0/000", 32 * 7), where="tile", what="leaf", key="position 7"),
    Tampering(name="a full tile cut", files=cut("tile/0/000", 1), where="tile", what="file", key="tile/0/000"),
    Tampering(name="a full tile removed", files=remove("tile/0/000"), where="tile", what="file", key="tile/0/000"),
    Tampering(name="a tile's hashes exchanged", files=swap("tile/0/000"), where="tile", what="leaf", key="position 0"),
    Tampering(
        name="the tile that is not full", files=last_partial("0", flip), where="tile", what="leaf", key="position 256"
    ),
    Tampering(name="the tile that is not full removed", files=last_partial("0", remove), where="tile", what="file"),
    Tampering(name="a tile above", files=last_partial("1", flip), where="tile", what="hash", key="tile/1/000"),
    Tampering(name="a tile above removed", files=last_partial("1", remove), where="tile", what="file", key="tile/1"),
    Tampering(name="an entry in a bundle", files=flip("tile/entries/000", 40), where="entries", what="leaf"),
    Tampering(name="a bundle's length", files=flip("tile/entries/000", 0), where="entries", what="file"),
    Tampering(name="a bundle removed", files=remove("tile/entries/000"), where="entries", what="file"),
    Tampering(
        name="the last bundle", files=last_partial("entries", lambda path: cut(path, 1)), where="entries", what="file"
    ),
    Tampering(
        name="the published checkpoint's signature", files=flip("checkpoint", -20), where="checkpoint file", what=""
    ),
    Tampering(name="the published checkpoint's text", files=flip("checkpoint", 18), where="checkpoint file", what=""),
    Tampering(
        name="the published checkpoint removed", files=remove("checkpoint"), where="checkpoint file", what="file"
    ),
]


THE_LOG = frozenset({"log_entry", "log_node", "log_head", "checkpoint", "checkpoint file", "tile", "entries"})
"""Tampering with these is found without a look at the exchange's rows."""


class Undo(Exception):
    """Ends a transaction without its changes."""


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.name)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    log_dir = story.home / "log"
    if not tampering.sql:
        log_dir = tmp_path / "log"
        shutil.copytree(story.home / "log", log_dir)
        tampering.files(log_dir / "2026")
    found: list[Finding] = []
    async with opened(story) as connection:
        try:
            async with connection.transaction():
                await connection.execute(tampering.sql or "SELECT")
                scope = Scope(full=tampering.full, records=tampering.where not in THE_LOG or tampering.what == "at")
                found = await verified(connection, story, log_dir, scope)
                raise Undo
        except Undo:
            pass
    for what in (tampering.what,) if isinstance(tampering.what, str) else tampering.what:
        hits = [
            finding
            for finding in found
            if finding.where == tampering.where and what in finding.what and tampering.key in finding.key
        ]
        assert hits, [what, *(finding.sentence() for finding in found)]
        assert all(finding.found != finding.expected for finding in hits)


async def test_what_an_account_may_do_is_found_as_it_is_and_as_it_was_told(story: Story) -> None:
    """By the pseudonym that the log knows, with the agency's code."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        ((key, code),) = await connection.fetch(
            "SELECT account_id, code FROM account JOIN agency ON agency_id = root_id WHERE login = 'chi'"
        )
        await connection.execute("UPDATE account SET role = 'operator', root_id = NULL WHERE login = 'chi'")
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [(one.where, one.key, one.what, one.found, one.expected) for one in found] == [
        ("account", key, "role", "operator", "auditor"),
        ("account", key, "root_id", "everything", code),
    ]


async def test_what_a_version_before_told_nothing_of_is_no_finding(story: Story) -> None:
    """Deadlines, addresses, promises, what is to leave and what was refused, where the events say nothing of them."""
    fields = (
        *("due_arrival", "log_by", "addressed", "added", "unresolved_sha256", "warnings_sha256", "notice", "forwards"),
        "row",
    )
    before = " - ".join(("convert_from(body, 'UTF8')::jsonb", *(f"'{field}'" for field in fields)))
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            f"UPDATE event SET body = convert_to(({before} - CASE kind WHEN 'rejected' THEN 'items' ELSE '' END)::text,"
            " 'UTF8') WHERE kind IN ('accepted', 'rejected', 'status_recorded', 'rerouted', 'overdue');"
            "UPDATE delivery SET due_arrival = now(), addressed_as = 'X';"
            "UPDATE document SET unresolved = '[]', log_by = log_by + interval '1 second';"
            "UPDATE rejection SET message_id = 'x', verdict = NULL, detail = '{}'"
        )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    rows = [finding for finding in found if finding.where not in THE_LOG and finding.where != "event"]
    assert {(finding.where, finding.what) for finding in rows} == {("document", "log_by")}, [
        finding.sentence() for finding in rows
    ]  # as signed notices say


async def test_accounts_of_a_version_that_told_neither_role_nor_subtree_are_no_finding(story: Story) -> None:
    """Their events say no more than that an operator made them: nothing to hold the columns against."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        at = datetime.now(UTC)
        for number, (role, root) in enumerate((("operator", ""), ("auditor", ""), ("auditor", "%.H53"))):
            pseudonym = f"p-{number:016x}"
            await connection.execute(
                "INSERT INTO account (account_id, login, role, root_id)"
                " VALUES ($1, $1, $2, (SELECT agency_id FROM agency WHERE code LIKE $3))",
                *(pseudonym, role, root),
            )
            who, why = sha256(b"one").hexdigest()[:16], sha256(b"why").digest()
            (event,) = operator_action(at=at, actor=who, action="account.add", target=pseudonym, reason_digest=why)
            await connection.execute(INSERT, [event.at], [event.kind], [event.body], [event.leaf])
            await connection.execute(
                "INSERT INTO admin_action (at, actor, action, target, reason)"
                " VALUES ($1, 'one', 'account.add', $2, 'why')",
                *(at, pseudonym),
            )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [finding.sentence() for finding in found if finding.where in ("account", "admin_action")] == []


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


async def test_statuses_that_a_restore_lost_are_no_finding(story: Story) -> None:
    """Their events were put back out of the log's files; their rows come when their offices send them again."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO log_put_back SELECT l.event_at, l.event_id, l.origin_id, l.position FROM log_entry l"
            " JOIN event e ON (e.at, e.event_id) = (l.event_at, l.event_id) WHERE e.kind = 'status_recorded';"
            "SET LOCAL session_replication_role = replica; DELETE FROM status_entry; DELETE FROM status_message"
        )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [finding.sentence() for finding in found if finding.where in ("status_message", "status_entry")] == []


async def test_a_log_that_was_cut_with_everything_in_it_is_found_by_who_holds_a_checkpoint(
    story: Story, tmp_path: Path
) -> None:
    """Entries, events, checkpoints and files go back together: nothing inside contradicts anything any more."""
    log_dir = tmp_path / "log"
    shutil.copytree(story.home / "log", log_dir)
    held = (log_dir / "2026" / "checkpoint").read_bytes()
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        before = await connection.fetchrow(
            "SELECT size, root, note FROM checkpoint ORDER BY size DESC OFFSET 1 LIMIT 1"
        )
        assert before is not None
        size = before["size"]
        await connection.execute(
            "DELETE FROM event e USING log_entry l WHERE (e.at, e.event_id) = (l.event_at, l.event_id)"
            f" AND l.position >= {size};"
            f"DELETE FROM log_entry WHERE position >= {size}; DELETE FROM checkpoint WHERE size > {size};"
            f"DELETE FROM log_node WHERE (number + 1) * 256 > {size}"
        )
        await connection.execute("UPDATE log_head SET size = $1, root = $2", size, before["root"])
        shutil.rmtree(log_dir)
        unseen = await verified(connection, story, log_dir, Scope(records=False))
        assert [finding.sentence() for finding in unseen] == []
        found = await verified(connection, story, log_dir, Scope(records=False, held=(held,)))
        kept = await verified(connection, story, log_dir, Scope(records=False, held=(before["note"],)))
        await transaction.rollback()
    assert [(finding.where, finding.what) for finding in found] == [("held checkpoint", "size")]
    assert kept == []
