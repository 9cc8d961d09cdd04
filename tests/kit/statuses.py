"""Statuses and requests as an agency signs them, for tests of what the exchange does with them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from schemas.times import new_id, rfc3339
from tests.kit.exchange import PATIENCE, Delivered, End, Exchange, Letter, digest_of

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """A signed status message or request."""

    manifest: dict[str, Any]
    body: bytes
    digest: str

    @property
    def id(self) -> UUID:
        return UUID(self.manifest["id"])

    def reference(self) -> dict[str, str]:
        """As a status that answers names it: by sender and id."""
        return {"from": self.manifest["from"], "id": self.manifest["id"]}


def at(minutes: float) -> str:
    """A signed time, so many minutes after a noon that all tests share."""
    return rfc3339(NOON + timedelta(minutes=minutes))


def item(letter: Letter | Mapping[str, str], code: str, minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """One status item about a letter (or the reference of one); `for_` is written as `for`."""
    concerns = letter.reference() if isinstance(letter, Letter) else dict(letter)
    renamed = {name.rstrip("_"): value for name, value in fields.items()}
    return {"concerns": concerns, "code": code, "at": at(minutes)} | renamed


def status(exchange: Exchange, speaker: End, *items: Mapping[str, Any], by: End | None = None, **fields: Any) -> Spoken:
    """A status message of `speaker`, signed by it or by the hub `by`."""
    return _spoken(exchange, speaker, {"kind": "status", "items": list(items)} | fields, by)


def replay(exchange: Exchange, speaker: End, since: datetime, **fields: Any) -> Spoken:
    """A request for everything since a moment."""
    return _spoken(exchange, speaker, {"kind": "request", "request": "replay", "since": rfc3339(since)} | fields, None)


async def report(exchange: Exchange, speaker: End, *items: Mapping[str, Any], by: End | None = None) -> Spoken:
    """Sign a status message and submit it."""
    spoken = status(exchange, speaker, *items, by=by)
    await exchange.submit(spoken.body, by or speaker, kind="status")
    return spoken


async def forwarded(exchange: Exchange, end: End, spoken: Spoken, *, copies: int = 1) -> Delivered:
    """Wait for the given number of copies of a status message in a mailbox; the last of them."""
    box = await exchange.mailbox(end)

    def found() -> Delivered | None:
        come = [one for one in box.statuses() if one.message.signed.digest == spoken.digest]
        return come[-1] if len(come) >= copies else None

    return await box.until(found, f"copy {copies} of status message {spoken.id}")


async def eventually(exchange: Exchange, query: str, *arguments: object, what: str | None = None) -> Any:
    """Ask the database until the answer is true, and return it; for facts of which no message tells."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not (answer := await exchange.pool.fetchval(query, *arguments)):
                await asyncio.sleep(0.01)
            return answer
    except TimeoutError:
        raise AssertionError(f"waited {PATIENCE:g} s in vain for {what or query}") from None


async def sent(exchange: Exchange, sender: End, *to: End) -> Letter:
    """A letter that has come into every mailbox, and whose dispatch is on record."""
    letter = exchange.letter(sender, to)
    await exchange.send(letter, sender)
    await asyncio.gather(*(exchange.document_at(end, letter) for end in to))
    await dispatched(exchange, letter)
    return letter


async def dispatched(exchange: Exchange, letter: Letter) -> None:
    """Wait until a letter's dispatch to everybody is on record: its copies may be faster."""
    query = """SELECT count(*) > 0 AND bool_and(v.dispatched_at IS NOT NULL)
               FROM delivery v JOIN document d USING (document_id) WHERE d.id = $1"""
    await eventually(exchange, query, letter.id, what=f"the dispatch of {letter.id}")


async def delivery(exchange: Exchange, letter: Letter, recipient: End) -> Mapping[str, Any]:
    """The row of one delivery."""
    row = await exchange.pool.fetchrow(
        "SELECT v.* FROM delivery v JOIN document d USING (document_id) WHERE d.id = $1 AND v.recipient_id = $2",
        letter.id,
        recipient.id,
    )
    assert row is not None, f"{recipient.code} is no recipient of {letter.id}"
    return dict(row)


def _spoken(exchange: Exchange, speaker: End, fields: dict[str, Any], by: End | None) -> Spoken:
    now = datetime.now(UTC)
    manifest = {
        "spec": "lienthong/1",
        "id": str(new_id(now)),
        "from": speaker.code,
        "sent_at": rfc3339(now),
    } | fields
    body = exchange.body(manifest, by or speaker)
    return Spoken(manifest=manifest, body=body, digest=digest_of(body))
