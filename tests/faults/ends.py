"""What each end remembers, read without asking any program: the exchange's tables, and every office's own database.

`open_work` says what is still under way; `disagreements` compares both ends with what was sent, fact by fact. The two
ends share nothing but the wire, so what both say happened once has happened once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import aio_pika
import aio_pika.exceptions
import asyncpg

from broker.amqp.management import Management, virtual_host_of
from broker.dispatch.patience import is_away
from broker.settings import Settings
from schemas import wire
from schemas.jws import parse_message
from schemas.problem import Problem
from tests.faults.offices import Offices, Sending

AWAY_FOR: Final = 120.0
"""Seconds that a server of the test may be away before a question to it fails."""
NAMED: Final = 4
"""Cases of each disagreement that are shown."""

Key = tuple[str, str]
"""(from, id) of a document."""
Fact = tuple[Key, str, str, str]
"""(document, recipient, code, signed time) of a status."""


class Record:
    """The exchange's database, asked by the test; waits while PostgreSQL is being restarted."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        deadline = monotonic() + AWAY_FOR
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._dsn, timeout=10)
                return await self._connection.fetch(query, *arguments)
            except Exception as error:
                if not is_away(error) or monotonic() > deadline:
                    raise
                await self.close()
                await asyncio.sleep(0.2)

    async def value(self, query: str, *arguments: object) -> Any:
        return (await self.fetch(query, *arguments))[0][0]

    async def until(self, query: str, *arguments: object, seconds: float = 120.0) -> Any:
        """Ask until the answer is true, and give it."""
        deadline = monotonic() + seconds
        while not (answer := await self.value(query, *arguments)):
            assert monotonic() < deadline, f"waited {seconds:.0f} s in vain for: {query}"
            await asyncio.sleep(0.05)
        return answer

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=5)


@dataclass(slots=True)
class Memory:
    """What all offices' databases hold together."""

    accepted: Counter[tuple[Key, str]] = field(default_factory=Counter)
    """(document, digest) that its sender has heard to be accepted."""
    unanswered: Counter[str] = field(default_factory=Counter)
    """Documents in an outbox in any other state, by that state."""
    inbox: Counter[tuple[Key, str, str]] = field(default_factory=Counter)
    """(document, recipient, digest)."""
    unfinished: int = 0
    """Rows of an inbox that no clerk has finished."""
    copies: int = 0
    """Copies of documents that came, the first ones included."""
    reported: Counter[Fact] = field(default_factory=Counter)
    """Facts that recipients have signed."""
    heard: Counter[Fact] = field(default_factory=Counter)
    """Facts that senders have read."""
    to_send: int = 0
    """Messages without a confirm, and statuses without a signature."""
    aside: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)


def memory(offices: Offices, codes: Iterable[str] | None = None) -> Memory:
    """Read every office's database, or those of `codes`."""
    found = Memory()
    for office in offices.connected():
        path = offices.database(office.code)
        if (codes is None or office.code in codes) and path.exists():
            _read(path, found)
    return found


def _read(path: Path, found: Memory) -> None:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        ask = connection.execute
        for sender, id, digest, state in ask("SELECT speaker, id, digest, state FROM outbox WHERE kind = 'document'"):
            if state == "accepted":
                found.accepted[(sender, id), digest] += 1
            else:
                found.unanswered[state] += 1
        for sender, id, recipient, digest, state, copies in ask(
            "SELECT i.sender, i.id, i.recipient, d.digest, i.state, i.copies"
            " FROM inbox i JOIN document d ON d.no = i.document_no"
        ):
            found.inbox[(sender, id), recipient, digest] += 1
            found.unfinished += state in ("waiting", "taken")
            found.copies += copies
        for speaker, body in ask("SELECT speaker, body FROM outbox WHERE kind = 'status'"):
            for item in json.loads(parse_message(body, slip_allowed=False).signed.payload)["items"]:
                concerns = item["concerns"]
                fact = (concerns["from"], concerns["id"]), item.get("for", speaker), item["code"], item["at"]
                found.reported[fact] += 1
        for sender, id, agency, code, at in ask("SELECT sender, id, agency, code, at FROM status"):
            found.heard[(sender, id), agency, code, at] += 1
        (waiting,) = ask(
            "SELECT (SELECT count(*) FROM outbox WHERE state = 'due') + (SELECT count(*) FROM status_due)"
            " + (SELECT count(*) FROM parked)"
        ).fetchone()
        found.to_send += waiting
        found.aside.update(dict(ask("SELECT code, sum(times) FROM aside GROUP BY code").fetchall()))
        found.notices.update(dict(ask("SELECT event, count(*) FROM notice GROUP BY event").fetchall()))


