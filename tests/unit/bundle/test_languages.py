"""Whatever `audit check` tells an auditor, it tells in Vietnamese as well; what programs read stays as it is."""

from __future__ import annotations

import io
import re
from time import process_time

import pytest
from rich.console import Console

from broker.evidence.bundle.check import Checked, check
from broker.evidence.bundle.lines import TYPES, Fault
from broker.evidence.bundle.sentences import FAULTS, PLACES, clause, place, sentence
from broker.evidence.bundle.show import REASONS, as_value, render
from schemas.refusal_sentences import REFUSED
from tests.kit import sentences
from tests.kit.evidence_story import Told

MAKING = ["archive", "archive_index", "assemble", "collect", "collect_directory", "heads", "material", "prove"]
TELLING = ["lines", "sentences", "show", "story"]
"""Modules that make bundles, and those in which the Vietnamese itself stands; every other one finds faults."""
SHAPES = ("shapes", "bodies")
CHECKING = tuple(
    str(file.relative_to(sentences.ROOT))
    for file in sorted(sentences.ROOT.glob("broker/evidence/bundle/[a-z]*.py"))
    if file.stem not in (*MAKING, *TELLING, *SHAPES)
)
EVIDENCE = tuple(f"broker/evidence/{name}.py" for name in ("merkle", "notes", "tiles", "timestamps", "tree_rows"))
REFUSING = tuple(f"schemas/{name}.py" for name in ("strict_json", "certificates", "base64url", "jws", "times"))
THE_SAME = re.compile(r"^(SHA-256|log_by|type,|cosignature/v1|.* \(X2\)$)")
"""Names of fields and formats: the same in every language."""
GOOD = re.compile(r"^(valid from|the certificate is X1's own|X1; enrolled by|path to|no root was given|; custody)")
"""Why an answer is good is not told: the table says on what it rests in words of its own."""


def _known(text: str) -> bool:
    return clause(text, "vi") != text


def _untold(found: list[tuple[str, str]]) -> list[str]:
    known = (one for one in found if _known(one[1]) or place(one[1], "vi") != one[1] or THE_SAME.match(one[1]))
    told = set(known)
    return [f"{where}: {text}" for where, text in found if (where, text) not in told]


def test_every_reason_has_words_in_both_languages() -> None:
    for reason, words in REASONS.items():
        assert words.en and words.vi and words.en != words.vi, reason


def test_every_type_of_line_has_a_name_in_vietnamese() -> None:
    assert [name for name in TYPES if place(name, "vi") == name] == []


def test_every_sentence_about_a_fault_is_known_in_vietnamese() -> None:
    found = [one for one in sentences.in_modules(*CHECKING, unless_for={"what"}) if not GOOD.match(one[1])]
    assert len(found) > 80
    alone = "X1 of X2 for X3, on the exchange's sealed word alone"
    assert [one for one in _untold(found) if not one.endswith(alone)] == []
    for kind in ("mandate", "succession"):
        assert "chỉ dựa trên lời niêm phong" in clause(alone.replace("X1", kind), "vi")


def test_every_sentence_about_evidence_is_known_in_vietnamese() -> None:
    found = list(sentences.in_modules(*EVIDENCE, beside={"super().__init__", "_check_proof", "_check_root"}))
    assert _untold(found) == []


def test_every_sentence_of_a_refusal_is_known_in_vietnamese() -> None:
    found = [
        (where, text.strip(" :")) for where, text in sentences.in_modules(*REFUSING, beside={"NotImplementedError"})
    ]
    assert len(found) > 40
    assert [one for one in _untold(found) if not any(one.split(": ", 1)[1] in known for known in REFUSED)] == []


def test_every_shape_that_is_expected_is_known_in_vietnamese() -> None:
    found = list(sentences.in_modules(*(f"broker/evidence/bundle/{name}.py" for name in SHAPES)))
    assert len(found) > 15
    assert _untold([(where, text) for where, text in found if not _known(f"member: {text}")]) == []


def test_no_vietnamese_sentence_loses_a_place_or_stays_english() -> None:
    english = re.compile(r"\b(the|of|and|is|was|not|by|with|that|has|been|found|expected)\b", re.I)
    for text, told in (*FAULTS.items(), *PLACES.items()):
        assert set(re.findall(r"{\w+}", told)) == set(re.findall(r"{\w+}", text)), text
        assert not english.search(re.sub(r"{\w+}", "", told)), told


def test_a_fault_that_nobody_has_put_into_vietnamese_is_repeated_as_it_is() -> None:
    fault = Fault(reason="shape", line=3, what="novelty", found="a thing of tomorrow", expected="none of these")
    assert sentence(fault, "vi") == "dòng 3, novelty: thấy a thing of tomorrow; cần none of these [shape]"
    assert sentence(fault, "en") == fault.sentence()


def test_words_of_a_stranger_in_a_fault_cost_no_time_and_end() -> None:
    began = process_time()
    for text in FAULTS:
        first, *between, last = re.split(r"{\w+}", f"{text}{{end}}" if "{" not in text else text)
        again = "".join(between) or f"{first}{last}"
        for many in (20, 600, 20_000):
            assert clause(f"{first}{again * many}{last}", "vi")
    assert process_time() - began < 20


def _shown(checked: Checked, language: str) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(render(checked, "vi" if language == "vi" else "en"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("step", [997, 1409])
def test_a_damaged_bundle_is_refused_in_the_auditors_language(told: Told, bundle: bytes, step: int) -> None:
    for at in range(0, len(bundle), step):
        other = b"y" if bundle[at : at + 1] == b"x" else b"x"
        broken = check(bundle[:at] + other + bundle[at + 1 :], keys=told.paper.keys())
        vietnamese, english = _shown(broken, "vi"), _shown(broken, "en")
        assert "KHÔNG ĐẠT: " in vietnamese and ": thấy " in vietnamese and "; cần " in vietnamese
        for word in ("NOT GOOD", ": found ", "; expected ", ". line "):
            assert word not in vietnamese
        assert "NOT GOOD: " in english and "found " in english
        assert as_value(broken)["faults"][0]["found"] == broken.faults[0].found, "programs read one language"
