"""Rows of the directory against what events describe: by ids, the newest counts, and old versions accuse nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any

import pytest

from broker.directory.describing import TABLES, Described, digest
from broker.evidence.verify_directory import Told, compare
from schemas.canonical import canonical_json
from schemas.exchange_events import ROWS_PER_EVENT, directory_changed, directory_described

AT = datetime(2026, 3, 12, tzinfo=UTC)
TABLE = {table.table: table for table in TABLES}
AGENCY: dict[str, Any] = {
    "agency_id": 7, "code": "H53", "name": "Tỉnh Tây Ninh", "level": "province", "tier": 1, "parent_id": None,
    "state": "active", "has_mailbox": True, "derived": False, "nso_code": "72", "valid_from": date(2019, 3, 12),
    "valid_until": None, "revision": 5,
}  # fmt: skip


def described(table: Described, *rows: dict[str, Any], revision: int = 5) -> list[bytes]:
    told = [table.told(row) for row in rows]
    events = directory_described(at=AT, revision=revision, table=table.table, columns=list(table.columns), rows=told)
    return [event.body for event in events]


def changed(word: str, revision: int) -> list[bytes]:
    return [event.body for event in directory_changed(at=AT, revision=revision, change=word, codes=["H53"])]


def found(rows: Sequence[dict[str, Any]], *bodies: bytes, table: str = "agency") -> list[tuple[str, str]]:
    findings, before = compare(TABLE[table], rows, Told.of(bodies), {7: "H53", 8: "H53"})
    return [(one.key, one.what) for one in findings] + [("before", str(before))] * bool(before)


def test_a_row_as_it_was_told_is_no_finding_and_no_name_is_in_the_event() -> None:
    (body,) = described(TABLE["agency"], AGENCY)
    assert found([AGENCY], body) == []
    assert "Tây" not in body.decode() and sha256("Tỉnh Tây Ninh".encode()).hexdigest() in body.decode()


@pytest.mark.parametrize("column", [column for column in AGENCY if column != "agency_id"])
def test_every_column_of_an_agency_is_found_under_its_name(column: str) -> None:
    value: Any = {"valid_from": date(2020, 1, 1), "valid_until": date(2020, 1, 1), "revision": 4}.get(column, "x")
    assert found([AGENCY | {column: value}], *described(TABLE["agency"], AGENCY)) == [("H53", column)]


def test_a_row_that_is_gone_and_one_too_many_are_found_although_their_codes_are_the_same() -> None:
    other = AGENCY | {"agency_id": 8}
    bodies = described(TABLE["agency"], AGENCY)
    assert found([other], *bodies) == [("H53", "row"), ("H53", "row")]
    assert found([AGENCY, other], *bodies, *described(TABLE["agency"], other)) == []


def test_the_newest_event_counts() -> None:
    later = AGENCY | {"name": "Tỉnh khác", "revision": 9}
    bodies = described(TABLE["agency"], AGENCY) + described(TABLE["agency"], later, revision=9)
    assert found([later], *bodies) == []
    assert found([AGENCY], *bodies) == [("H53", "name"), ("H53", "revision")]


def test_what_a_version_of_before_wrote_last_is_passed_over_and_counted() -> None:
    old = AGENCY | {"revision": 3}
    silent = changed("agencies.imported", 3)
    assert found([old], *silent) == [("before", "1")]
    assert found([old | {"revision": 4}], *silent) == [("H53", "row")], "no change of that revision"
    bodies = described(TABLE["agency"], AGENCY) + changed("agency.mailbox", 9)
    assert found([AGENCY | {"has_mailbox": False, "revision": 9}], *bodies) == [("before", "1")]
    assert found([AGENCY | {"has_mailbox": False, "revision": 3}], *silent, *bodies) == [
        ("H53", "has_mailbox"),
        ("H53", "revision"),
    ], "it was told after that"


def test_after_everything_was_described_nothing_is_passed_over() -> None:
    bodies = changed("agencies.imported", 3) + changed("directory.described", 6)
    assert found([AGENCY | {"revision": 3}], *bodies) == [("H53", "row")]


def test_bytes_that_are_no_event_of_the_directory_are_somebody_elses_finding() -> None:
    (body,) = described(TABLE["agency"], AGENCY)
    assert found([AGENCY], body, b"\xff", b"{}", b"[]", b'{"event":"directory_described","rows":[]}') == []


def test_lists_are_told_by_what_is_in_them_and_in_which_order() -> None:
    assert digest([1, 2]) == sha256(canonical_json([1, 2])).hexdigest() != digest([2, 1])
    assert digest([b"a", b"b"]) not in (digest([b"ab"]), digest(b"ab"), digest([b"b", b"a"]))
    assert digest([]) != digest(None) is None


def test_the_longest_rows_fit_into_an_event() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
    longest = {
        "agency": AGENCY | {"agency_id": 2**53 - 1, "code": "H" * 35, "parent_id": 2**53 - 1, "revision": 2**53 - 1,
                            "level": "department", "state": "suspended", "valid_until": date(2099, 1, 1)},
        "certificate": {"thumbprint": bytes(32), "agency_id": 2**53 - 1, "chain": [], "custody": "agency",
                        "not_before": last, "not_after": last, "enrolled_at": last, "revoked_at": last,
                        "revoked_why": "x", "revision": 2**53 - 1},
    }  # fmt: skip
    for table, row in longest.items():
        bodies = described(TABLE[table], *[row] * (2 * ROWS_PER_EVENT + 1))
        assert len(bodies) == 3


def test_no_text_gets_into_a_description() -> None:
    with pytest.raises(ValueError, match="one word"):
        directory_described(at=AT, revision=1, table="agency", columns=["name"], rows=[["Tây Ninh"]])
    with pytest.raises(ValueError, match="one word"):
        directory_described(at=AT, revision=1, table="agency", columns=["a b"], rows=[])
