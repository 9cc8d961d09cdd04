"""Named queries: what a .sql file must look like, and that every one of the project's does."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.store.queries import QueryFileError, load_queries, parse_queries

BROKER = Path(__file__).resolve().parents[3] / "broker"
GOOD = "-- name: one\n-- The first.\nSELECT 1;\n\n-- name: two\n-- The second.\nSELECT\n    2;\n"


def test_statements_are_found_by_name_and_keep_their_purpose_for_the_servers_log() -> None:
    queries = parse_queries(GOOD, origin="x.sql")
    assert list(queries) == ["one", "two"]
    assert queries["two"] == "-- name: two\n-- The second.\nSELECT\n    2"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: one\nSELECT 1;", "no purpose line"),
        ("-- name: one\n-- Why.\n", "no statement"),
        (GOOD + "-- name: one\n-- Again.\nSELECT 3;", "taken"),
        ("-- name: One\n-- Why.\nSELECT 1;", "lower_case_name"),
        ("SELECT 1;\n" + GOOD, "before the first"),
    ],
)
def test_a_sloppy_query_file_is_refused_with_the_place(text: str, complaint: str) -> None:
    with pytest.raises(QueryFileError, match=complaint):
        parse_queries(text, origin="x.sql")


def test_every_query_file_of_the_broker_can_be_loaded() -> None:
    files = [path for path in BROKER.rglob("*.sql") if path.parent.name != "migrations"]
    assert files
    for path in files:
        package = ".".join(path.parent.relative_to(BROKER.parent).parts)
        assert load_queries(package, path.name), path
