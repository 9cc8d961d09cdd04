"""Conditions over terms: which of them are worth a look into the index."""

from __future__ import annotations

import pytest

from broker.audit.conditions import by_cost

FREQUENT, RARE = 500_000, 100


@pytest.mark.parametrize(
    ("conditions", "looked_up", "checked"),
    [
        (["'viec':*", "'@r5'"], "'@r5'", "'viec':*"),
        (["'viec'", "'@r5'"], "'viec' & '@r5'", None),
        (["'bao':*", "'@r5'"], "'bao':* & '@r5'", None),
        (["'viec':*"], "'viec':*", None),
        (["('ve' <-> 'viec':*)", "'@r5'"], "'@r5'", "('ve' <-> 'viec':*)"),
        (["'viec':*", "'ve'"], "'viec':* & 've'", None),
    ],
)
def test_a_frequent_beginning_of_a_word_is_checked_where_something_rare_is_asked_too(
    conditions: list[str], looked_up: str, checked: str | None
) -> None:
    counts = {"'viec':*": FREQUENT, "'viec'": FREQUENT, "'ve'": FREQUENT, "'bao':*": 2 * RARE, "'@r5'": RARE}
    assert by_cost(conditions, counts) == (looked_up, checked)
