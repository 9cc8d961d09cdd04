"""How long a part that keeps ending waits for its next start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.supervisor import FIRST_WAIT, LONGEST_WAIT, wait_before_restart


@given(st.integers(min_value=0, max_value=10**6))
def test_waits_grow_and_are_bounded(failures: int) -> None:
    assert FIRST_WAIT <= wait_before_restart(failures) <= wait_before_restart(failures + 1) <= LONGEST_WAIT


def test_one_failure_is_repaired_at_once() -> None:
    assert wait_before_restart(1) == FIRST_WAIT
