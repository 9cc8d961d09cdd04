"""How long `audit verify` takes and what memory it needs: `python -m tests.bench.verify_volume --documents 10000`.

Makes a database with a directory of some 12,000 agencies (imported, each with a hub and a certificate), documents to
eight communes each with their deliveries, dispatches, signed statuses and events, all sequenced and signed; verifies it
whole, then with `--full`, and times each statement alone. Drops the database. Prints JSON; figures are one machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from cryptography.hazmat.primitives.serialization import Encoding

from broker.directory.changes import Author, describe, import_csv
from broker.evidence.duties import KeepLog, PublishLog
from broker.evidence.keys import make_log_key, read_vkeys, vkey_file
from broker.evidence.verify import BEGINNING, RECORD_CHECKS, RECORDS, Scope, verify
from broker.services import up
from broker.settings import Settings
from broker.store.migrations import migrate
from broker.store.pool import Connection
from broker.upkeep.lease import Lease
from schemas.delivery_events import RecordedStatus, dispatched, status_recorded
from schemas.events import Event
from schemas.exchange_events import directory_changed
from schemas.intake_events import accepted
from schemas.jws import sign
from schemas.manifest import StatusCode
from schemas.times import new_id, rfc3339
from tests.conftest import REPOSITORY, fresh_database
from tests.kit.evidence_story import EXCHANGE, Named, Office, Paper

PROVINCES, COMMUNES, RECIPIENTS, STATUSES = 34, 350, 8, 2
PART = b"%PDF"
AUTHOR = Author(actor="bench", reason="a bench")
EVENT = ("at", "kind", "body", "leaf", "document_id", "agency_id")


@dataclass
class Rows:
    """What a batch of documents leaves behind, by table."""

    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def add(self, table: str, *row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def tell(self, told: Sequence[Event], *, document: int | None = None, agency: int | None = None) -> bytes:
        for event in told:
            self.add("event", event.at, event.kind, event.body, event.leaf, document, agency)
        return told[0].leaf


COLUMNS = {
    "event": EVENT,
    "content": ("digest", "size", "inline"),
    "certificate": ("thumbprint", "agency_id", "der", "custody", "not_before", "not_after", "enrolled_at"),
    "document": (
        *("document_id", "sender_id", "id", "digest", "jws", "action", "number", "notation", "subject", "thumbprint"),
        *("submitter_id", "sent_at", "accepted_at", "leaf", "log_by", "recipients"),
    ),
    "document_part": ("document_id", "ordinal", "digest", "name"),
    "delivery": (
        *("document_id", "recipient_id", "owner_id", "addressed_as", "processing", "due_arrival", "dispatched_at"),
        *("arrived_at", "sends", "last_sent_at"),
    ),
    "status_message": (
        *("status_message_id", "sender_id", "id", "digest", "jws", "thumbprint", "concerns_sender_id", "sent_at"),
        *("accepted_at", "leaf", "log_by"),
    ),
    "outgoing": (
        "kind",
        "document_id",
        "status_message_id",
        "notice",
        "owner_ids",
        "recipient_ids",
        "published_at",
        "created_at",
    ),
    "status_entry": (
        *("document_id", "recipient_id", "status_message_id", "item", "by_id", "code", "at", "digest", "recorded_at"),
    ),
}


class Traffic:
    """Documents from provinces to another one's communes, whose hub it is."""

    def __init__(self, ids: dict[str, int], offices: Sequence[Office], exchange: Office) -> None:
        self._ids, self._offices, self._exchange = ids, offices, exchange
        self._statuses = 0

    def directory(self) -> Rows:
        """A certificate for everybody; those of communes are never used, and are no certificates."""
        rows, now = Rows(), datetime.now(UTC)
        rows.add("content", sha256(PART).digest(), len(PART), PART)
        signing = (*self._offices, self._exchange)
        real = {one.code: one.certificate.public_bytes(Encoding.DER) for one in signing}
        begin, end = now - timedelta(days=1), now + timedelta(days=300)
        for number, (code, agency_id) in enumerate(self._ids.items()):
            at = now + timedelta(microseconds=number)
            der = real.get(code, f"no certificate of {code}".encode())
            rows.add("certificate", sha256(der).digest(), agency_id, der, "agency", begin, end, at)
            facts = {"thumbprint": sha256(der).hexdigest(), "custody": "agency"}
            facts |= {"not_before": rfc3339(begin), "not_after": rfc3339(end)}
            change = "certificate.enrolled"
            told = directory_changed(at=at, revision=1, change=change, codes=[code], facts=facts)
            rows.tell(told, agency=agency_id)
        return rows

    def documents(self, first: int, count: int) -> Rows:
        rows = Rows()
        for number in range(first, first + count):
            self._document(rows, number)
        return rows

    def _document(self, rows: Rows, number: int) -> None:
        ids, at = self._ids, datetime.now(UTC)
        sender, hub = (self._offices[(number + step) % len(self._offices)] for step in (0, 1))
        codes = [f"{hub.code}.{(number * RECIPIENTS + one) % COMMUNES}" for one in range(RECIPIENTS)]
        digest = sha256(PART).hexdigest()
        part = {"name": "a.pdf", "media_type": "application/pdf", "size": 4, "sha256": digest, "role": "document"}
        fields = {"number": str(number), "notation": "UBND", "subject": "Về việc kết nối"}
        body = {"action": "new", "to": codes, "document": fields, "parts": [part]}
        signed, id = _signed("document", sender, sender.code, at, body)
        about = Named(sender.code, id, signed.digest)
        who, log_by, due = ids[sender.code], at + timedelta(hours=1), at + timedelta(hours=4)
        leaf = rows.tell(
            accepted(
                at=at,
                document=about,
                action="new",
                priority=0,
                test=False,
                sent_at=at,
                submitter=sender.code,
                thumbprint=sender.thumbprint,
                recipients=[(code, hub.code) for code in codes],
                parts=[digest],
                due_arrival=due,
                log_by=log_by,
                addressed=codes,
                notice=sender.code,
            ),
            document=number,
        )
        self._notice(rows, sender, about, leaf, at, log_by)
        rows.add(
            *("document", number, who, id, bytes.fromhex(signed.digest), signed.stored(), "new", str(number), "UBND"),
            *(fields["subject"], sender.thumbprint, who, at, at, leaf, log_by, len(codes)),
        )
        rows.add("document_part", number, 0, sha256(PART).digest(), "a.pdf")
        handed = dispatched(at=at, message=about, kind="document", attempt=1, owners=[hub.code], recipients=codes)
        rows.tell([handed] if isinstance(handed, Event) else handed, document=number)
        rows.add("outgoing", "document", number, None, None, [ids[hub.code]], [ids[code] for code in codes], at, at)
        for place, code in enumerate(codes):
            arrived = at if place < STATUSES else None
            state = "arrived" if arrived else "dispatched"
            rows.add("delivery", number, ids[code], ids[hub.code], code, state, due, at, arrived, 1, at)
            if arrived:
                self._status(rows, number, about, code, hub, at)

    def _notice(self, rows: Rows, sender: Office, about: Named, leaf: bytes, at: datetime, log_by: datetime) -> None:
        reference = {"from": about.from_, "id": str(about.id), "digest": about.digest}
        said = {"event": "accepted", "concerns": reference, "at": rfc3339(at), "first_accepted_at": rfc3339(at)}
        item = said | {"recipients": {"count": RECIPIENTS}, "leaf": leaf.hex(), "log_by": rfc3339(log_by)}
        signed, id = _signed("notice", self._exchange, self._exchange.code, at, {"items": [item]})
        message = Named(self._exchange.code, id, signed.digest)
        rows.tell([dispatched(at=at, message=message, kind="notice", attempt=1, owners=[sender.code])])
        rows.add("outgoing", "notice", None, None, signed.stored(), [self._ids[sender.code]], None, at, at)

    def _status(self, rows: Rows, number: int, about: Named, code: str, hub: Office, at: datetime) -> None:
        self._statuses += 1
        reference = {"from": about.from_, "id": str(about.id), "digest": about.digest}
        body = {"items": [{"concerns": reference, "code": "01", "at": rfc3339(at)}]}
        signed, id = _signed("status", hub, code, at, body)
        digest, who = bytes.fromhex(signed.digest), self._ids[code]
        recorded = RecordedStatus(item=0, document=about, recipient=code, code=StatusCode("01"), at=at)
        told = status_recorded(
            at=at,
            message=Named(code, id, signed.digest),
            submitter=hub.code,
            thumbprint=hub.thumbprint,
            items=[recorded],
            log_by=at + timedelta(hours=1),
            forwards=[[about.from_]],
        )
        leaf = rows.tell(told, document=number)
        rows.add(
            *("status_message", self._statuses, who, id, digest, signed.stored(), hub.thumbprint),
            *(self._ids[about.from_], at, at, leaf, at + timedelta(hours=1)),
        )
        message, sender = Named(code, id, signed.digest), self._ids[about.from_]
        rows.tell([dispatched(at=at, message=message, kind="status", attempt=1, owners=[about.from_])])
        rows.add("outgoing", "status", None, self._statuses, None, [sender], None, at, at)
        rows.add("status_entry", number, who, self._statuses, 0, who, "01", at, digest, at)


