"""Tables leave the exchange as they are: nothing in them is computed by whoever opens them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from broker.audit.sheets import BOM, Sheet, as_csv, as_xlsx
from broker.audit.words import Words

HEADINGS = (Words("subject", "trích yếu"), Words("sent", "gửi"), Words("at", "lúc"), Words("day", "ngày"))
AT = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)


def sheet(*rows: tuple[object, ...]) -> Sheet:
    return Sheet(title=Words("test", "thử"), headings=HEADINGS, rows=rows, total=("tổng", 3, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =cmd|' /C calc'!A0", "＝1", "\u00a0=1"]
)
def test_text_that_a_spreadsheet_would_compute_is_made_harmless(text: str) -> None:
    written = as_csv([sheet((text, 1, None, None))], bom=False)
    (row,) = list(csv.reader(io.StringIO(written, newline="")))[2:3]
    assert row[0] == "'" + text
    page = load_workbook(io.BytesIO(as_xlsx([sheet((text, 1, None, None))]))).worksheets[0]
    assert page["A3"].data_type == "s", "a string, never a formula"


def test_headings_are_vietnamese_with_english_beneath_and_numbers_stay_numbers() -> None:
    made = sheet(("Ứng phó bão", -5, AT, date(2026, 11, 21)))
    lines = as_csv([made], bom=True).split("\r\n")
    assert lines[0] == BOM + "trích yếu,gửi,lúc,ngày" and lines[1] == "subject,sent,at,day"
    assert lines[2] == "Ứng phó bão,-5,2026-11-21 03:00:00,2026-11-21", "the time of Viet Nam"
    assert lines[3].startswith("tổng,3")
    page = load_workbook(io.BytesIO(as_xlsx([made]))).worksheets[0]
    assert [cell.value for cell in page[1]] == ["trích yếu", "gửi", "lúc", "ngày"]
    assert [cell.value for cell in page[2]] == ["subject", "sent", "at", "day"]
    assert page["B3"].value == -5 and page["C3"].value == datetime(2026, 11, 21, 3)


def test_several_tables_are_several_pages() -> None:
    book = load_workbook(io.BytesIO(as_xlsx([sheet(), Sheet(title=Words("b", "hai"), headings=HEADINGS, rows=())])))
    assert book.sheetnames == ["thử", "hai"]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30))
def test_any_text_survives_csv_and_begins_like_no_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv([sheet((text, 1, None, None))], bom=False), newline="")))
    assert rows[2][0] in (text, "'" + text)
    assert not rows[2][0].lstrip(" \u00a0").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
