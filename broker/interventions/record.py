"""Writes down what an operator did: who and why in the database, digests and pseudonyms in the event (contract §9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from broker.directory.changing import Author
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.exchange_events import operator_action
from schemas.problem import USAGE, Problem

SQL: Final = load_queries("broker.interventions", "interventions.sql")

LONGEST_REASON: Final = 2_000
"""Characters of a reason."""


def operator(author: Author) -> Author:
    """`author` with a reason that says something. Raises Problem if it is empty or longer than `LONGEST_REASON`."""
    reason = author.reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise Problem(
            found=f"a reason of {len(reason)} characters",
            expected=f"why this is done, in at most {LONGEST_REASON} characters: it is kept with the action",
            remedy="say why",
            exit_code=USAGE,
        )
    return replace(author, reason=reason)


async def write_down(
    connection: Connection,
    who: Author,
    action: str,
    target: str,
    *,
    at: datetime,
    document_id: int | None = None,
    recipients: Sequence[str] = (),
) -> None:
    """Record `action` on `target` in the caller's transaction: a row of what operators did, and the events of it."""
    await connection.execute(SQL["write_action"], at, who.actor, action, target, who.reason)
    for event in operator_action(
        at=at,
        actor=who.pseudonym,
        action=action,
        target=target,
        reason_digest=who.reason_digest,
        recipients=recipients,
    ):
        await connection.execute(SQL["write_event"], event.at, event.kind, event.body, event.leaf, document_id)