async def open_work(record: Record, offices: Offices, sent: Sequence[Sending]) -> list[str]:
    """What keeps the exchange from being at rest; empty when every promise could be kept by now."""
    counts = await record.fetch(
        "SELECT (SELECT count(*) FROM document) AS documents,"
        " (SELECT count(*) FROM delivery WHERE arrived_at IS NULL) AS without_01,"
        " (SELECT count(*) FROM outgoing WHERE published_at IS NULL) AS unpublished,"
        " (SELECT count(*) FROM mailbox WHERE reset_at IS NOT NULL) AS resets,"
        " (SELECT count(*) FROM request_message WHERE done_at IS NULL) AS replays,"
        " (SELECT count(*) FROM status_entry) AS facts"
    )
    row, held = counts[0], await asyncio.to_thread(memory, offices)
    open_ = {
        "documents that were not accepted yet": len(sent) - row["documents"],
        "deliveries without 01": row["without_01"],
        "publishes that have not left": row["unpublished"],
        "mailboxes being filled again": row["resets"],
        "replays to be done": row["replays"],
        "documents whose sender has no answer": len(sent) - sum(held.accepted.values()),
        "messages that have not left an office": held.to_send,
        "documents on a clerk's desk": held.unfinished,
        "facts reported and not recorded": len(held.reported) - row["facts"],
        "facts recorded and not heard of": row["facts"] - len(held.heard),
    }
    found = [f"{count} {what}" for what, count in open_.items() if count]
    if not found:
        waiting = await messages_waiting(offices.settings)
        found = [f"{count} messages in {queue}" for queue, count in waiting.items() if queue != wire.DEAD]
    return found


