"""An auditor whose terminal is Vietnamese reads in Vietnamese why a command could not do what was asked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from broker.cli.failing import DATABASE_ERRORS, failure_of
from broker.cli.problem_sentences import PROBLEMS, SENTENCES
from schemas.problem import Problem
from tests.kit import sentences

SPEAKING = (
    "broker/audit/*.py",
    "broker/cli/audit*.py",
    "broker/cli/showing.py",
    "broker/cli/story.py",
    "broker/cli/fsck.py",
    "broker/cli/failing.py",
    "broker/evidence/fsck.py",
    "broker/evidence/timestamps.py",
    "broker/evidence/bundle/*.py",
    "broker/store/pool.py",
)
VALUES = re.compile(r"^(X\d|[ :,“”/]|=>)+$")
COMPOSED = {"a day (X1), X2"}
"""Shown with what stands in its place, see the test of options."""


def _problems() -> Iterator[tuple[str, str]]:
    for pattern in SPEAKING:
        for file in sorted(sentences.ROOT.glob(pattern)):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
                    for text in sentences.in_call(node, beside={"exit_code"}):
                        yield f"{file.relative_to(sentences.ROOT)}:{node.lineno}", text.removesuffix(".")


def test_every_problem_of_an_auditors_command_is_told_in_vietnamese() -> None:
    found = [one for one in _problems() if not VALUES.match(one[1]) and one[1] not in COMPOSED]
    found += [("DATABASE_ERRORS", text) for _, *texts in DATABASE_ERRORS for text in texts]
    assert len(found) > 80
    assert [one for one in found if SENTENCES.vietnamese(one[1]) is None] == []


def test_no_vietnamese_problem_loses_a_place_or_tells_of_pages() -> None:
    for text, told in PROBLEMS.items():
        places = set(re.findall(r"{\w+}", text)) - {"{known}"}
        assert set(re.findall(r"{\w+}", told)) == places, text
        assert "ở trang" not in told and "dùng trang" not in told


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_question_about_nothing_is_answered_in_the_language_of_the_command(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["lienthong", "audit", "trace", "12/X", "--lang", language])
    problem = Problem(
        "No accepted document is known under “12/X”.",
        "a document id (UUID), a digest of 64 hex digits, or number/notation.",
        "Look for it with `lienthong audit search`.",
    )
    told = failure_of(problem)
    assert (
        told.text
        == {
            "en": problem.diagnostics(),
            "vi": "Thấy: Không có văn bản nào đã được tiếp nhận dưới “12/X”. Cần: mã văn bản (UUID), mã băm 64 chữ số"
            " thập lục phân, hoặc số/ký hiệu. Hãy tìm bằng `lienthong audit search`.",
        }[language]
    )
    assert told.parts["found"] == problem.found, "programs read one language"


def test_options_are_refused_in_vietnamese(monkeypatch: pytest.MonkeyPatch) -> None:
    from broker.cli.audit_options import moment

    monkeypatch.setattr("sys.argv", ["lienthong", "audit", "search", "--lang=vi"])
    with pytest.raises(Problem) as raised:
        moment("gestern", option="--since", end=False)
    told = failure_of(raised.value).text
    assert told.startswith("Thấy: --since là “gestern”. Cần: một ngày (2026-11-20), một thời điểm (2026-11-20T08")
