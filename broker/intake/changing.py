"""What an accepted recall, update or replacement does to the deliveries it concerns (contract §2.2, §3.3, §7).

Runs inside the transaction that accepts the change. The deliveries are locked first, so that a dispatch which is being
recorded at the same moment either is seen here, or sees this change and lets it follow (`broker.dispatch.recording`).
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.directory.records import AgencyId
from broker.dispatch.fanout import plan
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.recording import insert_outgoing_documents
from broker.dispatch.unpublished import load_jobs
from broker.intake.acceptance import Acceptance
from broker.intake.changes import ChangePlan
from broker.intake.recipients import Recipient
from broker.intake.records import SQL
from broker.store.pool import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenChange:
    """Which copies of the change may leave at once."""

    ready: tuple[Recipient, ...]
    """The others follow when the document itself has been handed to them, or are not needed at all."""
    jobs: tuple[OutgoingJob, ...]
    """Copies of the original for recipients that an update adds."""


@dataclass(slots=True)
class _Told:
    """What is known of one recipient of the change."""

    dispatched: bool = False
    waiting: bool = False


async def write_change(
    connection: Connection, document_id: int, acceptance: Acceptance, change: ChangePlan
) -> WrittenChange:
    """Link the change to what it concerns and put each delivery to `asked`.

    A delivery that has not been handed to RabbitMQ is recalled without ever going out; other changes of it wait.
    """
    concerned = sorted(earlier.document_id for earlier in change.concerned)
    await connection.execute(SQL["insert_concerns"], document_id, concerned)
    added = await _give_original(connection, concerned, acceptance, change)
    rows = await connection.fetch(SQL["lock_deliveries"], concerned)
    told: dict[AgencyId, _Told] = {r.agency.id: _Told() for r in acceptance.resolution.recipients}
    asked: list[tuple[int, int, bool]] = []
    for row in rows:
        target = change.asked.get((row["document_id"], row["recipient_id"]), row["recipient_id"])
        about = told.get(target)
        if about is None or not row["can_change"]:
            continue
        recalled_unseen = change.kind == "recall" and not row["dispatched"]
        about.dispatched |= row["dispatched"]
        about.waiting |= not row["dispatched"] and not recalled_unseen
        if (row["document_id"], row["recipient_id"]) in change.asked:
            asked.append((row["document_id"], row["recipient_id"], recalled_unseen))
    await _ask(connection, document_id, acceptance, change, asked)
    unseen = {change.asked[document, AgencyId(recipient)] for document, recipient, recalled in asked if recalled}
    needless = [agency_id for agency_id in unseen if not told[agency_id].dispatched]
    if needless:
        await connection.execute(SQL["cancel_deliveries"], document_id, needless, acceptance.at)
    ready = tuple(
        r for r in acceptance.resolution.recipients if not told[r.agency.id].waiting and r.agency.id not in needless
    )
    return WrittenChange(ready=ready, jobs=tuple(added))


async def _ask(
    connection: Connection,
    document_id: int,
    acceptance: Acceptance,
    change: ChangePlan,
    asked: list[tuple[int, int, bool]],
) -> None:
    if not asked:
        return
    await connection.execute(
        SQL["insert_change_requests"],
        [document for document, _, _ in asked],
        [recipient for _, recipient, _ in asked],
        bytes.fromhex(acceptance.digest),
        change.kind,
        document_id,
        acceptance.at,
        [recalled for _, _, recalled in asked],
    )
    unseen = [(document, recipient) for document, recipient, recalled in asked if recalled]
    if unseen:
        await connection.execute(
            SQL["recall_undispatched"], [pair[0] for pair in unseen], [pair[1] for pair in unseen], acceptance.at
        )


async def _give_original(
    connection: Connection, concerned: list[int], acceptance: Acceptance, change: ChangePlan
) -> list[OutgoingJob]:
    """Recipients that an update adds receive the original too (contract §2.2); those who have it do not again."""
    if not change.added:
        return []
    pairs = [(document_id, recipient) for document_id in concerned for recipient in change.added]
    rows = await connection.fetch(
        SQL["insert_deliveries"],
        [document_id for document_id, _ in pairs],
        [r.agency.id for _, r in pairs],
        [r.owner.id for _, r in pairs],
        [r.addressed_as for _, r in pairs],
        [acceptance.due_arrival for _ in pairs],
    )
    new = {(row["document_id"], row["recipient_id"]) for row in rows}
    publishes = [
        (document_id, publish)
        for document_id in concerned
        for publish in plan(r for r in change.added if (document_id, r.agency.id) in new)
    ]
    if not publishes:
        return []
    await connection.execute(SQL["count_recipients"], sorted({document_id for document_id, _ in publishes}))
    ids = await insert_outgoing_documents(connection, publishes, acceptance.at)
    return await load_jobs(connection, ids, now=acceptance.at)
