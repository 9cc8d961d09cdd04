"""Figures are sums over documents, whatever order they were looked at in."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.audit.figures import COLUMNS, EVERY_AGENCY, Counted, Sums, by_month, changes
from broker.audit.period import Period

DAYS = st.dates(date(2026, 1, 28), date(2026, 2, 3))


@st.composite
def documents(draw: st.DrawFn) -> Counted:
    recipients = sorted(draw(st.sets(st.integers(1, 4), max_size=4)))
    standings = [draw(st.integers(0, 10)) + draw(st.sampled_from((0, 16, 32))) for _ in recipients]
    return Counted(
        day=draw(DAYS),
        sender_id=draw(st.integers(1, 4)),
        test=draw(st.booleans()),
        recipient_ids=recipients,
        standings=standings,
    )


def added(total: Sums, more: Sums) -> Sums:
    for key, values in more.items():
        total[key] = [a + b for a, b in zip(total.get(key, [0] * len(values)), values, strict=True)]
    return {key: values for key, values in sorted(total.items()) if any(values)}


@given(st.lists(st.tuples(st.integers(0, 3), documents()), max_size=12))
def test_changes_in_any_order_add_up_to_what_the_last_looks_come_to(looks: list[tuple[int, Counted]]) -> None:
    known: dict[int, Counted] = {}
    total: Sums = {}
    for number, document in looks:
        before = [known[number]] if number in known else []
        total = added(total, changes(before, [document]))
        known[number] = document
    assert total == changes([], known.values())
    assert added({}, by_month(total)) == by_month(changes([], known.values()))


@given(st.lists(documents(), max_size=8))
def test_states_exclude_each_other_and_every_agency_is_the_sum_of_all(documents: list[Counted]) -> None:
    sums = changes([], documents)
    for values in sums.values():
        told = dict(zip(COLUMNS, values, strict=True))
        assert told["deliveries"] == sum(values[4:])
    for day in {day for _, day in sums}:
        of_day = [values for (agency, other), values in sums.items() if other == day and agency != EVERY_AGENCY]
        assert sums.get((EVERY_AGENCY, day)) == [sum(column) for column in zip(*of_day, strict=True)]


@given(st.dates(date(2025, 11, 20), date(2026, 4, 10)), st.integers(0, 140))
def test_whole_months_and_the_days_around_them_are_the_period(first: date, length: int) -> None:
    period = Period(first=first, last=first + timedelta(days=length))
    begin, end, *spans = period.months_and_days()
    days: list[date] = []
    if begin < end:
        days += [begin + timedelta(days=n) for n in range((end - begin).days)]
        assert begin.day == end.day == 1
    for start, after in (spans[:2], spans[2:]):
        days += [start + timedelta(days=n) for n in range((after - start).days)]
    assert sorted(days) == [first + timedelta(days=n) for n in range(length + 1)]


def test_an_open_period_consists_of_months() -> None:
    begin, end, *spans = Period().months_and_days()
    assert begin.year == 1900 and end.year == 3000
    assert spans[0] == spans[1] and spans[2] == spans[3]
