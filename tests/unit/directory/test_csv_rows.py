"""Reading agencies from files as they come."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.directory.csv_rows import read_csv
from schemas.problem import Problem


def read(*lines: str) -> tuple[list[str], list[tuple[int, str]]]:
    found = read_csv("\n".join(lines).encode(), what="a.csv")
    return [row.code for row in found.rows], [(row.line, row.reason) for row in found.rejected]


def test_all_columns_of_the_own_format_are_read() -> None:
    given_cells = {
        "code": "h53.1", "name": "  UBND  xã Một ", "level": "commune", "tier": "3", "parent": "H53",
        "has_mailbox": "no", "hub": "H53", "derived": "true", "valid_from": "2019-03-12", "valid_until": "2025-07-01",
        "nso_code": "00001", "aliases": "x.1 000.01.00.H53", "successors": "H53.2=main part;H53.3", "latitude": "10.5",
    }  # fmt: skip
    text = ",".join(given_cells) + "\n" + ",".join(given_cells.values()) + "\n"
    found = read_csv(text.encode(), what="a.csv")
    (row,) = found.rows
    assert (row.line, row.code, row.name, row.level, row.tier) == (2, "H53.1", "UBND xã Một", "commune", 3)
    assert (row.parent, row.has_mailbox, row.hub, row.derived) == ("H53", False, "H53", True)
    assert (row.valid_from, row.valid_until, row.nso_code) == (date(2019, 3, 12), date(2025, 7, 1), "00001")
    assert row.aliases == (("X.1", "local"), ("000.01.00.H53", "qcvn102"))
    assert row.successors == (("H53.2", "main part"), ("H53.3", "part"))
    assert found.ignored_columns == ("latitude",)


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ("H 53,Tên,commune", "code “H 53”; expected groups of A-Z and 0-9"),
        (f"{'H' * 36},Tên,commune", "at most 35 characters"),
        ("H53,,commune", "no name"),
        ("H53,Tên\x07,commune", "control characters"),
        ("H53,Tên,village", "level “village”; expected one of ministry"),
        ("H53,Tên", "2 cells under 3 columns"),
        ("H53,Tên,commune,x", "4 cells under 3 columns"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line_and_reason(cells: str, reason: str) -> None:
    good, bad = read("code,name,level", "G01,Bộ Công an,ministry", cells, "G02,Bộ Công Thương,ministry")
    assert good == ["G01", "G02"]
    assert [line for line, _ in bad] == [3] and reason in bad[0][1]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("tier", "4", "expected 1, 2 or 3"),
        ("has_mailbox", "maybe", "expected true or false"),
        ("valid_from", "1/7/2025", "expected a day such as 2025-07-01"),
        ("parent", "H 53", "parent “H 53”"),
        ("successors", "H53=half", "=whole, =main part or =part"),
    ],
)
def test_a_bad_particular_names_its_column(column: str, value: str, reason: str) -> None:
    good, bad = read(f"code,name,{column}", f"H53,Tây Ninh,{value}")
    assert good == [] and reason in bad[0][1]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    good, bad = read("code,name", '"H53","UBND', 'tỉnh"', "", "H 1,x")
    assert good == ["H53"] and [line for line, _ in bad] == [5]


def test_a_row_that_is_not_utf8_does_not_spoil_the_others() -> None:
    found = read_csv(
        b"code,name\nG01,B\xf4 C\xf4ng an\nG02,B\xe1\xbb\x99 C\xc3\xb4ng Th\xc6\xb0\xc6\xa1ng\n", what="a.csv"
    )
    assert [row.name for row in found.rows] == ["Bộ Công Thương"]
    assert found.rejected[0].reason == "a name that is not UTF-8"


@pytest.mark.parametrize("text", ["\ufeffcode,name\r\nG01,Bộ\r\n", "Code;Name\nG01;Bộ\n", "name,code\nBộ,G01"])
def test_what_spreadsheets_write_is_read(text: str) -> None:
    (row,) = read_csv(text.encode(), what="a.csv").rows
    assert (row.code, row.name) == ("G01", "Bộ")


def test_names_are_compared_in_one_form() -> None:
    (row,) = read_csv("code,name\nG01,Bo\u0302\u0323\n".encode(), what="a.csv").rows
    assert row.name == "Bộ"


@pytest.mark.parametrize(
    ("old", "name", "code", "level", "parent"),
    [
        ("000.00.00.G01", "Bộ Công an", "G01", "ministry", None),
        ("000.00.00.H53", "UBND Tỉnh Tây Ninh", "H53", "province", None),
        ("000.00.02.H53", "Sở Công Thương", "H53.02", "department", "H53"),
        ("000.00.31.H53", "UBND huyện Bến Cầu", "H53.31", "district", "H53"),
        ("000.20.31.H53", "UBND Thị trấn Bến Cầu huyện Bến Cầu", "H53.31.20", "commune", "H53.31"),
        ("000.01.31.H53", "Văn phòng HĐND-UBND huyện Bến Cầu", "H53.31.01", "department", "H53.31"),
    ],
)
def test_the_older_lists_give_code_alias_level_and_superior(
    old: str, name: str, code: str, level: str, parent: str | None
) -> None:
    (row,) = read_csv(f"code_qcvn102,name\n{old},{name}\n".encode(), what="a.csv").rows
    assert (row.code, row.level, row.parent, row.aliases) == (code, level, parent, ((old, "qcvn102"),))


def test_a_header_that_fits_nothing_is_a_sentence() -> None:
    with pytest.raises(Problem) as caught:
        read_csv(b"ma,ten\nG01,x\n", what="agencies.csv")
    assert "agencies.csv begins with the columns ma, ten" in caught.value.diagnostics()


@given(body=st.binary(max_size=300))
def test_every_line_of_a_file_is_taken_or_rejected_and_never_a_crash(body: bytes) -> None:
    found = read_csv(b"code,name\n" + body, what="a.csv")
    lines = [row.line for row in found.rows] + [row.line for row in found.rejected]
    assert len(lines) == len(set(lines)) and all(line >= 2 for line in lines)
