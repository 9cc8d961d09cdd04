"""What `lienthong-agency` tells an agency is told in Vietnamese where its terminal, or --lang, says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from adapters.cli import words
from adapters.cli.failing import failure_of
from adapters.cli.problem_sentences import PROBLEMS, SENTENCES
from adapters.folder.texts import ACTION, STATE
from adapters.letter import Ref, Rejected
from schemas.errors import CATALOGUE, Refusal
from schemas.problem import Problem
from tests.kit import sentences

VALUES = re.compile(r"^(X\d|--report|[ :,/]| is | in |: no )+$")
ENGLISH = re.compile(
    r"\b(the|of|and|is|was|not|by|with|that|has|been|found|expected|no|from|for|sent|kept|nothing)\b", re.I
)
MAIL = {"no": 3, "office": "H53", "state": "due", "trouble": None, "answer": None, "answered_at": None}
LETTER = {
    "id": "x",
    "from": "G22",
    "recipient": "H53",
    "number": "12",
    "notation": "VPCP-TH",
    "subject": "Trực Tết",
    "again": True,
    "saved": [],
    "parts": [{"name": "12.pdf"}],
}
SHOWN = {
    "manifest": {"from": "G22", "document": {"number": "12", "notation": "VPCP-TH", "issued_on": "2026-03-12"}},
    "accepted_at": "2026-03-12T05:00:00Z",
    "parts": [{"name": "12.pdf", "size": 9}],
    "verdict": {"trust": {"answer": "good", "why": "2026"}},
    "deliveries": [{"recipient": "H53", "state": "waiting"}],
}
SENT = {
    "id": "x",
    "state": "accepted",
    "recipients": {"count": 2},
    "warnings": [{"error": "LT-DUP-NATURAL", "id": "y"}],
}
ROW = {"id": "x", "stored_at": "t", "from": "G22", "recipient": "H53", "state": "done", "subject": "Trực Tết"}


def _problems() -> Iterator[tuple[str, str]]:
    for pattern in ("adapters/*.py", "adapters/cli/*.py", "adapters/mail/*.py", "adapters/folder/*.py"):
        for file in sorted(sentences.ROOT.glob(pattern)):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
                    for text in sentences.in_call(node, beside={"exit_code"}):
                        yield f"{file.relative_to(sentences.ROOT)}:{node.lineno}", text


def test_every_problem_at_an_agency_is_told_in_vietnamese() -> None:
    found = [(place, text.removesuffix(".")) for place, text in _problems() if not VALUES.match(text)]
    assert len(found) > 100
    in_both = [text for _, text in found if " / " in text]
    assert len(in_both) > 4, "the folder and edXML files are told in both languages at once"
    untold = [one for one in found if one[1] not in in_both and SENTENCES.vietnamese(one[1]) is None]
    assert untold == []


def test_no_vietnamese_problem_loses_a_place_or_stays_english() -> None:
    for text, told in PROBLEMS.items():
        assert set(re.findall(r"{\w+}", told)) == set(re.findall(r"{\w+}", text)), text
        assert not ENGLISH.search(re.sub(r"`[^`]*`|{\w+}|\[.*?\]|-+\w+|\w+\.\w+", "", told)), told


def test_every_judgement_of_what_came_is_told_in_vietnamese() -> None:
    found = list(sentences.in_modules("adapters/judge.py", beside={"re.compile", "_problem"}))
    pieces = {"; the exchange keeps the key (custody broker)"}
    assert len(found) > 10
    assert [one for one in found if one[1] not in pieces and SENTENCES.vietnamese(one[1]) is None] == []


def test_a_warning_tells_what_its_code_means_and_about_what() -> None:
    unknown = {"error": "LT-RECIPIENT-UNKNOWN", "addressed_as": "H99", "candidates": ["H9", "H98"]}
    assert words.warning(unknown, "vi") == (
        f"Lưu ý: LT-RECIPIENT-UNKNOWN (H99): {CATALOGUE['LT-RECIPIENT-UNKNOWN'].vi} Có thể là: H9, H98."
    )
    assert words.warning({"error": "LT-DUP-NATURAL", "id": "x"}, "en") == (
        f"Warning: LT-DUP-NATURAL (x): {CATALOGUE['LT-DUP-NATURAL'].en}"
    )


@pytest.mark.parametrize(
    "told",
    [
        words.sent(SENT, "vi"),
        words.sent({"id": "x", "state": "due"}, "vi"),
        words.sent({"id": "x", "state": "sent"}, "vi"),
        words.letter(LETTER, "vi"),
        words.reported({"id": "x", "code": "03", "recipients": ["H53"]}, "vi"),
        words.inbox_line(ROW, "vi"),
        words.aside_line({"at": "t", "code": "LT-SIZE", "times": 2, "why": "-"}, "vi"),
        words.document(SHOWN, "vi"),
        words.mail_line(MAIL, "Trực Tết", "vi"),
        words.mail_again(3, "vi"),
        words.mail_refused(3, "vi"),
        words.lets_in("220", "vi"),
        words.written("agency.toml", "vi"),
        words.working(offices=2, server="m:25", url="https://t.vn", place="p:1", heard=None, language="vi"),
        *(one.vi for one in (words.NOTHING_SENT, words.NOTHING_CAME, words.NOTHING_ASIDE, words.NO_MAILS)),
        *(one.vi for one in (words.ASKED, words.STOPPING, words.INTERRUPTED)),
    ],
)
def test_no_line_for_a_clerk_stays_english(told: str) -> None:
    english = (
        r"\b(accepted|again|answered|bytes|due|good|mail|number|outbox|part|reported|subject|times|waiting|warning)\b"
    )
    assert not re.search(english, re.sub(r"`[^`]*`", "", told), re.I), told
    assert re.search(r"[^\x00-\x7f]", told), told


def test_every_state_has_a_word_in_vietnamese() -> None:
    from adapters.cli.inbox import STATES
    from adapters.cli.mail import STATES as MAIL_STATES

    assert set(words.INBOX_STATES) == set(STATES)
    assert set(words.MAIL_STATES) == set(MAIL_STATES)
    assert {"due", "sent", "accepted", "rejected"} <= STATE.keys() and {"recall", "update", "replace"} <= ACTION.keys()


@pytest.fixture
def vietnamese(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "vi_VN.UTF-8")


@pytest.mark.usefixtures("vietnamese")
def test_a_rejected_document_is_explained_in_vietnamese() -> None:
    refusal = Refusal(
        code="LT-RECIPIENT-UNKNOWN",
        field="to.0",
        found="H99",
        expected="the code or alias of an agency in the directory, or one of its groups",
    )
    rejected = Rejected(
        document=Ref(sender="G22", id="x", digest="0" * 64),
        code=refusal.code,
        field=refusal.field,
        found=refusal.found,
        expected=refusal.expected,
        detail=refusal.detail(),
    )
    told = failure_of(rejected)
    assert told.text.startswith("Trục từ chối văn bản: LT-RECIPIENT-UNKNOWN tại to.0: thấy H99, cần mã hoặc bí danh ")
    assert CATALOGUE[refusal.code].remedy_vi in told.text and CATALOGUE[refusal.code].remedy_en not in told.text
    assert told.parts["expected"] == refusal.expected, "programs read one language"


@pytest.mark.usefixtures("vietnamese")
def test_problems_and_refusals_of_this_end_are_told_in_vietnamese() -> None:
    told = failure_of(
        Problem("an empty --subject", "what the document is about (trích yếu)", "Write it after --subject")
    )
    assert told.text == "Thấy: --subject để trống. Cần: trích yếu của văn bản. Hãy ghi sau --subject."
    assert told.parts["found"] == "an empty --subject"
    told = failure_of(Problem("a novelty", "a TOML file", "Do as you like"))
    assert told.text == "Thấy: a novelty. Cần: một tệp TOML. Do as you like.", "what nobody knows stays as it is"
    told = failure_of(Problem("a novelty", "nothing new", "Do as you like"))
    assert told.text == "Found: a novelty. Expected: nothing new. Do as you like."
    told = failure_of(Refusal(code="LT-SIZE", field="message", found="9 bytes", expected="at most 8 bytes"))
    assert told.text.startswith(f"LT-SIZE: {CATALOGUE['LT-SIZE'].vi} Tại message, thấy 9 byte, cần ")
    assert "lỗi của chương trình: ZeroDivisionError" in failure_of(ZeroDivisionError("1/0")).text
    assert failure_of(OSError(111, "Connection refused")).text.startswith("Thấy: không kết nối được với trục: ")


@pytest.mark.usefixtures("vietnamese")
def test_an_option_goes_before_the_terminals_language(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("no key yet", "a TOML file", "Correct the path")
    for given, language in ((["--lang", "en"], "en"), (["--lang=en"], "en"), (["--lang", "vi"], "vi"), ([], "vi")):
        monkeypatch.setattr("sys.argv", ["lienthong-agency", "keygen", *given])
        assert failure_of(problem).text.startswith("Thấy: " if language == "vi" else "Found: "), given
