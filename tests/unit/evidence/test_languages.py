"""Whatever `audit verify` and `fsck` find, they tell an auditor in Vietnamese as well.

These tests go through the source: whoever adds a finding, or something to look at, adds its Vietnamese.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping

import pytest
from rich.console import Console

from broker.cli.findings import findings_table
from broker.evidence.finding_sentences import EXAMINED_ROWS, FOUND, KEYS, LOOKED_AT, cells, looked_at
from broker.evidence.findings import Finding
from schemas.languages import Words
from tests.kit import sentences

FINDING = (
    "broker/evidence/verify*.py",
    "broker/evidence/*_rows.py",
    "broker/evidence/fsck.py",
    "broker/evidence/growth.py",
    "broker/evidence/checkpoints.py",
)
EVIDENCE = tuple(f"broker/evidence/{name}.py" for name in ("merkle", "notes", "tiles", "timestamps"))
VALUES = re.compile(r"^(X\d|[ :,()]| - )*$")
"""Nothing but what is filled in."""
NO_TEXT = re.compile(
    r"^(SET LOCAL |the table checkpoint$|cosignature/v1\n"
    r"|note: X1$|X1: X2 of X3$|X1 of X2: X3|what has X1$|X1 \((old|new) tree\)$)"
)
"""Statements and logs; and pieces, which are told as part of a whole."""
LISTED = {" (not in the log yet)"}
"""In the list of events that say the same: it is shown as it is."""
ENGLISH = re.compile(
    r"\b(the|of|and|is|was|were|not|by|with|that|which|has|have|been|found|expected|nothing|row|rows|no|as|an|to|at)\b"
)


def _told(text: str) -> bool:
    finding = Finding(where=text, key=text, what=text, found=text, expected=text)
    told = {*cells(finding, "vi"), looked_at(text, "vi")} - {text}
    return any(not ENGLISH.search(re.sub(r"`[^`]*`|X\d+", "", one)) for one in told)


def _untold(found: Iterator[tuple[str, str]], least: int) -> list[str]:
    texts = [one for one in found if not VALUES.match(one[1]) and not NO_TEXT.match(one[1])]
    assert len(texts) > least
    return [f"{place}: {text}" for place, text in texts if not _told(text)]


def test_every_sentence_of_a_finding_is_known_in_vietnamese() -> None:
    assert _untold(sentences.in_modules(*FINDING), 100) == []


def test_every_sentence_about_evidence_is_known_in_vietnamese() -> None:
    assert _untold(sentences.in_modules(*EVIDENCE, beside={"super().__init__"}), 30) == []


def test_every_wording_in_sql_is_part_of_a_known_sentence() -> None:
    known = "\n".join((*FOUND, *KEYS))
    untold = [
        f"{place}: {text}"
        for place, text in sentences.in_sql("broker/evidence/*.sql")
        if text.strip(" :,") not in known and text not in LISTED and not re.fullmatch(r"\d+ \w+", text)
    ]
    assert untold == []


@pytest.mark.parametrize("table", [FOUND, KEYS, EXAMINED_ROWS, LOOKED_AT])
def test_no_vietnamese_sentence_loses_a_place_or_stays_english(table: Mapping[str, str]) -> None:
    for text, told in table.items():
        assert set(re.findall(r"{\w+}", told)) == set(re.findall(r"{\w+}", text)), text
        assert not ENGLISH.search(re.sub(r"`[^`]*`|{\w+}", "", told)), told


def test_values_tables_and_columns_stay_as_they_are() -> None:
    finding = Finding(
        where="delivery", key="BO 1 to XA", what="due_arrival", found="2026-03-12", expected="12, as signed"
    )
    assert cells(finding, "vi") == ("delivery", "BO 1 đến XA", "due_arrival", "2026-03-12", "12, như đã ký")
    assert cells(finding, "en") == ("delivery", "BO 1 to XA", "due_arrival", "2026-03-12", "12, as signed")


@pytest.mark.parametrize(
    "written",
    [
        "{'en': 'The reference names bytes that are not those of the accepted document. Look: at 12', 'vi': '…'}",
        "Report of the office: who was there, and what was said",
        "number of the letter",
        "from G22 to H53 at noon, as agreed",
    ],
)
def test_what_somebody_has_written_into_a_row_is_shown_as_it_stands(written: str) -> None:
    finding = Finding(where="document", key="BO 1", what="subject", found=written, expected=f"{written}, as signed")
    assert cells(finding, "vi")[3:] == (written, f"{written}, như đã ký")


def test_what_nobody_has_put_into_vietnamese_is_shown_as_it_is() -> None:
    finding = Finding(where="novelty", key="number 7", what="colour", found="a green thing", expected="a red one")
    assert cells(finding, "vi") == ("novelty", "number 7", "colour", "a green thing", "a red one")
    assert looked_at("green things", "vi") == "green things"


def test_the_table_of_findings_has_one_language() -> None:
    finding = Finding(where="document", key="BO 1", what="row", found="a row", expected="no row: no event tells it")
    good = Words("Everything is well", "Mọi thứ đều tốt")
    vietnamese, english = (_shown([finding], good, language) for language in ("vi", "en"))
    assert (
        "không có dòng: không sự kiện nào nêu" in vietnamese
        and "1 điểm không khớp; đã xem 1,200 mục của nhật ký" in vietnamese
    )
    assert not re.search(r"\b(where|which|what|found|expected|findings|looked)\b", vietnamese)
    assert "no row: no event tells it" in english and "1 findings; looked at 1,200 entries of the log" in english
    assert _shown([], good, "vi") == "Mọi thứ đều tốt: 1,200 mục của nhật ký.\n"
    assert _shown([], good, "en") == "Everything is well: 1,200 entries of the log.\n"


def _shown(findings: list[Finding], good: Words, language: str) -> str:
    console = Console(file=io.StringIO(), width=300)
    told = findings_table(
        findings, len(findings), {"entries of the log": 1200}, good=good, language="vi" if language == "vi" else "en"
    )
    console.print(told)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().split("\n"))
