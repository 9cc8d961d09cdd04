"""Statuses are tied to documents by id, else by natural key; what fits several is said and never guessed."""

from datetime import date
from typing import Any
from uuid import UUID

import pytest

from schemas.edxml.statuses import status_manifest
from schemas.edxml.tying import Known, tie, tie_answer
from schemas.errors import Refusal
from schemas.manifest import Action, NaturalKey, Reference, StatusManifest
from tests.unit.edxml.examples import changed, reading, status, without

COMPOSITE = "000.00.00.G05,2026/03/02,58/BTC-QLCS"


def known(number: int, **fields: Any) -> Known:
    reference = Reference(from_="G05", id=UUID(int=number), digest=f"{number:064x}")
    key = NaturalKey(from_="G05", issued_on=date(2026, 3, 2), number="58", notation="BTC-QLCS")
    return Known(**{"reference": reference, "action": Action.NEW, "key": key} | fields)


def concerned(xml: str, *documents: Known) -> int:
    manifest = status_manifest(reading(xml), known=documents).manifest
    assert isinstance(manifest, StatusManifest)
    return manifest.items[0].concerns.id.int


def test_the_id_counts_before_the_natural_key() -> None:
    assert concerned(status(), known(1), known(2, document_id=COMPOSITE)) == 2


def test_the_id_of_the_manifest_is_an_id_too() -> None:
    xml = status().replace(COMPOSITE, str(UUID(int=7)).upper())
    assert concerned(xml, known(1), known(7, key=None)) == 7


def test_the_natural_key_counts_where_no_id_fits() -> None:
    other = NaturalKey(from_="G05", issued_on=date(2025, 3, 2), number="58", notation="BTC-QLCS")
    assert concerned(status(), known(1, document_id="another"), known(2, key=other)) == 1


def test_an_id_that_holds_the_natural_key_is_enough() -> None:
    xml = without(status(), "<edXML:Code>58/BTC-QLCS</edXML:Code>")
    assert concerned(without(xml, "<edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>"), known(1)) == 1


def test_without_a_date_any_year_fits_if_there_is_only_one() -> None:
    xml = without(status(), f"<edXML:DocumentId>{COMPOSITE}</edXML:DocumentId>")
    xml = without(xml, "<edXML:PromulgationDate>2026/03/02</edXML:PromulgationDate>")
    assert concerned(xml, known(1)) == 1


@pytest.mark.parametrize("document_id", [None, COMPOSITE])
def test_what_fits_several_is_refused_with_all_of_them(document_id: str | None) -> None:
    several = [known(1, document_id=document_id), known(2, document_id=document_id)]
    with pytest.raises(Refusal) as refused:
        status_manifest(reading(status()), known=several)
    assert refused.value.code == "LT-CONCERNS-AMBIGUOUS"
    assert refused.value.candidates == (str(UUID(int=1)), str(UUID(int=2)))


def test_what_fits_nothing_is_refused() -> None:
    other = NaturalKey(from_="G06", issued_on=date(2026, 3, 2), number="58", notation="BTC-QLCS")
    for documents in ([], [known(1, key=other)], [known(1, key=None)]):
        with pytest.raises(Refusal) as refused:
            status_manifest(reading(status()), known=documents)
        assert refused.value.code == "LT-CONCERNS-UNKNOWN"


def test_an_id_of_another_sender_is_another_id() -> None:
    with pytest.raises(Refusal):
        concerned(status(sender="000.00.00.G06"), known(1, document_id=COMPOSITE, key=None))


def test_a_document_is_meant_and_not_its_recall_of_the_same_id() -> None:
    recall = known(2, document_id=COMPOSITE, action=Action.RECALL)
    assert concerned(status(), known(1, document_id=COMPOSITE), recall) == 1


def test_the_same_document_twice_is_no_ambiguity() -> None:
    assert concerned(status(), known(1), known(1)) == 1


def test_a_take_back_is_the_senders_own_and_asks_one_agency() -> None:
    xml = changed(
        status("13", sender="000.00.00.H12", text="Nhầm"), "<edXML:OrganId>000.00.00.H12", "<edXML:OrganId>G05"
    )
    manifest = status_manifest(reading(xml), known=[known(1)]).manifest
    assert isinstance(manifest, StatusManifest)
    assert (manifest.from_, manifest.items[0].to) == ("G05", ("000.00.00.H12",))
    assert manifest.items[0].concerns == known(1).reference


@pytest.mark.parametrize("code", ["15", "16"])
def test_an_answer_is_tied_to_what_asked(code: str) -> None:
    document, recall = known(1), known(2, action=Action.RECALL, concerns=(known(1).reference,))
    manifest = status_manifest(reading(status(code)), known=[document, recall]).manifest
    assert isinstance(manifest, StatusManifest)
    assert manifest.items[0].answers == recall.reference


def test_an_answer_to_a_take_back_names_the_status_message() -> None:
    asking = Known(reference=known(3).reference, action=None, concerns=(known(1).reference,))
    manifest = status_manifest(reading(status("15")), known=[known(1), asking]).manifest
    assert isinstance(manifest, StatusManifest)
    answers = manifest.items[0].answers
    assert answers is not None and answers.id == UUID(int=3) and not isinstance(answers, Reference)


def test_an_answer_to_nothing_or_to_one_of_several_is_refused() -> None:
    asking = [known(n, action=Action.RECALL, concerns=(known(1).reference,)) for n in (2, 3)]
    assert tie_answer(known(1), [known(1), asking[0]]) is asking[0]
    for given, code in (([], "LT-CONCERNS-UNKNOWN"), (asking, "LT-CONCERNS-AMBIGUOUS")):
        with pytest.raises(Refusal) as refused:
            tie_answer(known(1), [known(1), *given])
        assert refused.value.code == code


def test_a_change_by_natural_key_asks_about_its_document() -> None:
    document = known(1)
    assert document.key is not None
    recall = known(2, action=Action.RECALL, concerns=(document.key,))
    assert tie_answer(document, [document, recall]) is recall


def test_nothing_at_all_fits_nothing() -> None:
    with pytest.raises(Refusal) as refused:
        tie(sender=None, document_id=None, code=None, issued_on=None, known=[known(1)])
    assert refused.value.code == "LT-CONCERNS-UNKNOWN"
