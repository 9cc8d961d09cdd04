"""The error catalogue and what carries it."""

import copy
import pickle
import re
import unicodedata

import pytest

from schemas.errors import CATALOGUE, FOUND_LIMIT, ErrorEntry, Fault, Refusal
from schemas.problem import BAD_INPUT, Problem

OF_THE_CONTRACT = [
    "LT-SHAPE",
    "LT-SCHEMA",
    "LT-SIZE",
    "LT-VERSION",
    "LT-USER",
    "LT-SIGNER-UNKNOWN",
    "LT-SIGNER-EXPIRED",
    "LT-SIGNER-REVOKED",
    "LT-SIGNER-NOT-ALLOWED",
    "LT-SIGNATURE",
    "LT-ALGORITHM",
    "LT-TIME",
    "LT-PART-MISSING",
    "LT-PART-DIGEST",
    "LT-PART-NOT-ALLOWED",
    "LT-RECIPIENT-UNKNOWN",
    "LT-RECIPIENT-CLOSED",
    "LT-RECIPIENT-SUSPENDED",
    "LT-DUP-CONFLICT",
    "LT-DUP-NATURAL",
    "LT-CONCERNS-UNKNOWN",
    "LT-CONCERNS-AMBIGUOUS",
    "LT-CONCERNS-DIGEST",
    "LT-STATUS-NOT-ALLOWED",
    "LT-REASON-MISSING",
    "LT-EDXML",
    "LT-BROKER",
]
VXP_CODES = {0, 10, 15, 18, 19, 20, 21, 22, 23}
VIETNAMESE = re.compile("[ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ]", re.IGNORECASE)


def test_every_code_of_the_contract_is_in_the_catalogue() -> None:
    assert not set(OF_THE_CONTRACT) - set(CATALOGUE)


def test_no_code_is_there_twice_and_each_is_found_under_its_own_name() -> None:
    assert all(code == entry.code for code, entry in CATALOGUE.items())
    assert all(re.fullmatch(r"LT(-[A-Z]+)+", code) for code in CATALOGUE)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_every_entry_speaks_both_languages_in_whole_sentences(entry: ErrorEntry) -> None:
    for text in (entry.en, entry.vi, entry.remedy_en, entry.remedy_vi):
        assert text.endswith(".")
        assert text[0].isupper()
        assert "  " not in text
        assert unicodedata.is_normalized("NFC", text)
    assert VIETNAMESE.search(entry.vi)
    assert VIETNAMESE.search(entry.remedy_vi)
    assert not VIETNAMESE.search(entry.en + entry.remedy_en)


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=lambda entry: entry.code)
def test_every_entry_maps_to_http_and_to_the_older_protocol(entry: ErrorEntry) -> None:
    assert entry.vxp in VXP_CODES
    # Only what is no refusal may look like success anywhere.
    assert (entry.vxp == 0) is (entry.http == 200) is (entry.code == "LT-DUP-NATURAL")
    assert entry.http == 200 or 400 <= entry.http <= 599
    # 504 for a recipient's silence and 507 for a quota (RFC 4918 §11.5) are no faults of the exchange.
    assert (entry.http >= 500) is (entry.fault is Fault.BROKER or entry.code in ("LT-OVERDUE", "LT-QUOTA"))


def test_an_unknown_code_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        Refusal(code="LT-NO-SUCH-THING")


def test_a_refusal_tells_the_place_what_was_found_and_what_to_do_in_both_languages() -> None:
    refusal = Refusal(
        code="LT-RECIPIENT-UNKNOWN", field="to.3", found="H53.99", expected="a code", candidates=("H53.9", "H53.31")
    )
    entry = CATALOGUE["LT-RECIPIENT-UNKNOWN"]
    assert refusal.detail() == {
        "field": "to.3",
        "found": "H53.99",
        "expected": "a code",
        "candidates": ["H53.9", "H53.31"],
        "en": f"{entry.en} {entry.remedy_en}",
        "vi": f"{entry.vi} {entry.remedy_vi}",
    }
    assert str(refusal) == (
        f"LT-RECIPIENT-UNKNOWN: {entry.en} In to.3: found H53.99, expected a code. "
        f"Perhaps meant: H53.9, H53.31. {entry.remedy_en}"
    )


def test_a_refusal_without_candidates_does_not_speak_of_them() -> None:
    assert "candidates" not in Refusal(code="LT-SHAPE").detail()


@pytest.mark.parametrize(
    ("refusal", "middle"),
    [
        (Refusal(code="LT-SIZE"), ""),
        (Refusal(code="LT-SIZE", field="content"), " In content."),
        (Refusal(code="LT-SIZE", found="5 MB"), " Found 5 MB."),
        (Refusal(code="LT-SIZE", field="content", expected="less"), " In content: expected less."),
    ],
)
def test_diagnostics_say_as_much_as_is_known(refusal: Refusal, middle: str) -> None:
    entry = refusal.entry
    assert refusal.diagnostics() == f"LT-SIZE: {entry.en}{middle} {entry.remedy_en}"


def test_a_found_value_is_cut_so_that_no_text_leaks() -> None:
    refusal = Refusal(code="LT-SCHEMA", found="x" * 10_000)
    assert refusal.found is not None
    assert len(refusal.found) == FOUND_LIMIT
    assert Refusal(code="LT-SCHEMA", found="x" * FOUND_LIMIT).found == "x" * FOUND_LIMIT


def test_a_refusal_survives_copying_and_pickling() -> None:
    refusal = Refusal(code="LT-SIZE", field="content", found="a", expected="b", candidates=("c",))
    for twin in (copy.copy(refusal), pickle.loads(pickle.dumps(refusal))):
        assert twin.detail() == refusal.detail()
        assert twin.code == refusal.code


def test_a_problem_says_what_was_found_what_was_expected_and_what_to_do() -> None:
    problem = Problem("no file agency.toml", "the settings of an agency.", "Run `lienthong-agency init`")
    assert str(problem) == (
        "Found: no file agency.toml. Expected: the settings of an agency. Run `lienthong-agency init`."
    )
    assert problem.exit_code == BAD_INPUT
    assert Problem("a", "b", "Wait!", exit_code=4).exit_code == 4
    assert Problem("a", "b", "Wait!").diagnostics().endswith("Wait!")
