"""A subtree's auditor sees all that concerns the subtree and nothing else: compared with looking at everything."""

from __future__ import annotations

import random
from datetime import date, timedelta

import asyncpg
import pytest

from broker.audit.overview import by_commune, by_province, document_by_commune, document_by_province
from broker.audit.period import Period, day_of
from broker.audit.questions import Trouble, agency_day, missing, troubled
from broker.audit.read import document_meant, story_of
from broker.audit.report import DIMENSIONS, Report, recount, report
from broker.audit.scope import EVERYTHING, Scope
from broker.audit.search import Wanted, search_documents
from broker.directory.records import AgencyId
from schemas.problem import Problem
from tests.integration.audit.memory import Memory

ROOTS = (None, "H53", "G01", "H01", "H01.SNV", "H26")
SUBJECTS = (
    "ung pho bao", "ứng phó bão", "ve viec", "cháy rừng", "chay rung ", "bao cao ket qua", "kế hoạch đầu", "hoi",
    "khong co", "bão số 3", "tỉnh",
)  # fmt: skip
QUESTIONS = 16
STATES = ("accepted", "dispatched", "arrived", "received", "assigned", "completed", "refused", "recalled", "held")


def scope_of(memory: Memory, root: str | None) -> tuple[Scope, set[int] | None]:
    if root is None:
        return EVERYTHING, None
    return Scope(AgencyId(memory.codes[root])), memory.below(memory.codes[root])


def drawn(draw: random.Random, memory: Memory) -> Wanted:
    """Any combination of what can be asked."""
    start = memory.papers[-1].accepted_at
    busy = ("H53", "H01", "H26", "G01", "G22", "H01.SNV", "H53.25459", "H05", "G02")
    chances = {
        "subject": lambda: draw.choice(SUBJECTS),
        "phrase": lambda: True,
        "sender": lambda: draw.choice(busy),
        "recipient": lambda: draw.choice(busy),
        "under": lambda: draw.choice(busy),
        "state": lambda: draw.choice(STATES),
        "overdue": lambda: True,
        "since": lambda: start + timedelta(days=draw.randrange(365)),
        "until": lambda: start + timedelta(days=draw.randrange(365)),
        "number": lambda: draw.choice(memory.papers).number,
        "notation": lambda: draw.choice(memory.papers).notation.lower(),
    }
    likely = {"phrase": 0.1, "number": 0.05, "notation": 0.05, "overdue": 0.15, "since": 0.2, "until": 0.2}
    fields = {name: make() for name, make in chances.items() if draw.random() < likely.get(name, 0.3)}
    return Wanted(**fields, limit=draw.choice((7, 50, 400)))


@pytest.mark.parametrize("root", ROOTS)
async def test_a_search_finds_exactly_what_looking_at_every_document_finds(
    filled: asyncpg.Connection, memory: Memory, root: str | None
) -> None:
    scope, view = scope_of(memory, root)
    draw = random.Random(f"{root}")
    not_empty = 0
    for _ in range(QUESTIONS):
        wanted = drawn(draw, memory)
        expected = memory.search(wanted, view)
        found: list[int] = []
        while True:
            page = await search_documents(filled, wanted, scope=scope)
            found += [one.document_id for one in page.documents]
            if page.exact:
                assert page.estimate == len(expected), wanted
            if page.after is None or len(found) > 3 * wanted.limit:
                break
            wanted = Wanted(**{n: getattr(wanted, n) for n in wanted.__slots__} | {"after": page.after})
        assert found == expected[: len(found)], wanted
        assert page.after is not None or len(found) == len(expected), wanted
        not_empty += bool(expected)
    assert not_empty >= QUESTIONS / 6, "questions that find nothing prove little"


@pytest.mark.parametrize("root", ROOTS)
async def test_reports_count_the_agencies_of_the_scope_and_equal_a_recount(
    filled: asyncpg.Connection, memory: Memory, root: str | None
) -> None:
    scope, view = scope_of(memory, root)
    first = day_of(memory.papers[-1].accepted_at)
    for period in (Period(), Period(first=first + timedelta(days=20), last=first + timedelta(days=200))):
        papers = [p for p in memory.papers if not p.test and period.holds(day_of(p.accepted_at))]
        sent = sum(view is None or p.sender in view for p in papers)
        got = [one for p in papers for one in p.deliveries if view is None or one.recipient in view]
        for by in DIMENSIONS:
            told = await report(filled, by=by, period=period, scope=scope)
            total = told.total()
            assert (total.sent, total.deliveries) == (sent, len(got)), by
            assert total.received == sum(one.confirmed for one in got)
            assert total.refused == sum(one.state == "refused" for one in got)
            assert total.overdue == sum(one.overdue for one in got)
            assert told.rows == (await again(filled, by, period, scope)).rows, by
    by_tier = {row.key: row.deliveries for row in (await report(filled, scope=scope)).rows}
    papers = [p for p in memory.papers if not p.test]
    for tier in ("1", "2", "3"):
        expected = sum(
            (view is None or one.recipient in view) and str(memory.tiers[one.recipient]) == tier
            for p in papers
            for one in p.deliveries
        )
        assert by_tier[tier] == expected


async def again(connection: asyncpg.Connection, by: object, period: Period, scope: Scope) -> Report:
    return await recount(connection, by=by, since=period.begin, until=period.end, scope=scope)  # type: ignore[arg-type]


