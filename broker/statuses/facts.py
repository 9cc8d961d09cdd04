"""What the database knows of everything that a batch of status messages mentions. Reads, and locks deliveries.

One question for each kind of fact, whatever the size of the batch. Judging and folding are done elsewhere, from the
records made here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from broker.directory.records import AgencyId
from broker.statuses.history import Change, Recorded
from broker.statuses.judging import AskedChange, DocumentId, Known, KnownDelivery, KnownDocument
from broker.statuses.known import DeliveryFacts, EarlierMessage, Entered, Facts, Key, Place
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.states import ChangeState, Processing, StatusCode

SQL: Final = load_queries("broker.statuses", "statuses.sql")


async def earlier_messages(connection: Connection, keys: Iterable[Key]) -> dict[Key, EarlierMessage]:
    """Which of these (sender, id) are recorded status messages."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["earlier_messages"], [key[0] for key in wanted], [key[1] for key in wanted])
    return {
        (row["sender_id"], row["id"]): EarlierMessage(
            status_message_id=row["status_message_id"], digest=row["digest"].hex()
        )
        for row in rows
    }


async def earlier_requests(connection: Connection, keys: Iterable[Key]) -> dict[Key, str]:
    """The digests of requests recorded under these (sender, id)."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["earlier_requests"], [key[0] for key in wanted], [key[1] for key in wanted])
    return {(row["sender_id"], row["id"]): row["digest"].hex() for row in rows}


async def documents(
    connection: Connection, named: Iterable[tuple[str, UUID]]
) -> dict[tuple[str, UUID], list[KnownDocument]]:
    """Accepted documents by the code of their sender and their id."""
    wanted = sorted(set(named))
    found: dict[tuple[str, UUID], list[KnownDocument]] = defaultdict(list)
    if wanted:
        for row in await connection.fetch(SQL["documents"], [code for code, _ in wanted], [id for _, id in wanted]):
            document = KnownDocument(
                document_id=DocumentId(row["document_id"]),
                sender_id=AgencyId(row["sender_id"]),
                digest=row["digest"],
            )
            found[row["code"], row["id"]].append(document)
    return found


async def lock_deliveries(
    connection: Connection,
    known_documents: Mapping[tuple[str, UUID], Sequence[KnownDocument]],
    named: Iterable[tuple[DocumentId, str]],
) -> Facts:
    """Lock the named deliveries (document, recipient's code) in a fixed order and read all their history."""
    wanted = sorted(set(named))
    codes = {
        (DocumentId(row["document_id"]), AgencyId(row["recipient_id"])): row["recipient_code"]
        for row in (
            await connection.fetch(SQL["places"], [pair[0] for pair in wanted], [pair[1] for pair in wanted])
            if wanted
            else ()
        )
    }
    if not codes:
        return Facts(known=Known(documents=known_documents), deliveries={})
    rows = await connection.fetch(SQL["lock_deliveries"], [place[0] for place in codes], [place[1] for place in codes])
    deliveries: dict[Place, DeliveryFacts] = {}
    for row in rows:
        place = DocumentId(row["document_id"]), AgencyId(row["recipient_id"])
        known = KnownDelivery(
            document_id=place[0],
            recipient_id=place[1],
            recipient_code=codes[place],
            owner_id=AgencyId(row["owner_id"]),
            processing=Processing(row["processing"]),
            recalled=row["recalled"],
        )
        deliveries[place] = DeliveryFacts(
            known=known,
            anomalous=row["anomalous"],
            dispatched=row["dispatched"],
            kept_back=row["kept_back"],
            arrived_at=row["arrived_at"],
            closed_at=row["closed_at"],
            moved_at=row["moved_at"],
        )
    changes = await _read_history(connection, deliveries)
    return Facts(
        known=Known(
            documents=known_documents,
            deliveries={(d.known.document_id, d.known.recipient_code): d.known for d in deliveries.values()},
            changes=changes,
        ),
        deliveries=deliveries,
    )


async def _read_history(
    connection: Connection, deliveries: Mapping[Place, DeliveryFacts]
) -> dict[Place, list[AskedChange]]:
    """Put every recorded status and every asked change to its delivery; returns the asking messages."""
    places = [place[0] for place in deliveries], [place[1] for place in deliveries]
    for row in await connection.fetch(SQL["recorded"], *places):
        fact = Recorded(code=StatusCode(row["code"]), at=row["at"], digest=row["digest"], answers=row["answers"])
        deliveries[row["document_id"], row["recipient_id"]].entered.append(
            Entered(
                fact=fact,
                by_id=row["by_id"],
                status_message_id=row["status_message_id"],
                item=row["item"],
                anomalous=row["anomalous"],
            )
        )
    asked: dict[Place, list[AskedChange]] = defaultdict(list)
    for row in await connection.fetch(SQL["changes"], *places):
        place = row["document_id"], row["recipient_id"]
        deliveries[place].changes.append(
            Change(
                asked_by=row["asked_by"],
                kind=row["kind"],
                state=ChangeState(row["state"]),
                answered_at=row["answered_at"],
            )
        )
        asked[place].append(
            AskedChange(asked_by=row["asked_by"], sender_code=row["sender_code"], message_id=row["message_id"])
        )
    return asked
