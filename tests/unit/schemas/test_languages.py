"""Which language a terminal has, and how sentences with places are put over."""

from __future__ import annotations

from time import process_time

import pytest

from schemas.languages import Language, Sentences, Words, language_of


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, None),
        ({"LANG": ""}, None),
        ({"LANG": "C"}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LANG": "vi"}, "vi"),
        ({"LANG": "vi_VN"}, "vi"),
        ({"LANG": "en_GB.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "vie_XX"}, "en"),
        ({"LC_MESSAGES": "vi_VN.UTF-8", "LANG": "en_US.UTF-8"}, "vi"),
        ({"LC_ALL": "en_US.UTF-8", "LC_MESSAGES": "vi_VN.UTF-8", "LANG": "vi_VN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "", "LANG": "vi_VN.UTF-8"}, "vi"),
        ({"LC_ALL": "C", "LANG": "vi_VN.UTF-8"}, None),
    ],
)
def test_the_first_locale_variable_that_is_set_says_the_language(
    environment: dict[str, str], language: Language | None
) -> None:
    assert language_of(environment) == language


def test_words_are_told_in_one_language_or_in_both() -> None:
    words = Words("arrived", "đã đến")
    assert [words.told(language) for language in ("en", "vi", "both")] == ["arrived", "đã đến", "đã đến / arrived"]


def test_what_stands_in_a_place_is_repeated_and_a_clause_is_put_over() -> None:
    table = Sentences(
        {"no row": "không có dòng", "{clause}, as signed": "{clause}, như đã ký", "a {word}": "một {word}"}
    )
    assert table.told("no row, as signed", "vi") == "không có dòng, như đã ký"
    assert table.told("12/VPCP-TH, as signed", "vi") == "12/VPCP-TH, như đã ký"
    assert table.told("a thing", "vi") == "một thing"
    assert table.told("no row, as signed", "en") == "no row, as signed"


def test_what_nobody_has_put_into_vietnamese_stays_as_it_is() -> None:
    table = Sentences({"no row": "không có dòng", "a {word}": "một {word}"})
    assert table.vietnamese("a thing of tomorrow") is None
    assert table.told("a thing of tomorrow", "vi") == "a thing of tomorrow"
    assert table.told("no row\nno row", "vi") == "no row\nno row"


def test_a_sentence_that_strangers_have_made_long_costs_no_time() -> None:
    table = Sentences({"item {number}: {code} at {at} about {id}, as {what}": "mục {number}: {code} {at} {id} {what}"})
    began = process_time()
    for hostile in ("item " + ": at about , as " * 36, "item " + ": at about , as " * 100_000):
        assert table.told(hostile, "vi").startswith(("mục", "item"))
        assert table.vietnamese(f"{hostile}\n!") is None or len(hostile) < 600
    assert process_time() - began < 5


def test_a_sentence_in_a_sentence_in_a_sentence_ends() -> None:
    table = Sentences({"no row": "không có dòng", "{field}: {clause}": "{field}: {clause}"})
    assert table.vietnamese("a: b: no row") == "a: b: không có dòng"
    assert table.vietnamese(": " * 200 + "no row") == ": " * 200 + "no row"


def test_what_somebody_wrote_is_not_taken_for_a_sentence_with_figures() -> None:
    table = Sentences({"number {count}": "số {count}", "{word} of {at}": "{word} lúc {at}"})
    assert table.vietnamese("number 7") == "số 7" and table.vietnamese("02 of today") == "02 lúc today"
    assert table.vietnamese("number 7, the text of a clerk") is None
