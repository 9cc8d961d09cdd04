"""A few documents whose answers were worked out on paper: midnight, a leap day, mergers, recalls, spelling."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from broker.audit.lookup import agency_called
from broker.audit.overview import by_commune, by_province
from broker.audit.period import Period
from broker.audit.questions import agency_day, missing, troubled
from broker.audit.read import document_meant
from broker.audit.report import report
from broker.audit.scope import Scope
from broker.audit.search import Wanted, search_documents
from broker.directory.records import AgencyId
from tests.kit.following import take_over

MINISTRY, HANOI, HOABINH, PHUTHO, WARD, NEW_WARD, MOVED, OFFICE = range(1, 9)
AGENCIES = (
    # id, code, name, level, tier, parent, state, until
    (MINISTRY, "G01", "Bộ Công an", "ministry", 1, None, "active", None),
    (HANOI, "H26", "UBND thành phố Hà Nội", "province", 1, None, "active", None),
    (HOABINH, "H28", "UBND tỉnh Hòa Bình", "province", 1, None, "closed", date(2026, 7, 1)),  # merged into H44
    (PHUTHO, "H44", "UBND tỉnh Phú Thọ", "province", 1, None, "active", None),
    (WARD, "H26.1", "UBND phường Cũ", "commune", 3, HANOI, "closed", date(2026, 7, 1)),
    (NEW_WARD, "H26.1", "UBND phường Mới", "commune", 3, HANOI, "active", None),  # the same code, later
    (MOVED, "H44.7", "UBND xã Đường Ơ", "commune", 3, PHUTHO, "active", None),  # was below H28 once
    (OFFICE, "H44.SNV", "Sở Nội vụ", "department", 2, PHUTHO, "active", None),
)
MARCH = datetime(2026, 2, 28, 17, tzinfo=UTC)
"""The first moment of March 2026 in Viet Nam."""
LEAP = datetime(2028, 2, 28, 17, tzinfo=UTC)
"""The first moment of 29 February 2028 in Viet Nam."""
TICK = timedelta(microseconds=1)
DOCUMENTS = (
    # name, sender, accepted, number, notation, subject, test
    ("february", MINISTRY, MARCH - TICK, "12", "CĐ-BCA", "Công điện về việc ứng phó bão số 3", False),
    ("march", MINISTRY, MARCH, "13", "QĐ-BCA", unicodedata.normalize("NFD", "ỨNG PHÓ BÁO CÁO ĐẤU NỐI"), False),
    ("leap", HANOI, LEAP, "1", "UBND-VX", "Đường thuỷ hoà bình, nơi ở mới", False),
    ("march2028", HANOI, LEAP + timedelta(days=1), "2", "UBND-VX", "Nước ngọt ở cù lao", False),
    ("rehearsal", HANOI, MARCH, "3", "UBND-VX", "Diễn tập ứng phó bão", True),
    ("merged", HOABINH, MARCH + timedelta(days=9), "4", "UBND-TH", "Bàn giao hồ sơ", False),
)  # fmt: skip
DUE = datetime(2026, 3, 2, tzinfo=UTC)
DELIVERIES = (
    # document, recipient, state, recalled, arrived, overdue, closed
    ("february", HANOI, "received", False, True, True, False),  # arrived late: not overdue any more
    ("february", WARD, "dispatched", False, False, True, False),  # overdue
    ("february", MOVED, "dispatched", False, False, False, False),  # not overdue yet
    ("february", OFFICE, "refused", False, False, True, True),  # was overdue, then refused: not overdue any more
    ("march", HANOI, "dispatched", True, False, True, True),  # overdue, then recalled
    ("march", MOVED, "completed", False, True, False, True),
    ("leap", NEW_WARD, "arrived", False, True, False, False),
    ("leap", MINISTRY, "dispatched", False, False, False, False),
    ("march2028", NEW_WARD, "cancelled", False, False, False, True),
    ("rehearsal", WARD, "dispatched", False, False, True, False),
    ("merged", MOVED, "arrived", False, True, False, False),
    ("merged", HOABINH, "dispatched", False, False, True, False),  # overdue at a province that was merged since
)


@pytest.fixture
async def known(migrated_database: str) -> AsyncIterator[asyncpg.Connection]:
    """The documents above, taken over."""
    connection = await asyncpg.connect(migrated_database)
    await connection.execute("SET session_replication_role = replica")
    for agency_id, code, name, level, tier, parent, state, until in AGENCIES:
        await connection.execute(
            "INSERT INTO agency (agency_id, code, name, level, tier, parent_id, state, valid_until)"
            " OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            agency_id, code, name, level, tier, parent, state, until,
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO agency_code (alias, agency_id, kind) VALUES ('000.00.01.H26', $1, 'qcvn102')", NEW_WARD
    )
    names = [row[0] for row in DOCUMENTS]
    for number, (_, sender, at, *fields) in enumerate(DOCUMENTS, start=1):
        to = sum(row[0] == names[number - 1] for row in DELIVERIES)
        await connection.execute(
            "INSERT INTO document (document_id, sender_id, id, digest, jws, action, thumbprint, submitter_id, sent_at,"
            " accepted_at, leaf, log_by, recipients, number, notation, subject, test) OVERRIDING SYSTEM VALUE"
            " VALUES ($1, $2, lpad(to_hex($1::bigint), 32, '0')::uuid, $3, '', 'new', '', $2, $4, $4, '', $4, $5,"
            " $6, $7, $8, $9)",
            number, sender, number.to_bytes(32, "big"), at, to, *fields,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO event (at, kind, body, leaf, document_id) VALUES ($1, 'accepted', '', $2, $3)",
            at, number.to_bytes(32, "big"), number,
        )  # fmt: skip
    for name, recipient, state, recalled, arrived, overdue, closed in DELIVERIES:
        await connection.execute(
            "INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, processing, recalled,"
            " due_arrival, arrived_at, overdue_at, closed_at) VALUES ($1, $2, $2, '', $3, $4, $5,"
            " CASE WHEN $6 THEN $5::timestamptz END, CASE WHEN $7 THEN $5::timestamptz END,"
            " CASE WHEN $8 THEN $5::timestamptz END)",
            names.index(name) + 1, recipient, state, recalled, DUE, arrived, overdue, closed,
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO log_origin (origin, year, opened_at) VALUES ('t/2026', 2026, now());"
        "INSERT INTO log_entry SELECT 1, row_number() OVER (ORDER BY event_id) - 1, at, event_id, leaf FROM event;"
        "SET session_replication_role = origin"
    )
    await take_over(connection)
    yield connection
    await connection.close()


async def found(connection: asyncpg.Connection, wanted: Wanted, scope: int | None = None) -> set[str]:
    page = await search_documents(connection, wanted, scope=Scope(None if scope is None else AgencyId(scope)))
    return {DOCUMENTS[one.document_id - 1][0] for one in page.documents}


SEARCHES: tuple[tuple[Wanted, set[str]], ...] = (
    (Wanted(subject="ung pho"), {"february", "march", "rehearsal"}),
    (Wanted(subject="ứng phó bão"), {"february", "rehearsal"}),
    (Wanted(subject=unicodedata.normalize("NFD", "ứng phó bão ")), {"february", "rehearsal"}),
    (Wanted(subject="ỨNG PHÓ BÁO"), {"march"}),
    (Wanted(subject="UNG PHO BAO"), {"february", "march", "rehearsal"}),
    (Wanted(subject="đấu nối"), {"march"}),
    (Wanted(subject="dau noi"), {"march"}),
    (Wanted(subject="đường thủy hòa bình"), {"leap"}),
    (Wanted(subject="duong o moi"), {"leap"}),
    (Wanted(subject="ở "), {"leap", "march2028"}),
    (Wanted(subject="ơ "), set()),
    (Wanted(subject="bão ứng", phrase=True), set()),
    (Wanted(subject="phó bão", phrase=True), {"february"} | {"rehearsal"}),
    (Wanted(number="12/CĐ-BCA"), {"february"}),
    (Wanted(number="12", notation="cđ-bca"), {"february"}),
    (Wanted(notation=unicodedata.normalize("NFD", "QĐ-BCA")), {"march"}),
    (Wanted(notation="QÐ-BCA"), {"march"}),  # Ð (U+00D0) is what many keyboards write for Đ
    (Wanted(sender="G01"), {"february", "march"}),
    (Wanted(sender="H28"), {"merged"}),
    (Wanted(recipient="H26.1"), {"february", "leap", "march2028", "rehearsal"}),  # both that had this code
    (Wanted(recipient="000.00.01.h26"), {"leap", "march2028"}),
    (Wanted(recipient="H26.1", state="arrived"), {"leap"}),
    (Wanted(under="H26"), {"february", "march", "leap", "march2028", "rehearsal"}),
    (Wanted(under="H44"), {"february", "march", "merged"}),
    (Wanted(under="H28"), {"merged"}),
    (Wanted(under="H44", state="refused"), {"february"}),
    (Wanted(overdue=True), {"february", "rehearsal", "merged"}),
    (Wanted(overdue=True, under="H44"), set()),
    (Wanted(overdue=True, recipient="H26"), set()),
    (Wanted(state="recalled"), {"march"}),
    (Wanted(state="cancelled"), {"march2028"}),
    (Wanted(until=MARCH), {"february"}),
    (Wanted(since=MARCH, until=MARCH + TICK), {"march", "rehearsal"}),
    (Wanted(since=LEAP, until=LEAP + timedelta(days=1)), {"leap"}),
)


async def test_every_search_finds_what_was_worked_out(known: asyncpg.Connection) -> None:
    wrong = []
    for wanted, answer in SEARCHES:
        if (got := await found(known, wanted)) != answer:
            wrong.append((wanted, got, answer))
        assert await found(known, replace(wanted, limit=1)) <= answer
    assert not wrong


async def test_a_subtrees_auditor_finds_his_part(known: asyncpg.Connection) -> None:
    assert await found(known, Wanted(), PHUTHO) == {"february", "march", "merged"}
    assert await found(known, Wanted(overdue=True), PHUTHO) == set()
    assert await found(known, Wanted(state="recalled"), PHUTHO) == set()
    assert await found(known, Wanted(recipient="H26"), PHUTHO) == set()
    assert await found(known, Wanted(state="recalled"), MINISTRY) == {"march"}


async def test_every_report_counts_what_was_worked_out(known: asyncpg.Connection) -> None:
    by_day = {row.key: (row.sent, row.deliveries) for row in (await report(known, by="day")).rows}
    assert by_day == {
        "2026-02-28": (1, 4),
        "2026-03-01": (1, 2),
        "2026-03-10": (1, 2),
        "2028-02-29": (1, 2),
        "2028-03-01": (1, 1),
    }
    by_month = {row.key: (row.sent, row.deliveries) for row in (await report(known, by="month")).rows}
    assert by_month == {"2026-02": (1, 4), "2026-03": (2, 4), "2028-02": (1, 2), "2028-03": (1, 1)}
    tiers = {row.key: row for row in (await report(known)).rows}
    assert {key: (row.sent, row.deliveries, row.received) for key, row in tiers.items()} == {
        "1": (5, 4, 1),
        "2": (0, 1, 0),
        "3": (0, 6, 3),
    }
    assert (tiers["1"].overdue, tiers["2"].overdue, tiers["3"].overdue) == (1, 0, 1)
    assert (tiers["2"].refused, tiers["3"].completed) == (1, 1)
    agencies = (await report(known, by="agency")).rows
    assert [(row.key, row.title, row.deliveries) for row in agencies if row.key == "H26.1"] == [
        ("H26.1", "UBND phường Cũ", 1),
        ("H26.1", "UBND phường Mới", 2),
    ]
    leap_day = await report(known, by="tier", period=Period(first=date(2028, 2, 29), last=date(2028, 2, 29)))
    assert (leap_day.total().sent, leap_day.total().deliveries) == (1, 2)
    whole = await report(known, period=Period(first=date(2026, 2, 28), last=date(2028, 2, 29)))
    assert whole.total().sent == 4
    places = {p.code: (p.sent, p.deliveries, p.arrived, p.overdue) for p in (await by_province(known)).places}
    assert places == {"H26": (2, 5, 2, 1), "H28": (1, 1, 0, 1), "H44": (0, 4, 2, 0)}
    below = (await by_commune(known, AgencyId(PHUTHO))).places
    assert {p.code: (p.deliveries, p.arrived) for p in below} == {"H44": (0, 0), "H44.7": (3, 2), "H44.SNV": (1, 0)}


async def test_every_list_names_what_was_worked_out(known: asyncpg.Connection) -> None:
    late = (await troubled(known, "overdue")).lines
    assert [(line.number, line.recipient_id, line.overdue) for line in late] == [
        ("4", HOABINH, True),
        ("3", WARD, True),
        ("12", WARD, True),
    ]
    refused = (await troubled(known, "refused")).lines
    assert [(line.number, line.recipient, line.overdue) for line in refused] == [("12", "H44.SNV", False)]
    asked = await missing(known, (await document_meant(known, "12/CĐ-BCA")).document_id)
    assert [line.recipient_id for line in asked.lines] == [WARD, MOVED, OFFICE]
    assert asked.of == 4
    communes = await missing(known, 1, level="commune", under="H44")
    assert ([line.recipient_id for line in communes.lines], communes.of) == ([MOVED], 1)
    hanoi = (await agency_called(known, "h26")).agency_id
    first_of_march = await agency_day(known, hanoi, date(2026, 3, 1))
    assert first_of_march is not None
    assert [d.number for d in first_of_march.sent] == ["3"]
    assert [(line.number, line.state, line.overdue) for line in first_of_march.received] == [("13", "recalled", False)]
    leap_day = await agency_day(known, hanoi, date(2028, 2, 29))
    assert leap_day is not None
    assert [d.number for d in leap_day.sent] == ["1"]


async def test_a_number_is_understood_however_it_is_written(known: asyncpg.Connection) -> None:
    for written in ("12/CĐ-BCA", "12/cđ-bca", unicodedata.normalize("NFD", "12/CĐ-BCA"), "12 / CĐ-BCA"):
        assert (await document_meant(known, written)).document_id == 1
