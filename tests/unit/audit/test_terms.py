"""Words are found however Vietnamese was typed, and no text can be anything but a word."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.conditions import View
from broker.audit.terms import Standing, label, terms_of, word_conditions, words_of

SUBJECT = "Về việc ỨNG PHÓ bão số 3 tại xã Đường Hoa, hoà giải thuỷ lợi, quý III/2026"


def standing(subject: str = SUBJECT, **changes: object) -> Standing:
    values: dict[str, object] = {
        "number": "12",
        "notation": "BNV-VP",
        "subject": subject,
        "sender_id": 5,
        "test": False,
        "recipient_ids": [7, 8],
        "standings": [1 + 32, 6 + 16],
    }
    return Standing(**(values | changes))  # type: ignore[arg-type]


def test_a_word_is_indexed_with_and_without_its_diacritics() -> None:
    words = {word.plain: word.exact for word in words_of(SUBJECT)}
    assert words["ung"] == "ứng" and words["bao"] == "bão" and words["duong"] == "đường"
    assert words["3"] is None and words["iii"] is None


@pytest.mark.parametrize(
    ("one", "other"), [("hoà", "hòa"), ("thuỷ", "thủy"), ("khoẻ", "khỏe"), ("HOÀ", "hòa"), ("uỷ", "ủy")]
)
def test_where_the_tone_is_written_makes_no_difference(one: str, other: str) -> None:
    assert words_of(one) == words_of(other)


def test_words_that_differ_only_in_tone_stay_apart() -> None:
    exact = [word.exact for word in words_of("báo bão bào bảo bạo quý quỳ hoàn")]
    assert len(set(exact)) == len(exact)
    assert words_of("quý")[0].exact == "quý"


@given(st.text())
def test_composed_and_decomposed_text_has_the_same_words(text: str) -> None:
    # Composition may change under lower case; what is stored and what is asked go the same way.
    composed = unicodedata.normalize("NFC", text)
    assert words_of(composed) == words_of(unicodedata.normalize("NFC", unicodedata.normalize("NFD", composed)))
    for word in words_of(text):
        assert word.plain.isalnum() or not word.plain.isascii()
        assert "'" not in word.plain and "\\" not in word.plain


def test_a_question_with_diacritics_asks_for_them_and_one_without_does_not() -> None:
    assert word_conditions("ứng pho ", phrase=False) == ["'=ứng'", "'pho'"]
    assert word_conditions("ung pho ba", phrase=False) == ["'ung'", "'pho'", "'ba':*"]
    assert word_conditions("ung pho bao ", phrase=True) == ["('ung' <-> 'pho' <-> 'bao')"]
    assert word_conditions("…!", phrase=False) == []


def test_states_are_terms_of_the_document_of_each_recipient_and_of_those_above() -> None:
    terms = terms_of(standing(), {5: [1], 7: [2, 3]}).split(" ")
    for term in ("@s5", "@S1", "@r7", "@R2", "@R3", "!dispatched@r7", "!overdue@R3", "!completed", "!completed@r8"):
        assert f"'{term}'" in terms, term
    assert "'!completed@R2'" not in terms and "'%test'" not in terms
    assert "'%test'" in terms_of(standing(test=True), {}).split(" ")


def test_numbers_compare_without_case_and_blanks() -> None:
    assert label(" 12 ") == "12"
    assert label("BNV - VP") == label("bnv-vp")
    assert "'#n1''2\\\\'" in terms_of(standing(number="1'2\\"), {})


def test_a_view_of_a_subtree_never_asks_for_deliveries_outside_it_alone() -> None:
    view = View(root=10, inside=frozenset({10, 11}))
    assert view.delivered([11]) == "'@r11'"
    assert view.delivered([99]) == "(('@s10' | '@S10') & '@r99')"
    assert view.in_state("refused") == "('!refused@r10' | '!refused@R10' | ('@s10' | '@S10') & '!refused')".replace(
        "('!refused@r10' | '!refused@R10' |", "(('!refused@r10' | '!refused@R10') |"
    ).replace("| ('@s10' | '@S10') & '!refused')", "| (('@s10' | '@S10') & '!refused'))")
    assert view.documents() == ["('@s10' | '@S10' | '@r10' | '@R10')"]
    assert View().documents() == []
