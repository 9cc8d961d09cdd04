"""What an import decides before anything is written."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.directory.csv_rows import AgencyRow, read_csv
from broker.directory.national import read_national
from broker.directory.planning import Defaults, ImportPlan, plan_import
from broker.directory.snapshot import AgencyId, Alias, Directory
from tests.unit.directory.rows import agency, mandate

TODAY = date(2026, 11, 22)
EMPTY = Directory.build(today=TODAY)


def plan(text: str, directory: Directory = EMPTY, *, update: bool = False, **defaults: object) -> ImportPlan:
    read = read_csv(text.encode(), what="a.csv")
    assert not read.rejected
    return plan_import(read.rows, directory, today=TODAY, defaults=Defaults(**defaults), update=update)  # type: ignore[arg-type]


def reasons(found: ImportPlan) -> dict[int, str]:
    return {row.line: row.reason for row in found.rejected}


def test_of_a_code_that_stands_twice_the_first_row_is_taken() -> None:
    found = plan("code,name,level\nG1,Một,ministry\nG1,Hai,ministry\n")
    assert [row.name for row in found.added] == ["Một"]
    assert reasons(found) == {3: "the code G1 stands on line 2 already, for “Một”"}


def test_superiors_and_hubs_may_come_later_in_the_file() -> None:
    found = plan("code,name,level,parent,hub,has_mailbox\nH1.1,Xã,commune,H1,H1,\nH1,Tỉnh,province,,,true\n")
    assert [row.code for row in found.added] == ["H1.1", "H1"]
    assert [(row.code, hub) for row, hub in found.new_mandates] == [("H1.1", "H1")]


def test_who_names_a_rejected_superior_falls_out_with_it() -> None:
    found = plan("code,name,level,parent\nA.1.1,x,commune,A.1\nA.1,x,district,A\nB,x,province,\n")
    assert [row.code for row in found.added] == ["B"]
    assert reasons(found) == {
        2: "parent A.1 is neither in the directory nor in this file",
        3: "parent A is neither in the directory nor in this file",
    }


def test_superiors_in_a_circle_are_rejected_and_their_offices_stay_out_of_it() -> None:
    found = plan("code,name,level,parent\nA,x,commune,B\nB,x,commune,A\nC,x,commune,C\nD,x,commune,\n")
    assert [row.code for row in found.added] == ["D"]
    assert set(reasons(found).values()) == {"its own superior, directly or through others"}


def test_a_hub_needs_a_mailbox() -> None:
    directory = Directory.build([agency(1, "H1"), agency(2, "H2", has_mailbox=True)], today=TODAY)
    found = plan("code,name,level,hub\nA,x,commune,H1\nB,x,commune,H2\nC,x,commune,H3\n", directory)
    assert [row.code for row in found.added] == ["B"]
    assert reasons(found)[2] == "hub H1 has no mailbox of its own"


def test_a_row_that_says_what_the_directory_says_changes_nothing() -> None:
    directory = Directory.build([agency(1, "H1", name="Tỉnh Một")], today=TODAY)
    found = plan("code,name\nH1,tỉnh một\n", directory)
    assert (found.added, found.updated, found.unchanged, found.rejected) == ((), (), 1, ())


def test_a_row_that_differs_is_rejected_unless_updating_was_asked_for() -> None:
    directory = Directory.build([agency(1, "H1", name="Tỉnh Một")], today=TODAY)
    text = "code,name,has_mailbox\nH1,Tỉnh Hai,true\n"
    assert "the name “Tỉnh Một”; no mailbox of its own" in reasons(plan(text, directory))[2]
    ((row, existing),) = plan(text, directory, update=True).updated
    assert (row.name, existing.name) == ("Tỉnh Hai", "Tỉnh Một")


def test_an_alias_of_somebody_else_is_rejected() -> None:
    alias = Alias(alias="X", agency_id=AgencyId(1), kind="local")
    directory = Directory.build([agency(1, "H1")], [alias], today=TODAY)
    found = plan("code,name,level,aliases\nA,x,commune,X\nB,x,commune,Y\nC,x,commune,Y\nD,x,commune,H1\n", directory)
    assert [row.code for row in found.added] == ["B"]
    assert reasons(found) == {
        2: "the alias X names H1 already",
        4: "the alias Y names B already",
        5: "the alias H1 names H1 already",
    }


def test_a_row_without_a_level_takes_the_default_and_else_is_rejected() -> None:
    assert "no level" in reasons(plan("code,name\nA,x\n"))[2]
    assert plan("code,name\nA,x\n", level="commune").added[0].level == "commune"


def test_the_default_hub_serves_those_without_a_mailbox() -> None:
    directory = Directory.build([agency(1, "H1", has_mailbox=True)], today=TODAY)
    found = plan("code,name,level,has_mailbox\nA,x,commune,true\nB,x,commune,false\n", directory, hub="H1")
    assert [(row.code, hub) for row, hub in found.new_mandates] == [("B", "H1")]


def test_a_closed_agency_and_its_successor_may_share_a_code() -> None:
    found = plan("code,name,level,valid_until,successors\nA,Cũ,commune,2025-07-01,A\nA,Mới,commune,,\nB,x,commune,,A\n")
    assert [(row.code, row.name) for row in found.added] == [("A", "Mới"), ("A", "Cũ")]
    assert "not closed" in reasons(found)[4]


def test_a_mandate_that_exists_is_not_given_again() -> None:
    rows = [agency(1, "H1", has_mailbox=True), agency(2, "A", name="x")]
    directory = Directory.build(rows, mandates=[mandate(1, 2)], today=TODAY)
    assert plan("code,name,hub\nA,x,H1\n", directory).new_mandates == ()


def _line_of(row: AgencyRow) -> int:
    return row.line


@given(
    rows=st.lists(
        st.builds(
            AgencyRow,
            line=st.integers(2, 10_000),
            code=st.sampled_from("ABCDEF"),
            name=st.just("x"),
            level=st.sampled_from(["commune", None]),
            parent=st.one_of(st.none(), st.sampled_from("ABCDEFG")),
            hub=st.one_of(st.none(), st.sampled_from("ABC")),
            has_mailbox=st.one_of(st.none(), st.booleans()),
            valid_until=st.sampled_from([None, date(2020, 1, 1), date(2030, 1, 1)]),
        ),
        max_size=12,
        unique_by=_line_of,
    )
)
def test_every_row_is_added_or_rejected_and_what_is_added_hangs_together(rows: list[AgencyRow]) -> None:
    found = plan_import(rows, EMPTY, today=TODAY, defaults=Defaults(), update=False)
    done = [row.line for row in found.added] + [row.line for row in found.rejected]
    assert sorted(done) == sorted(row.line for row in rows)
    open_codes = [row.code for row in found.added if row.valid_until is None or row.valid_until > TODAY]
    assert len(open_codes) == len(set(open_codes))
    assert all(row.level for row in found.added)
    assert {row.parent for row in found.added if row.parent} <= set(open_codes)
    with_mailbox = {row.code for row in found.added if row.has_mailbox and row.code in open_codes}
    assert {row.hub for row in found.added if row.hub} <= with_mailbox


@pytest.mark.parametrize("update", [False, True])
def test_the_national_directory_has_no_bad_row(update: bool) -> None:
    rows, rejected, _ = read_national()
    assert rejected == ()
    found = plan_import(rows, EMPTY, today=TODAY, defaults=Defaults(), update=update)
    assert found.rejected == ()
    by_level = {level: sum(row.level == level for row in found.added if row.valid_until is None)
                for level in ("ministry", "province", "department", "commune")}  # fmt: skip
    assert by_level == {"ministry": 26, "province": 34, "department": 272, "commune": 3321}
    assert len(found.new_mandates) == 272 + 3321
    with_mailbox = {row.level: 0 for row in found.added}
    for row in found.added:
        with_mailbox[row.level] += bool(row.has_mailbox)
    assert with_mailbox == {"ministry": 26, "province": 34, "department": 0, "commune": 96}
    assert {row.code[:3] for row in found.added if row.level == "commune" and row.has_mailbox} == {"H53"}
    assert all(bool(row.derived) == (row.level in ("department", "commune")) for row in found.added)