async def test_the_overview_of_the_country_and_of_a_province_is_the_sum_of_its_agencies(
    filled: asyncpg.Connection, memory: Memory
) -> None:
    papers = [p for p in memory.papers if not p.test]
    for root in (None, "H53", "H01.SNV"):
        scope, view = scope_of(memory, root)
        places = {place.code: place for place in (await by_province(filled, scope=scope)).places}
        if root is not None:
            assert set(places) == {root[:3]}
        for code in ("H53", "H01", "H26"):
            inside = memory.below(memory.codes[code]) & (view if view is not None else set(memory.parents))
            got = [one for p in papers for one in p.deliveries if one.recipient in inside]
            if code not in places:
                assert not inside
                continue
            place = places[code]
            assert place.deliveries == len(got) == sum(place.states.values())
            assert place.sent == sum(p.sender in inside for p in papers)
            assert place.overdue == sum(one.overdue for one in got)
            communes = (await by_commune(filled, place.agency_id, scope=scope)).places
            assert sum(one.deliveries for one in communes) == len(got)
            assert {one.agency_id for one in communes} <= inside


async def test_one_documents_deliveries_outside_the_scope_are_never_shown(
    filled: asyncpg.Connection, memory: Memory
) -> None:
    telegram = max(memory.papers, key=lambda paper: len(paper.deliveries))
    assert len(telegram.deliveries) > 1_000
    identifier = str(await filled.fetchval("SELECT id FROM document WHERE document_id = $1", telegram.document_id))
    for root in ("H53", "H01", "G01", "H01.SNV"):
        scope, view = scope_of(memory, root)
        assert view is not None
        visible = {one.recipient for one in memory.seen(telegram, view)}
        if not visible:
            with pytest.raises(Problem):
                await story_of(filled, identifier, scope=scope)
            with pytest.raises(Problem):
                await document_meant(filled, identifier, scope=scope)
            continue
        story = await story_of(filled, identifier, scope=scope)
        assert {memory.codes[one.recipient] for one in story.deliveries} == visible
        assert {memory.codes[one.recipient] for one in story.statuses} <= visible
        silent = {one.recipient for one in memory.seen(telegram, view) if not one.confirmed}
        found = await missing(filled, telegram.document_id, scope=scope)
        assert {one.recipient_id for one in found.lines} == silent and found.of == len(visible)
        countrywide = await document_by_province(filled, telegram.document_id, scope=scope)
        assert sum(place.deliveries for place in countrywide.places) == len(visible)
        province = AgencyId(memory.codes["H53"])
        communes = await document_by_commune(filled, telegram.document_id, province, scope=scope)
        assert {place.agency_id for place in communes.places} == visible & memory.below(province)


async def test_which_communes_of_a_province_have_not_received_it(filled: asyncpg.Connection, memory: Memory) -> None:
    telegram = max(memory.papers, key=lambda paper: len(paper.deliveries))
    inside = {agency for agency in memory.below(memory.codes["H53"]) if memory.levels[agency] == "commune"}
    found = await missing(filled, telegram.document_id, level="commune", under="H53")
    expected = {one.recipient for one in telegram.deliveries if one.recipient in inside and not one.confirmed}
    assert {one.recipient_id for one in found.lines} == expected
    assert found.of == sum(one.recipient in inside for one in telegram.deliveries) > len(expected)


@pytest.mark.parametrize("trouble", ["overdue", "refused"])
async def test_the_lists_of_overdue_and_refused_deliveries_are_complete_page_by_page(
    filled: asyncpg.Connection, memory: Memory, trouble: Trouble
) -> None:
    for root, under, level in ((None, None, None), ("H01", None, None), (None, "H26", "commune"), ("H01", "H53", None)):
        scope, view = scope_of(memory, root)
        inside = set(memory.parents) if under is None else memory.below(memory.codes[under])
        expected = [
            (paper.document_id, one.recipient)
            for paper in memory.papers
            for one in sorted(memory.seen(paper, view), key=lambda one: -one.recipient)
            if (one.overdue if trouble == "overdue" else one.state == "refused")
            and one.recipient in inside
            and (level is None or memory.levels[one.recipient] == level)
        ]
        found: list[tuple[int, int]] = []
        after = None
        while True:
            page = await troubled(filled, trouble, under=under, level=level, limit=37, after=after, scope=scope)
            found += [(one.document_id, one.recipient_id) for one in page.lines]
            assert trouble != "refused" or all(one.reason for one in page.lines)
            after = page.after
            if after is None:
                break
        assert found == expected, (root, under, level)


async def test_what_an_agency_did_on_a_day(filled: asyncpg.Connection, memory: Memory) -> None:
    busiest, outside = AgencyId(memory.codes["H26"]), Scope(AgencyId(memory.codes["H53"]))
    days = {day_of(p.accepted_at) for p in memory.papers if p.sender == busiest}
    for day in sorted(days)[3:6]:
        told = await agency_day(filled, busiest, day)
        assert told is not None
        of_day = [p for p in reversed(memory.papers) if day_of(p.accepted_at) == day]
        assert [one.document_id for one in told.sent] == [p.document_id for p in of_day if p.sender == busiest]
        to = [p.document_id for p in of_day if any(one.recipient == busiest for one in p.deliveries)]
        assert [one.document_id for one in told.received] == to
        assert all(day_of(one.at) == day for one in told.statuses)
        assert await agency_day(filled, busiest, day, scope=outside) is None
    assert not (await agency_day(filled, busiest, date(2020, 1, 1))).sent  # type: ignore[union-attr]