async def disagreements(record: Record, offices: Offices, sent: Sequence[Sending]) -> list[str]:
    """Everything in which the exchange, the senders and the recipients do not say the same, and nothing else."""
    found: list[str] = []
    held = await asyncio.to_thread(memory, offices)
    documents = await record.fetch(
        "SELECT s.code AS sender, d.id::text, encode(d.digest, 'hex') AS digest, d.recipients,"
        " (SELECT count(*) FROM event e WHERE e.document_id = d.document_id AND e.kind = 'accepted') AS acceptances"
        " FROM document d JOIN agency s ON s.agency_id = d.sender_id"
    )
    recorded = Counter(((row["sender"], row["id"]), row["digest"]) for row in documents)
    wanted = {(one.sender, one.id): one for one in sent}
    found += _differ("documents: planned, and accepted by the exchange", set(wanted), {key for key, _ in recorded})
    found += _differ("documents: accepted by the exchange, and heard of by the sender", recorded, held.accepted)
    found += _more_than_once("a document has several rows", recorded)
    found += [
        f"{row['id']} has {row['acceptances']} acceptance events" for row in documents if row["acceptances"] != 1
    ][:NAMED]
    if held.unanswered:
        found.append(f"documents without an acceptance in an outbox: {dict(held.unanswered)}")

    digests = dict(recorded)
    promised = {((one.sender, one.id), code) for one in sent for code in one.recipients}
    rows = await record.fetch(
        "SELECT s.code AS sender, d.id::text, r.code AS recipient, encode(d.digest, 'hex') AS digest, v.processing,"
        " v.sends, v.arrived_at IS NOT NULL AS arrived, v.dispatched_at IS NOT NULL AS dispatched, v.anomalous"
        " FROM delivery v JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id"
        " JOIN agency r ON r.agency_id = v.recipient_id"
    )
    delivered = Counter(((row["sender"], row["id"]), row["recipient"], row["digest"]) for row in rows)
    found += _differ("deliveries: planned, and recorded", promised, {(key, to) for key, to, _ in delivered})
    found += _differ("deliveries: recorded, and stored by the recipient with that digest", delivered, held.inbox)
    found += _more_than_once("a document has several rows in an inbox", held.inbox)
    for what, bad in (
        # Where a worker died between a confirm and its record, and the recipient has refused or completed the document
        # before the keeper published it again, nobody records the dispatch: what the recipient signed tells of it.
        (
            "were never dispatched",
            [
                row
                for row in rows
                if (not row["dispatched"] or row["sends"] < 1)
                and not (row["processing"] in ("refused", "completed") and row["arrived"])
            ],
        ),
        ("have no 01", [row for row in rows if not row["arrived"]]),
        ("are anomalous", [row for row in rows if row["anomalous"]]),
        (
            "are not in a state that follows from a status",
            [row for row in rows if row["processing"] in ("accepted", "dispatched", "held", "cancelled")],
        ),
    ):
        if bad:
            found.append(f"{len(bad)} deliveries {what}, such as {dict(bad[0])}")
    if len(digests) != len(recorded):
        found.append("a document is recorded with two digests")

    found += await _statuses(record, held)
    for what, query in (
        ("publishes have not left", "SELECT count(*) FROM outgoing WHERE published_at IS NULL"),
        ("rejections", "SELECT count(*) FROM rejection"),
        ("status messages with refused items", "SELECT count(*) FROM status_message WHERE refused_items <> '[]'"),
        ("mailboxes are being filled again", "SELECT count(*) FROM mailbox WHERE reset_at IS NOT NULL"),
        ("replays are not done", "SELECT count(*) FROM request_message WHERE done_at IS NULL"),
    ):
        if count := await record.value(query):
            found.append(f"{count} {what}")
    if held.to_send or held.unfinished or held.aside:
        found.append(f"offices: {held.to_send} to send, {held.unfinished} unfinished, aside {dict(held.aside)}")
    waiting = await messages_waiting(offices.settings)
    return found + [f"{count} messages are left in {queue}" for queue, count in waiting.items()]


async def _statuses(record: Record, held: Memory) -> list[str]:
    entries = await record.fetch(
        "SELECT s.code AS sender, d.id::text, r.code AS recipient, e.code,"
        " to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS at"
        " FROM status_entry e JOIN document d USING (document_id) JOIN agency s ON s.agency_id = d.sender_id"
        " JOIN agency r ON r.agency_id = e.recipient_id"
    )
    recorded: Counter[Fact] = Counter(((e["sender"], e["id"]), e["recipient"], e["code"], e["at"]) for e in entries)
    return [
        *_differ("statuses: signed by the recipient, and recorded", held.reported, recorded),
        *_differ("statuses: recorded, and read by the document's sender", recorded, held.heard),
    ]


async def messages_waiting(settings: Settings) -> dict[str, int]:
    """Messages that nobody holds, by queue, as the queues themselves say at this moment."""
    while True:
        with suppress(Problem, OSError, aio_pika.exceptions.AMQPError):
            async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
                names = [queue.name for queue in await management.queues()]
            async with await aio_pika.connect(settings.amqp_url) as connection:
                channel = await connection.channel()
                queues = [await channel.declare_queue(name, passive=True) for name in names]
            return {q.name: q.declaration_result.message_count for q in queues if q.declaration_result.message_count}
        await asyncio.sleep(0.5)


def _differ(what: str, one: Iterable[Any], other: Iterable[Any]) -> list[str]:
    first, second = Counter(one), Counter(other)
    return [
        f"{what}: {sum(missing.values())} only {where}, such as {sorted(missing)[:NAMED]}"
        for where, missing in (("in the first", first - second), ("in the second", second - first))
        if missing
    ]


def _more_than_once(what: str, counted: Counter[Any]) -> list[str]:
    several = [one for one, count in counted.items() if count > 1]
    return [f"{what}: {several[:NAMED]}"] if several else []
