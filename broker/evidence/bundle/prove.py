"""Makes the bundle of one document, or of one delivery of it: finds it, collects, assembles. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime

from broker.audit.read import story_of
from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.collect import Selection, collect
from broker.evidence.bundle.heads import heads_of
from broker.evidence.bundle.trees import SQL
from broker.identity import BrokerIdentity
from broker.store.pool import Connection
from schemas.problem import Problem


async def prove(
    connection: Connection,
    document: str,
    *,
    identity: BrokerIdentity,
    sender: str | None = None,
    recipient: str | None = None,
    since: bytes | None = None,
) -> bytes:
    """The bundle of the document that a person means by `document` (id, digest, or number/notation).

    `recipient` narrows it to one delivery, `since` is the note of an older checkpoint from which consistency is proved.
    Raises Problem if there is no such document or its acceptance is under no checkpoint yet.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        story = await story_of(connection, document, sender=sender, recipient=recipient)
        found = story.document
        if found is None:
            raise Problem(
                f"Every message under “{document}” was refused: there is no document to prove.",
                "a document that the exchange accepted.",
                "See why with `lienthong document trace`.",
            )
        ids = [row[0] for row in await connection.fetch(SQL["changes_of"], [found.document_id])]
        codes = frozenset({recipient}) if recipient is not None else None
        heads = await heads_of(connection, since)
        material = await collect(
            connection, Selection(documents={one: codes for one in ids}), heads, identity.thumbprint, stamped=True
        )
    if found.digest not in material.documents:
        raise Problem(
            f"Document {found.id} was accepted at {found.accepted_at:%H:%M:%S}, after the newest checkpoint.",
            f"a checkpoint that covers it; the log has promised one by {found.log_by:%H:%M:%S}.",
            "Try again in a moment; if it stays so, let the keeper run (`lienthong keeper`).",
        )
    scope = scope_of({"from": found.sender, "id": str(found.id), "digest": found.digest}, recipient)
    return assemble(material, scope=scope, identity=identity, made_at=datetime.now(UTC))
