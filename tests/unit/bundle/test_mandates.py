"""Who might sign for whom after the log's own events when a message was accepted: asked of both checkers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.check import check
from broker.evidence.bundle.material import Material
from schemas.exchange_events import directory_changed
from tests.kit.evidence_story import EXCHANGE, NOON, Named, Office, Paper
from tests.unit.bundle.checkers import Answer, ours, theirs

TODAY, YESTERDAY, TOMORROW = (str((NOON + timedelta(days=days)).date()) for days in (0, -1, 1))
LONG_AGO = "2019-03-12"

Happening = Callable[[Paper], object]


def happened(change: str, codes: list[str], **facts: Any) -> Happening:
    """A change of the directory, told to the log."""
    return lambda paper: paper.log(
        directory_changed(at=paper.now(), revision=1, change=change, codes=codes, facts=facts)
    )


def imported(*agencies: str, hub: str = "TINH", sign: bool = True, since: str = LONG_AGO) -> Happening:
    facts = {"receive": True, "sign": sign, "from": since}
    return happened("mandates.imported", [hub, *(agencies or ("AN", "XA", "YEN"))], **facts)


def given(*, sign: bool = True, since: str = LONG_AGO) -> Happening:
    facts = {"hub": "TINH", "receive": True, "sign": sign, "from": since}
    return happened("mandate.given", ["XA", "TINH"], **facts)


ENDED = happened("mandate.ended", ["XA", "TINH"], hub="TINH")
NARROWED = given(sign=False)


def stated(*, until: str | None = None, since: str = LONG_AGO) -> dict[str, str]:
    """The exchange's word for a mandate that an import gave before imports told them."""
    told = {"kind": "mandate", "who": "TINH", "agency": "XA", "from": since}
    return told if until is None else told | {"until": until}


@dataclass(frozen=True, kw_only=True)
class Case:
    """What happened before and after the commune's document, which its hub signed; and what the exchange states."""

    before: tuple[Happening, ...] = ()
    after: tuple[Happening, ...] = ()
    stated: Mapping[str, str] | None = None


GOOD = {
    "imported": Case(before=(imported(),)),
    "imported, ended the same day": Case(before=(imported(),), after=(ENDED,)),
    "imported, narrowed to receiving later": Case(before=(imported(),), after=(NARROWED,)),
    "imported, ended and imported again": Case(before=(imported(), ENDED, imported("XA"))),
    "imported, narrowed and imported again": Case(before=(imported(), NARROWED, imported())),
    "imported, and given anew from a day to come": Case(before=(imported(), given(since=TOMORROW))),
    "imported from today on": Case(before=(imported(since=TODAY),)),
    "given, and imported for others": Case(before=(given(), imported("AN", "YEN"))),
    "stated": Case(stated=stated()),
    "stated, ended the same day": Case(after=(ENDED,), stated=stated(until=TODAY)),
    "stated, narrowed to receiving later": Case(after=(NARROWED,), stated=stated()),
}

BAD = {
    "nothing": Case(),
    "imported and ended": Case(before=(imported(), ENDED)),
    "imported and narrowed to receiving": Case(before=(imported(), NARROWED)),
    "imported to receive alone": Case(before=(imported(sign=False),)),
    "imported afterwards": Case(after=(imported(),)),
    "imported from tomorrow on": Case(before=(imported(since=TOMORROW),)),
    "given from tomorrow on": Case(before=(given(since=TOMORROW),)),
    "imported for others": Case(before=(imported("AN", "TINH.XA"),)),
    "imported with another hub": Case(before=(imported(hub="BO"),)),
    "imported as a hub itself": Case(before=(imported("TINH", hub="XA"),)),
    "imported, and ended before it was to begin": Case(before=(imported(since=TOMORROW), ENDED)),
    "stated, and ended the same day before": Case(before=(ENDED,), stated=stated(until=TODAY)),
    "stated until yesterday": Case(stated=stated(until=YESTERDAY)),
    "stated from tomorrow on": Case(stated=stated(since=TOMORROW)),
}


def story_of(case: Case) -> tuple[Paper, Material, Named]:
    """A document of the commune XA, signed by TINH with its own key."""
    paper = Paper()
    paper.enrol(EXCHANGE, level="exchange")
    ministry, hub = paper.enrol("BO"), paper.enrol("TINH", level="province")
    for happening in case.before:
        happening(paper)
    letter = paper.letter(Office(code="XA", key=hub.key, certificate=hub.certificate), [("BO", "BO")])
    for happening in case.after:
        happening(paper)
    paper.status(ministry, letter, "01")
    material = paper.material()
    material.statements += [dict(case.stated)] if case.stated else []
    return paper, material, letter


def sealed(paper: Paper, material: Material, letter: Named) -> bytes:
    scope = scope_of(_reference(letter), None)
    return assemble(material, scope=scope, identity=paper.identity(), made_at=paper.now())


def bundle_of(case: Case) -> tuple[Paper, bytes]:
    paper, material, letter = story_of(case)
    return paper, sealed(paper, material, letter)


def judged(case: Case) -> Answer:
    """What both checkers say."""
    paper, data = bundle_of(case)
    mine = ours(data, paper.keys())
    assert mine == theirs(data, paper.keys())
    return mine


@pytest.mark.parametrize("name", GOOD)
def test_what_a_hub_signed_within_its_mandate_is_good(name: str) -> None:
    assert judged(GOOD[name]) is None


@pytest.mark.parametrize("name", BAD)
def test_what_a_hub_signed_outside_of_its_mandate_is_refused(name: str) -> None:
    answer = judged(BAD[name])
    assert answer is not None
    assert answer[0] == "policy"


def test_a_mandate_that_an_import_told_rests_on_the_log_and_not_on_a_statement() -> None:
    paper, data = bundle_of(GOOD["imported, ended the same day"])
    (document,) = [one for one in check(data, keys=paper.keys()).signatures if one.type == "document"]
    assert "log entry" in document.verdict.policy.why
    paper, data = bundle_of(GOOD["stated"])
    (document,) = [one for one in check(data, keys=paper.keys()).signatures if one.type == "document"]
    assert "sealed word" in document.verdict.policy.why


def test_of_several_statements_one_that_holds_is_enough_whatever_their_order() -> None:
    for days in ((LONG_AGO, TODAY), (LONG_AGO, TOMORROW)):
        paper, material, letter = story_of(Case())
        material.statements += [stated(since=day) for day in days]
        data = sealed(paper, material, letter)
        assert ours(data, paper.keys()) is None
        assert theirs(data, paper.keys()) is None


def test_facts_of_another_kind_break_no_checker() -> None:
    for codes, facts in (
        ([], {"sign": True}),
        (["TINH"], {"sign": True}),
        (["TINH", "XA"], {"sign": "true", "from": LONG_AGO}),
        (["TINH", "XA"], {"sign": True, "from": True}),
    ):
        case = Case(before=(happened("mandates.imported", codes, **facts), imported("AN")))
        assert judged(case) is not None


def _reference(named: Named) -> dict[str, str]:
    return {"from": named.from_, "id": str(named.id), "digest": named.digest}
