"""Answers of auditors' commands: as tables, for programs, and where there is nothing to show."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from broker.audit.completeness import NOTHING_BEHIND
from broker.audit.search import Found, Page
from broker.audit.tables import documents_sheet
from broker.cli.showing import Form, in_any_form, show
from schemas.languages import Language
from schemas.problem import Problem

DOCUMENT = Found(
    document_id=1,
    id=UUID(int=7),
    sender="G22",
    sender_name="Bộ Nội vụ",
    number="12",
    notation="BNV-VP",
    issued_on=None,
    type="Công văn",
    subject="V/v ứng phó bão số 3",
    action="new",
    priority=0,
    accepted_at=datetime(2026, 11, 20, 3, tzinfo=UTC),
    recipients=3,
    test=False,
)


def page(*documents: Found) -> Page:
    return Page(documents=documents, after=None, estimate=len(documents), exact=True, complete=NOTHING_BEHIND)


def shown(found: Page, form: Form) -> None:
    show(found, [documents_sheet(found)], form)


def test_who_finds_nothing_is_told_so_and_what_finds_more(capsys: pytest.CaptureFixture[str]) -> None:
    shown(page(), Form())
    told = capsys.readouterr().out
    assert "Fewer words" in told and "bớt từ" in told and "recipients" not in told


def test_csv_without_lines_has_its_headings_and_the_sentence_is_not_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown(page(), Form(as_csv=True))
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2 and "Fewer words" in told.err


def test_a_table_that_goes_into_a_file_has_no_colours_and_no_broken_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown(page(DOCUMENT), Form())
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert any("12/BNV-VP" in line and str(DOCUMENT.id) in line for line in told.splitlines())


def test_a_table_has_the_language_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    rehearsal = replace(DOCUMENT, test=True)
    shown(page(rehearsal), Form(language="vi"))
    vietnamese = capsys.readouterr().out
    assert all(
        word in vietnamese for word in ("văn bản", "số/ký hiệu", "trích yếu", "(diễn tập)", "hiển thị 1 trong 1")
    )
    assert not re.search(r"\b(documents|number|sender|subject|recipients|rehearsal|shown|recorded)\b", vietnamese)
    shown(page(rehearsal), Form(language="en"))
    english = capsys.readouterr().out
    assert "number/notation" in english and "(rehearsal)" in english and "trích yếu" not in english
    shown(page(rehearsal), Form(language="both"))
    both = capsys.readouterr().out
    assert "(diễn tập / rehearsal)" in both and "number/notation" in both and "số/ký hiệu" in both


def test_an_agency_is_named_beside_its_code_at_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    shown(page(DOCUMENT), Form())
    assert "G22 Bộ Nội vụ" in capsys.readouterr().out
    shown(page(DOCUMENT), Form(as_csv=True))
    assert ",G22," in capsys.readouterr().out


@pytest.mark.parametrize("language", ["vi", "en"])
def test_files_are_the_same_in_every_language(language: Language, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for form in (Form(as_csv=True), Form(as_csv=True, language=language)):
        shown(page(replace(DOCUMENT, test=True)), form)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]


def test_two_forms_at_once_are_refused_before_anything_is_looked_up() -> None:
    looked_up = []

    @in_any_form
    def command(*, form: Form) -> None:
        looked_up.append(form)

    command(lang=None, as_json=False, csv=True, bom=True, xlsx=None)
    assert looked_up == [Form(as_csv=True, bom=True)]
    with pytest.raises(Problem):
        command(lang=None, as_json=True, csv=True, bom=False, xlsx=None)
    assert len(looked_up) == 1
