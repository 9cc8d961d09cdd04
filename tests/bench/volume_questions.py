"""What auditors ask of the databases that `audit_volume` makes, each question with arguments drawn anew."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeAlias

import asyncpg

from broker.audit.overview import by_commune, by_province, document_by_province
from broker.audit.period import Period
from broker.audit.questions import agency_day, missing, troubled
from broker.audit.read import story_of
from broker.audit.report import report
from broker.audit.scope import Scope
from broker.audit.search import Wanted, search_documents
from broker.audit.timeline import timeline
from tests.kit.traffic import Office, offices_of

LETTERS = 500
LETTER = """
SELECT d.document_id, d.id, d.number, d.notation, s.code AS sender
FROM document d JOIN agency s ON s.agency_id = d.sender_id WHERE {}"""
YEAR = Period(first=date(2026, 1, 1), last=date(2026, 12, 31))

Question: TypeAlias = Callable[[Any, random.Random], Awaitable[object]]
"""Asks over a connection (or something that behaves like one), with arguments that it draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What questions draw their arguments from, looked up before anything is measured."""

    offices: Sequence[Office]
    letters: Sequence[asyncpg.Record]
    """Documents from all over the year: `id`, `number`, `notation`, and `sender` by its code."""
    telegram: asyncpg.Record
    """The same of a document to every agency of the country."""

    @classmethod
    async def of(cls, connection: asyncpg.Connection) -> Known:
        """A database's."""
        last = await connection.fetchval("SELECT max(document_id) FROM document")
        drawn = random.Random(7).sample(range(1, last), LETTERS)
        letters = await connection.fetch(LETTER.format("d.document_id = ANY ($1)"), drawn)
        telegram = await connection.fetchrow(LETTER.format("d.recipients > 3000 ORDER BY d.document_id LIMIT 1"))
        assert telegram is not None
        return cls(offices=await offices_of(connection), letters=letters, telegram=telegram)


def questions(known: Known) -> Mapping[str, Question]:
    """What is asked, each with arguments drawn anew."""
    offices, telegram = known.offices, known.telegram
    by_level: dict[str, list[Office]] = {}
    for office in offices:
        by_level.setdefault(office.level, []).append(office)
    everybody = [office.code for office in offices]
    provinces = [p for p in by_level["province"] if any(o.parent_id == p.agency_id for o in offices)]

    def search(**fields: Callable[[random.Random], object]) -> Question:
        async def ask(connection: Any, draw: random.Random) -> object:
            return await search_documents(connection, Wanted(**{k: make(draw) for k, make in fields.items()}))  # type: ignore[arg-type]

        return ask

    def day(draw: random.Random) -> date:
        return date(2026, 1, 1) + timedelta(days=draw.randrange(360))

    def old(draw: random.Random) -> object:
        return Period(last=day(draw)).end

    async def trace(connection: Any, draw: random.Random) -> object:
        return timeline(await story_of(connection, str(draw.choice(known.letters)["id"])))

    async def trace_telegram(connection: Any, draw: random.Random) -> object:
        return timeline(await story_of(connection, str(telegram["id"])))

    async def trace_number(connection: Any, draw: random.Random) -> object:
        letter = draw.choice(known.letters)
        name = f"{letter['number']}/{letter['notation']}"
        return await search_documents(connection, Wanted(number=name, sender=letter["sender"]))

    async def scoped(connection: Any, draw: random.Random) -> object:
        scope = Scope(draw.choice(provinces).agency_id)  # type: ignore[arg-type]
        return await search_documents(
            connection, Wanted(subject="ứng phó bão", overdue=draw.random() < 0.5), scope=scope
        )

    async def missing_communes(connection: Any, draw: random.Random) -> object:
        return await missing(connection, telegram["document_id"], under=draw.choice(provinces).code, level="commune")

    async def telegram_map(connection: Any, draw: random.Random) -> object:
        return await document_by_province(connection, telegram["document_id"])

    async def one_day(connection: Any, draw: random.Random) -> object:
        return await agency_day(connection, draw.choice(provinces).agency_id, day(draw))  # type: ignore[arg-type]

    async def overdue(connection: Any, draw: random.Random) -> object:
        return await troubled(connection, "overdue", under=draw.choice([None, draw.choice(provinces).code]))

    async def refused(connection: Any, draw: random.Random) -> object:
        return await troubled(connection, "refused", level=draw.choice(["commune", "district", "province"]))

    async def edges(connection: Any, draw: random.Random) -> object:
        first = date(2026, 1, 2) + timedelta(days=draw.randrange(60))
        return await report(connection, period=Period(first=first, last=first + timedelta(days=290)))

    async def scoped_days(connection: Any, draw: random.Random) -> object:
        return await report(connection, by="day", period=YEAR, scope=Scope(draw.choice(provinces).agency_id))  # type: ignore[arg-type]

    async def communes(connection: Any, draw: random.Random) -> object:
        return await by_commune(connection, draw.choice(provinces).agency_id, period=YEAR)  # type: ignore[arg-type]

    common = ("ve viec", "trien khai", "cong tac", "bao cao", "ke hoach")
    asked: dict[str, Question] = {
        "trace by id": trace,
        "trace: a telegram to everybody": trace_telegram,
        "search: newest": search(),
        "search: frequent word": search(subject=lambda d: d.choice(common)),
        "search: ứng phó bão": search(subject=lambda d: d.choice(("ung pho bao", "ứng phó bão số 3"))),
        "search: phrase": search(subject=lambda d: d.choice(("cháy rừng", "hạn mặn")), phrase=lambda d: True),
        "search: nothing has it": search(subject=lambda d: "bão cháy hạn mặn"),
        "search: frequent word, rare recipient": search(
            subject=lambda d: d.choice(common), recipient=lambda d: d.choice(by_level["commune"]).code
        ),
        "search: frequent word, any sender": search(
            subject=lambda d: d.choice(common), sender=lambda d: d.choice(everybody)
        ),
        "search: frequent word, old period": search(subject=lambda d: d.choice(common), until=old),
        "search: two frequent agencies": search(
            sender=lambda d: d.choice(("G01", "G22", "H26")), recipient=lambda d: d.choice(("H26", "H01", "H05"))
        ),
        "search: recipient and state": search(
            recipient=lambda d: d.choice(everybody), state=lambda d: d.choice(("assigned", "refused", "held"))
        ),
        "search: overdue below a province": search(under=lambda d: d.choice(provinces).code, overdue=lambda d: True),
        "search: state, word, old period": search(
            subject=lambda d: d.choice(common), state=lambda d: d.choice(("held", "recalled")), until=old
        ),
        "search: number and notation": trace_number,
        "search: a subtree's auditor": scoped,
        "missing: communes of a province": missing_communes,
        "agency's day": one_day,
        "overdue list": overdue,
        "refused list by level": refused,
        "report: the national table, all time": lambda c, d: report(c),
        "report: year by tier": lambda c, d: report(c, period=YEAR),
        "report: 290 days from any day by tier": edges,
        "report: year by agency": lambda c, d: report(c, by="agency", period=YEAR),
        "report: year by day": lambda c, d: report(c, by="day", period=YEAR),
        "report: year by day, a subtree's auditor": scoped_days,
        "overview: country, year": lambda c, d: by_province(c, period=YEAR),
        "overview: a province's communes, year": communes,
        "overview: one telegram": telegram_map,
    }
    return asked