def _signed(kind: str, by: Office, speaker: str, at: datetime, body: dict[str, Any]) -> tuple[Any, UUID]:
    id = new_id(at)
    manifest = {"spec": "lienthong/1", "kind": kind, "id": str(id), "from": speaker, "sent_at": rfc3339(at)} | body
    payload = json.dumps(manifest, ensure_ascii=False).encode()
    return sign(payload, key=by.key, thumbprint=by.thumbprint), id


async def write(connection: Connection, rows: Rows) -> None:
    async with connection.transaction():
        for table, columns in COLUMNS.items():
            records = rows.tables.get(table)
            if records:
                # Copying numbers the events as they stand; their transaction is this one.
                await connection.copy_records_to_table(table, records=records, columns=columns)


def directory_csv() -> bytes:
    def lines() -> Iterator[str]:
        yield "code,name,level,has_mailbox,hub"
        yield f"{EXCHANGE},Trục liên thông,ministry,true,"
        for province in range(PROVINCES):
            yield f"P{province},Tỉnh {province},province,true,"
            for commune in range(COMMUNES):
                yield f"P{province}.{commune},Xã {province} {commune},commune,,P{province}"

    return "\n".join(lines()).encode()


async def measure(database: str, home: Path, documents: int) -> dict[str, object]:
    await migrate(database)
    settings = Settings(amqp_url="amqp://nobody@localhost/none", database_url=database, home=home)
    make_log_key(settings.log_key_file, settings.log_origin)
    result: dict[str, object] = {"documents": documents}
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool, pool.acquire() as connection:
        begun = time.perf_counter()
        await import_csv(connection, directory_csv(), what="bench.csv", author=AUTHOR)
        result["import_seconds"] = round(time.perf_counter() - begun, 1)
        found = await connection.fetch("SELECT code, agency_id FROM agency")
        paper = Paper(clock=datetime.now(UTC))
        traffic = Traffic(
            {row["code"]: row["agency_id"] for row in found},
            [paper.enrol(f"P{one}") for one in range(PROVINCES)],
            paper.enrol(EXCHANGE),
        )
        enrolled = traffic.directory()
        await write(connection, enrolled)
        await connection.execute(
            "INSERT INTO admin_action (at, actor, action, target, reason)"
            " SELECT at, 'bench', 'certificate.enrolled', b #>> '{facts,thumbprint}', 'a bench' FROM event,"
            " LATERAL (SELECT convert_from(body, 'UTF8')::jsonb AS b) e WHERE b ->> 'change' = 'certificate.enrolled'"
            " AND at >= $1",
            enrolled.tables["event"][0][0],
        )
        await describe(connection, author=AUTHOR)
        for first in range(1, documents + 1, 500):
            await write(connection, traffic.documents(first, min(500, documents + 1 - first)))
        await connection.execute("ANALYZE")
        counted = ("agency", "mandate", "certificate", "document", "delivery", "status_message", "outgoing", "event")
        result["rows"] = {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in counted}
        lease = Lease(pool, seconds=600)
        await lease.take()
        log, files = KeepLog(pool, settings), PublishLog(pool, settings)
        begun, before = time.perf_counter(), _peak()
        while await log.run(lease):
            pass
        await files.run(lease)
        result["sequenced_seconds"] = round(time.perf_counter() - begun, 1)
        result["sequencing_memory_growth_mb"] = _peak() - before
        vkeys = read_vkeys(vkey_file(settings.log_key_file))
        for name, full in (("verify", False), ("verify_full", True)):
            begun, before = time.perf_counter(), _peak()
            findings = [one async for one in verify(connection, vkeys, settings.log_dir, Scope(full=full))]
            result[f"{name}_seconds"] = round(time.perf_counter() - begun, 1)
            result[f"{name}_memory_growth_mb"] = _peak() - before
            assert not findings, [one.sentence() for one in findings[:3]]
        alone = {}
        for name in RECORD_CHECKS:
            begun = time.perf_counter()
            await connection.fetch(RECORDS[name], *((BEGINNING,) if "$1" in RECORDS[name] else ()))
            alone[name] = round(time.perf_counter() - begun, 2)
        result["statements"] = dict(sorted(alone.items(), key=lambda one: -one[1])[:12])
    return result


def _peak() -> int:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    documents = parser.parse_args().documents
    servers = up(REPOSITORY / ".local")
    with fresh_database(servers) as database, tempfile.TemporaryDirectory() as home:
        print(json.dumps(asyncio.run(measure(database, Path(home), documents)), indent=2))


if __name__ == "__main__":
    main()
