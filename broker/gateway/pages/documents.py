"""A document's pages: its story from sender to commune, each delivery with its signatures, the proof to take away.

What a visitor may not see is not loaded: a document out of scope does not exist, a delivery out of scope is not there.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode
from uuid import UUID

from starlette.responses import Response

from broker.audit.explain import explain
from broker.audit.overview import document_by_province
from broker.audit.record import DeliveryRecord, DocumentRecord, Story
from broker.audit.scope import visible
from broker.audit.terms import words_of
from broker.audit.timeline import Moment, timeline
from broker.audit.words import PROCESSING
from broker.directory.records import AgencyId
from broker.directory.snapshot import Directory
from broker.gateway.pages.country import document_sheet
from broker.gateway.pages.guard import Denied, Page, Visit, page
from broker.gateway.pages.naming import fits
from broker.gateway.pages.tables import Form, download
from broker.gateway.pages.told import refused
from broker.intake.checks import judge_signature
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.errors import Refusal
from schemas.jws import parse_stored
from schemas.verdict import Finding, SignatureVerdict

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
DELIVERIES_SHOWN: Final = 50
MOMENTS_SHOWN: Final = 30
STATES: Final = ("overdue", *PROCESSING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A document as one visitor sees it."""

    document_id: int
    document: DocumentRecord
    story: Story
    moments: tuple[Moment, ...]
    whole: bool
    """Everything of it; otherwise only its deliveries in the visitor's subtree are in `story`."""
    alone: bool
    """All its deliveries are in `story`: nobody else received it."""


async def seen_id(visit: Visit, connection: Connection) -> tuple[int, bool]:
    """The number of the document of the address, and whether all of it may be seen. Raises `Denied` as below."""
    agencies = await visible(connection, visit.scope)
    row = await connection.fetchrow(SQL["document_seen"], visit.path("sender"), _uuid(visit.path("id")), agencies)
    if row is None:
        raise Denied(status=404)
    return row["document_id"], row["whole"]


async def seen_document(visit: Visit, connection: Connection) -> Seen:
    """The document of the address. Raises `Denied` (404) if there is none, or none that this visitor may see."""
    document_id, whole = await seen_id(visit, connection)
    told = await visit.site.stories.of(connection, document_id, visit.path("sender"), visit.path("id"))
    story, moments = told.story, told.moments
    document = story.document
    assert document is not None
    alone = True
    if not whole:
        agencies = await visible(connection, visit.scope)
        codes = set(await connection.fetchval(SQL["codes_seen"], document_id, agencies))
        alone = all(d.recipient in codes for d in story.deliveries)
        document = replace(document, unresolved=(), warnings=(), recipients=len(codes))
        story = replace(
            story,
            deliveries=tuple(d for d in story.deliveries if d.recipient in codes),
            statuses=tuple(s for s in story.statuses if s.recipient in codes),
            changes=tuple(c for c in story.changes if c.recipient in codes),
            unpublished=(),
            rejections=(),
            document=document,
        )
        moments = tuple(timeline(story))
    return Seen(
        document_id=document_id, document=document, story=story, moments=moments, whole=whole, alone=whole or alone
    )


async def pulse_of(connection: Connection, document_id: int, agencies: list[int] | None) -> str:
    """A word that changes whenever something happens to a document's deliveries, to all or to those of a subtree."""
    row = await connection.fetchrow(SQL["pulse"], document_id, agencies)
    return json.dumps([str(value) for value in row] if row else [])


