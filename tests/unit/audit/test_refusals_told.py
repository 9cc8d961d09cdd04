"""What the exchange says of a message that it refuses is known in Vietnamese, wherever it is refused."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from schemas.languages import Sentences
from schemas.refusal_sentences import CLAUSES, REFUSED
from tests.kit import sentences

REFUSING = ("broker/intake/*.py", "broker/statuses/judging.py", "broker/statuses/processor.py")
MANIFESTS = ("schemas/manifest/*.py", "schemas/agency_codes.py")
KNOWN = Sentences({**REFUSED, **CLAUSES})
VALUES = re.compile(r"^(X\d|[ :,/]| by | of )+$")


def _refused(*patterns: str) -> Iterator[tuple[str, str]]:
    """The texts that are handed to a refusal, or to a verdict that leads to one."""
    for pattern in patterns:
        for file in sorted(sentences.ROOT.glob(pattern)):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Refusal", "Finding.bad"):
                    for text in sentences.in_call(node, beside={"code", "field"}):
                        if " " in text and not VALUES.match(text):
                            yield f"{file.relative_to(sentences.ROOT)}:{node.lineno}", text


def test_every_refusal_of_the_exchange_is_told_in_vietnamese() -> None:
    found = list(_refused(*REFUSING))
    assert len(found) > 30
    assert [f"{place}: {text}" for place, text in found if KNOWN.vietnamese(text) is None] == []


def test_every_expectation_of_a_manifest_is_told_in_vietnamese() -> None:
    found = list(sentences.in_modules(*MANIFESTS, beside={"Field", "StringConstraints"}))
    patterns = ("<natural key>", "^")
    untold = [one for one in found if KNOWN.vietnamese(one[1]) is None and not one[1].startswith(patterns)]
    assert untold == []


def test_no_vietnamese_sentence_loses_a_place() -> None:
    for text, told in {**REFUSED, **CLAUSES}.items():
        assert set(re.findall(r"{\w+}", told)) == set(re.findall(r"{\w+}", text)), text
