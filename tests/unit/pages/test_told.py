"""Every text that an auditor reads exists in both languages; what other rooms say in English has its Vietnamese."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.gateway.pages.catalogue import TEXTS
from broker.gateway.pages.told import TOLD, clause, dead, in_vietnamese, why
from broker.interventions.documents import CLOSED
from schemas.errors import CATALOGUE
from schemas.verdict import Finding, trust_at

ROOT = Path(__file__).resolve().parents[3]
SPEAKING = (
    "broker/audit/*.py",
    "broker/gateway/pages/*.py",
    "broker/interventions/*.py",
    "broker/dispatch/dead_letters.py",
    "broker/evidence/bundle/prove.py",
    "broker/evidence/bundle/heads.py",
    "broker/evidence/bundle/collect_directory.py",
    "broker/directory/changing.py",
)
"""Modules whose problems the pages can show; and for reasons of verdicts:"""
JUDGING = ("broker/intake/checks.py", "schemas/verdict.py", "broker/gateway/pages/documents.py")
ELSEWHERE = {"broker/gateway/pages/accounts.py", "broker/audit/tables.py", "broker/audit/record.py"}
"""Used at the command line only."""
COMMAND_LINE_ONLY = {"oidc_issuer {}", "an https address", "Correct the setting.", "{}"}
STATES = "{}: {}"
"""A code and how its delivery stands, when it is named for another copy."""
PLACES = re.compile(r"{(\w*)}")


def _sentences(pattern: str, called: set[str]) -> Iterator[tuple[str, str]]:
    """Where, and each text that is handed to one of these calls, with `{}` where something is filled in."""
    for file in sorted(ROOT.glob(pattern)):
        place = str(file.relative_to(ROOT))
        if place in ELSEWHERE:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in called:
                for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    for text in _texts(argument):
                        yield f"{place}:{node.lineno}", text


def _texts(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=pieces):
            made = [""]
            for piece in pieces:
                if isinstance(piece, ast.Constant):
                    made = [one + str(piece.value) for one in made]
                elif isinstance(piece, ast.FormattedValue) and isinstance(piece.value, ast.IfExp):
                    ways = [*_texts(piece.value.body), *_texts(piece.value.orelse)]
                    made = [one + way for one in made for way in ways or ["{}"]]
                else:
                    made = [f"{one}{{}}" for one in made]
            yield from made
        case ast.IfExp():
            yield from (*_texts(node.body), *_texts(node.orelse))
        case ast.BinOp(left=left, right=right):
            yield from (one + other for one in _texts(left) for other in list(_texts(right)) or [""])


def _filled(text: str) -> str:
    numbers = iter(range(1, 20))
    return PLACES.sub(lambda _: f"H{next(numbers)}", text)


def test_every_problem_that_a_page_can_show_is_told_in_vietnamese() -> None:
    found = [one for pattern in SPEAKING for one in _sentences(pattern, {"Problem"})]
    assert len(found) > 60
    beside = {*COMMAND_LINE_ONLY, STATES}
    assert [f"{place}: {text}" for place, text in found if text not in beside and not _told(text)] == []


def test_a_recipient_that_needs_no_copy_is_told_with_its_state() -> None:
    for state in ("no recipient of it", "recalled", *CLOSED):
        told = in_vietnamese(f"H26.00004: {state}")
        assert told is not None and told.startswith("H26.00004: ") and state not in told


def test_every_reason_of_a_verdict_is_told_in_vietnamese() -> None:
    found = [one for file in JUDGING for one in _sentences(file, {"Finding.bad", "Finding.unknown", "_not_judged"})]
    assert len(found) > 5
    texts = [(place, text) for place, text in found if text not in CATALOGUE and text != "{}"]
    assert [f"{place}: {text}" for place, text in texts if not _told(text)] == []
    noon = datetime(2026, 3, 12, 5, tzinfo=UTC)
    day = timedelta(days=1)
    for begin, end, revoked in ((noon + day, noon + 2 * day, None), (noon - 2 * day, noon - day, None)):
        finding = trust_at(not_before=begin, not_after=end, revoked_at=revoked, signed_at=noon, now=noon)
        assert in_vietnamese(finding.why), finding.why
    finding = trust_at(not_before=noon - day, not_after=noon + day, revoked_at=noon, signed_at=noon, now=noon)
    assert why(finding, "vi") == "chứng thư đã bị thu hồi lúc 2026-03-12T05:00:00Z"


def _told(text: str) -> bool:
    return in_vietnamese(_filled(text)) is not None


def test_no_vietnamese_sentence_is_english_and_no_place_is_lost() -> None:
    english = re.compile(r"\b(the|of|and|is|was|not|by|with|from|for|that|has|been|found|expected)\b", re.I)
    for text, told in TOLD.items():
        assert not english.search(re.sub(r"`[^`]*`|{\w+}", "", told)), told
        assert set(PLACES.findall(told)) <= set(PLACES.findall(text)), text
    for key, words in TEXTS.items():
        assert not english.search(re.sub(r"`[^`]*`|{\w+}", "", words.vi)), (key, words.vi)
        assert not re.search(r"[ạảãăâđẹẻẽêịỉĩọỏõôơụủũưỵỷỹ]", words.en), (key, words.en)
        assert set(PLACES.findall(words.vi)) == set(PLACES.findall(words.en)), key


@pytest.mark.parametrize("code", CATALOGUE)
def test_what_is_not_known_is_said_by_the_catalogue_in_both_languages(code: str) -> None:
    finding = Finding.bad(code, "a reason that nobody has put into Vietnamese")
    assert why(finding, "vi") == CATALOGUE[code].vi
    assert why(finding, "en") == finding.why
    assert dead(f"{code}: nobody knows.", "vi") == f"{code}: {CATALOGUE[code].vi}"


def test_clauses_repeat_what_was_written_and_leave_out_what_is_only_english() -> None:
    assert clause("H26.00004", "vi") == "H26.00004"
    assert clause("Công điện 12", "vi") == "Công điện 12"
    assert clause("something that nobody has put into Vietnamese", "vi") == ""
    assert clause("something", "en") == "something"
    assert clause(None, "vi") == ""