async def show(visit: Visit) -> Response:
    """The document: what it is, where it is, and everything that happened to it."""
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
        row = await connection.fetchrow(SQL["document_bytes"], seen.document_id)
        parts = await connection.fetch(SQL["parts"], seen.document_id)
        agencies = await visible(connection, visit.scope)
        pulse = await pulse_of(connection, seen.document_id, None if seen.whole else agencies)
        related = await connection.fetch(SQL["related"], seen.document_id, agencies)
        places = await document_by_province(connection, seen.document_id, scope=visit.scope)
        actions = []
        if visit.account.operates:
            actions = await connection.fetch(SQL["actions"], str(seen.document.id), 20)
    assert row is not None
    directory = visit.site.gateway.directory.current
    verdict = await asyncio.to_thread(
        judge,
        row["jws"],
        seen.document.digest,
        row["sender_id"],
        row["submitter_id"],
        row["sent_at"],
        row["accepted_at"],
        directory,
    )
    story, moments = seen.story, seen.moments
    if story.rejections and visit.language != "en":
        story = replace(story, rejections=tuple(refused(one, visit.language) for one in story.rejections))
        moments = tuple(timeline(story))
    return visit.show(
        "document.html",
        d=seen.document,
        whole=seen.whole,
        pulse=pulse,
        verdict=verdict,
        parts=parts,
        related=related,
        actions=actions,
        explanation=explain(story, now=datetime.now(UTC)).sentences,
        moments=moments if visit.query("all") else moments[:MOMENTS_SHOWN],
        more_moments=0 if visit.query("all") else max(0, len(moments) - MOMENTS_SHOWN),
        counts=_counts(story.deliveries),
        sheet=document_sheet(places.places, story.deliveries, linked=None if visit.scope.root is None else ()),
        places=[place for place in places.places if place.deliveries],
        **_listed(visit, story.deliveries),
    )


def _counts(deliveries: tuple[DeliveryRecord, ...]) -> dict[str, int]:
    found = Counter(d.state for d in deliveries)
    counts = {state: found[state] for state in PROCESSING if found[state]}
    late = sum(is_overdue(d) for d in deliveries)
    return {"overdue": late, **counts} if late else counts


def is_overdue(delivery: DeliveryRecord) -> bool:
    """Past its deadline, and to this day without the recipient's signed 01."""
    return delivery.overdue_at is not None and delivery.arrived_at is None and delivery.closed_at is None


def _chosen(visit: Visit, deliveries: tuple[DeliveryRecord, ...]) -> list[DeliveryRecord]:
    """The deliveries that the visitor filtered for, by state and by the recipient's code or words of its name."""
    state, to = visit.query("state"), visit.query("to") or ""
    words = words_of(to)
    return [
        d
        for d in deliveries
        if (state not in STATES or _in_state(d, state))
        and (not to or d.recipient.startswith(to.upper()) or fits(words, d.recipient_name))
    ]


