"""When recorded history and the program's migrations do not agree."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.store.migrations import Migration, Recorded, available, contradictions
from schemas.problem import Problem

ONE = Migration(number=1, name="0001_one", sql="SELECT 1")
TWO = Migration(number=2, name="0002_two", sql="SELECT 2")
THREE = Migration(number=3, name="0003_three", sql="SELECT 3")


def recorded(migration: Migration, checksum: str | None = None) -> Recorded:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Recorded(
        number=migration.number, name=migration.name, checksum=checksum or migration.checksum, applied_at=at
    )


def test_what_was_applied_as_it_is_leaves_nothing_to_complain_about() -> None:
    assert contradictions([ONE, TWO, THREE], [recorded(ONE), recorded(TWO)]) == ()


@pytest.mark.parametrize(
    ("files", "history", "complaint"),
    [
        ([ONE, TWO], [recorded(ONE, "0" * 64)], "0001_one was changed after it was applied on 2026-01-01"),
        ([ONE], [recorded(ONE), recorded(TWO)], "0002_two was applied to this database"),
        ([ONE, TWO, THREE], [recorded(ONE), recorded(THREE)], "0002_two has a lower number than 0003"),
    ],
)
def test_history_that_was_changed_lost_or_slipped_into_is_named(
    files: list[Migration], history: list[Recorded], complaint: str
) -> None:
    (sentence,) = contradictions(files, history)
    assert complaint in sentence


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    for name in ("0001_one.sql", "0001_other.sql"):
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(Problem, match="0001_other"):
        available(tmp_path)
