"""Whom `to` means: groups, aliases, closed codes, hubs; each agency once, the sender never."""

from __future__ import annotations

from datetime import date
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.directory.records import Agency, AgencyId, Alias, Level, Mandate, Succession
from broker.directory.snapshot import Directory
from broker.intake.recipients import resolve, resolve_earlier
from schemas.errors import Refusal


def _agency(number: int, code: str, level: Level = "province", **more: object) -> Agency:
    return Agency(id=AgencyId(number), code=code, name=code, level=level, **({"has_mailbox": True} | more))  # type: ignore[arg-type]


SENDER = _agency(1, "G01", "ministry")
TAY_NINH, LONG_AN, HUE = _agency(2, "H53"), _agency(3, "H34", state="closed"), _agency(4, "H57")
SPLIT = _agency(5, "H34.1", "commune", state="closed")
COMMUNE = _agency(6, "H53.31.20", "commune", has_mailbox=False, parent_id=AgencyId(2))
ISLAND = _agency(7, "H99", "commune", has_mailbox=False)
SUSPENDED = _agency(8, "H60", state="suspended")
CODES = ("G01", "H53", "H34", "H57", "H53.31.20", "000.20.31.H53", "group:provinces", "group:communes/H53")

DIRECTORY = Directory.build(
    agencies=[SENDER, TAY_NINH, LONG_AN, HUE, SPLIT, COMMUNE, ISLAND, SUSPENDED],
    aliases=[Alias(alias="000.20.31.H53", agency_id=COMMUNE.id, kind="qcvn102")],
    mandates=[Mandate(hub_id=TAY_NINH.id, agency_id=COMMUNE.id, may_receive=True, may_sign=True)],
    successions=[
        Succession(old_id=LONG_AN.id, new_id=TAY_NINH.id, extent="whole", on_date=date(2025, 7, 1)),
        Succession(old_id=SPLIT.id, new_id=TAY_NINH.id, extent="main part", on_date=date(2025, 7, 1)),
        Succession(old_id=SPLIT.id, new_id=HUE.id, extent="part", on_date=date(2025, 7, 1)),
    ],
)


def _resolved(*to: str, partial: bool = False) -> list[tuple[str, str, str, bool]]:
    found = resolve(to, sender=SENDER, directory=DIRECTORY, partial=partial)
    return [(r.agency.code, r.owner.code, r.addressed_as, r.rerouted) for r in found.recipients]


def _refused(*to: str, partial: bool = False) -> Refusal:
    with pytest.raises(Refusal) as caught:
        resolve(to, sender=SENDER, directory=DIRECTORY, partial=partial)
    return caught.value


def test_a_commune_without_a_connection_is_reached_through_its_hub_and_named_as_written() -> None:
    assert _resolved("000.20.31.H53") == [("H53.31.20", "H53", "000.20.31.H53", False)]


def test_a_closed_code_is_followed_to_its_one_successor() -> None:
    assert _resolved("H34") == [("H53", "H53", "H34", True)]


def test_a_code_with_several_successors_is_refused_with_the_candidates() -> None:
    refusal = _refused("H34.1")
    assert (refusal.code, refusal.field, refusal.candidates) == ("LT-RECIPIENT-CLOSED", "to.0", ("H53", "H57"))


def test_what_was_written_first_decides_how_an_agency_was_addressed() -> None:
    assert _resolved("H53", "H34", "H53") == [("H53", "H53", "H53", False)]
    assert _resolved("H34", "H53") == [("H53", "H53", "H34", True)]


@pytest.mark.parametrize(
    ("to", "code", "field"),
    [
        (["H57", "X9"], "LT-RECIPIENT-UNKNOWN", "to.1"),
        (["group:planets"], "LT-RECIPIENT-UNKNOWN", "to.0"),
        (["H99"], "LT-RECIPIENT-UNKNOWN", "to.0"),
        (["H60"], "LT-RECIPIENT-SUSPENDED", "to.0"),
        (["G01"], "LT-RECIPIENT-NONE", "to"),
        (["group:ministries"], "LT-RECIPIENT-NONE", "to"),
    ],
)
def test_one_recipient_that_leads_nowhere_refuses_the_whole(to: list[str], code: str, field: str) -> None:
    refusal = _refused(*to)
    assert (refusal.code, refusal.field) == (code, field)


def test_partial_leaves_out_what_leads_nowhere_and_says_why() -> None:
    found = resolve(["X9", "H57", "H34.1"], sender=SENDER, directory=DIRECTORY, partial=True)
    assert [r.agency.code for r in found.recipients] == ["H57"]
    why = [(u.addressed_as, u.why.code) for u in found.unresolved]
    assert why == [("X9", "LT-RECIPIENT-UNKNOWN"), ("H34.1", "LT-RECIPIENT-CLOSED")]


def test_partial_with_nobody_left_is_refused_for_the_first_reason() -> None:
    assert _refused("X9", "H60", partial=True).code == "LT-RECIPIENT-UNKNOWN"


def test_a_group_leaves_out_members_that_cannot_be_reached_and_names_them() -> None:
    found = resolve(["group:provinces"], sender=SENDER, directory=DIRECTORY, partial=False)
    assert [r.agency.code for r in found.recipients] == ["H53", "H57"]
    assert [(u.addressed_as, u.why.code) for u in found.unresolved] == [("H60", "LT-RECIPIENT-SUSPENDED")]


def test_recipients_of_an_earlier_document_follow_successions_too() -> None:
    found = resolve_earlier([LONG_AN.id, SPLIT.id], sender=SENDER, directory=DIRECTORY, field="concerns")
    assert [(r.agency.code, r.addressed_as, r.rerouted) for r in found.recipients] == [("H53", "H34", True)]
    assert [u.addressed_as for u in found.unresolved] == ["H34.1"]


@given(st.lists(st.sampled_from(CODES), min_size=1, max_size=12))
def test_nobody_is_named_twice_and_the_sender_never(to: list[str]) -> None:
    try:
        found = resolve(to, sender=SENDER, directory=DIRECTORY, partial=False)
    except Refusal as refusal:
        assert refusal.code == "LT-RECIPIENT-NONE" and set(to) == {"G01"}
        return
    ids = [r.agency.id for r in found.recipients]
    assert len(ids) == len(set(ids)) and SENDER.id not in ids
    assert all(r.owner.has_mailbox and r.addressed_as in to for r in found.recipients)


def test_3355_recipients_resolve_in_a_few_milliseconds() -> None:
    provinces = [_agency(100 + n, f"H{100 + n}") for n in range(34)]
    communes = [_agency(1000 + n, f"C{n}", "commune", has_mailbox=n % 2 == 0) for n in range(3321)]
    mandates = [
        Mandate(hub_id=provinces[n % 34].id, agency_id=c.id, may_receive=True, may_sign=True)
        for n, c in enumerate(communes)
        if not c.has_mailbox
    ]
    directory = Directory.build(agencies=[SENDER, *provinces, *communes], mandates=mandates)
    to = ["group:provinces", "group:communes"]
    resolve(to, sender=SENDER, directory=directory, partial=False)
    times = []
    for _ in range(9):
        started = process_time()
        found = resolve(to, sender=SENDER, directory=directory, partial=False)
        times.append(process_time() - started)
    assert len(found.recipients) == 3355
    assert min(times) < 0.02, f"{min(times) * 1000:.1f} ms"