def _listed(visit: Visit, deliveries: tuple[DeliveryRecord, ...]) -> dict[str, Any]:
    """Of what the visitor filtered for, one page."""
    chosen, state = _chosen(visit, deliveries), visit.query("state")
    text = visit.query("page") or "1"
    number = max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    begin = (number - 1) * DELIVERIES_SHOWN
    return {
        "deliveries": chosen[begin : begin + DELIVERIES_SHOWN],
        "found": len(chosen),
        "of": len(deliveries),
        "begin": begin,
        "page_number": number,
        "pages": -(-len(chosen) // DELIVERIES_SHOWN),
        "state": state if state in STATES else "",
        "to": visit.query("to") or "",
        "overdue": is_overdue,
        "filtered": lambda form: _file_of(visit, form),
    }


def _file_of(visit: Visit, form: str) -> str:
    """The address of the deliveries that are filtered for, as a file."""
    path = f"/documents/{quote(visit.path('sender'), safe='')}/{visit.path('id')}/deliveries{form}"
    asked = {name: visit.query(name) for name in ("to", "state") if visit.query(name)}
    return f"{path}?{urlencode(asked)}" if asked else path


def _in_state(delivery: DeliveryRecord, state: str | None) -> bool:
    if state == "overdue":
        return is_overdue(delivery)
    return delivery.state == state


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedStatus:
    """One status of a delivery with what is to be said of its signature."""

    code: str
    at: datetime
    recorded_at: datetime
    reason: str | None
    anomalous: bool
    by: str
    by_name: str
    custody: str
    digest: str
    verdict: SignatureVerdict


async def delivery(visit: Visit) -> Response:
    """One delivery: its statuses, who signed them, and whether the signatures hold."""
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
        found = next((d for d in seen.story.deliveries if d.recipient == visit.path("recipient")), None)
        if found is None:
            raise Denied(status=404)
        rows = await connection.fetch(
            SQL["status_messages"], seen.document_id, found.recipient, await visible(connection, visit.scope)
        )
    directory = visit.site.gateway.directory.current
    statuses = await asyncio.to_thread(lambda: [_signed(row, directory) for row in rows])
    changes = [c for c in seen.story.changes if c.recipient == found.recipient]
    return visit.show(
        "delivery.html",
        d=seen.document,
        whole=seen.whole,
        delivery=found,
        statuses=statuses,
        changes=changes,
        overdue=is_overdue(found),
    )


_COPIED: Final = ("code", "at", "recorded_at", "reason", "anomalous", "by", "by_name", "custody", "digest")


def _signed(row: Any, directory: Directory) -> SignedStatus:
    return SignedStatus(
        **{name: row[name] for name in _COPIED},
        verdict=judge(
            row["jws"],
            row["digest"],
            row["sender_id"],
            row["signer_id"],
            row["sent_at"],
            row["accepted_at"],
            directory,
        ),
    )


def judge(
    jws: bytes,
    digest: str,
    sender_id: int,
    submitter_id: int,
    sent_at: datetime,
    accepted_at: datetime,
    directory: Directory,
) -> SignatureVerdict:
    """The three answers about stored bytes, as of their acceptance, with what the directory knows of the keys today.

    `digest` is what the record says of them; bytes that are not those, or no message at all, have a bad answer too.
    """
    try:
        signed = parse_stored(jws)
    except Refusal as refusal:
        return _not_judged(refusal.code, f"the stored bytes are no signed message: {refusal.found}")
    if signed.digest != digest:
        return _not_judged("LT-SIGNATURE", f"the stored bytes are {signed.digest}, the record says {digest}")
    return judge_signature(
        signed,
        sender=directory.by_id(AgencyId(sender_id)),
        submitter=directory.by_id(AgencyId(submitter_id)),
        sent_at=sent_at,
        directory=directory,
        now=accepted_at,
    )


def _not_judged(code: str, why: str) -> SignatureVerdict:
    unknown = Finding.unknown(code, "there is no signature to ask about")
    return SignatureVerdict(cryptography=Finding.bad(code, why), trust=unknown, policy=unknown)


async def deliveries_file(visit: Visit) -> Response:
    """The deliveries that the visitor filtered for, of all that he sees, as a file."""
    form: Form = "xlsx" if visit.path("form") == "xlsx" else "csv"
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
    heads = ("recipient", "state", "overdue", "mailbox", "addressed_as", "due", "dispatched", "arrived", "closed")
    rows = [
        (
            d.recipient,
            d.recipient_name,
            visit.site.renderer.word(PROCESSING[d.state], visit.language),
            visit.say("yes") if is_overdue(d) else "",
            d.owner,
            d.addressed_as,
            d.due_arrival,
            d.dispatched_at,
            d.arrived_at,
            d.closed_at,
        )
        for d in _chosen(visit, seen.story.deliveries)
    ]
    titles = (visit.say("column.code"), *(visit.say(f"column.{head}") for head in heads))
    return await download(form, f"deliveries-{seen.document.id}", titles, rows)


async def by_id(visit: Visit) -> Response:
    """Where a bare id or digest leads: to the one document that it names."""
    wanted = visit.path("id").lower()
    digest = bytes.fromhex(wanted) if len(wanted) == 64 and set(wanted) <= set("0123456789abcdef") else b""
    identifier = UUID(int=0) if digest else _uuid(wanted)
    async with visit.reading() as connection:
        agencies = await visible(connection, visit.scope)
        rows = await connection.fetch(SQL["document_anywhere"], identifier, digest, agencies)
    if not rows:
        raise Denied(status=404)
    if len(rows) > 1:
        return visit.redirect(f"/search?id={wanted}")
    return visit.redirect(f"/documents/{rows[0]['sender']}/{rows[0]['id']}")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Denied(status=404) from None


PAGES: tuple[Page, ...] = (
    page("/documents/{id}", by_id),
    page("/documents/{sender}/{id}", show),
    page("/documents/{sender}/{id}/deliveries.{form}", deliveries_file),
    page("/documents/{sender}/{id}/deliveries/{recipient}", delivery),
)
