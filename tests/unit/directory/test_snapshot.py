"""What the directory answers from memory."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.directory.snapshot import Agency, AgencyId, Alias, Directory, Enrolled, Group, Mandate
from tests.unit.directory.rows import agency, mandate, succession

REFORM = date(2025, 7, 1)
BEFORE = date(2025, 6, 30)


def codes(found: tuple[Agency, ...] | None) -> list[str]:
    assert found is not None
    return [one.code for one in found]


# ── Codes ────────────────────────────────────────────────────────────────────────────────────────
def test_the_same_code_means_another_commune_after_the_reform() -> None:
    old = agency(1, "H53.25459", name="Phường 1", state="closed", valid_until=REFORM)
    new = agency(2, "H53.25459", name="Phường Tân Ninh", valid_from=REFORM)
    directory = Directory.build([old, new])
    assert directory.find("H53.25459") == new
    assert directory.closed("H53.25459") == old


def test_a_closing_day_that_was_entered_beforehand_takes_effect_by_itself() -> None:
    old = agency(1, "H39", valid_until=REFORM)
    before = Directory.build([old], today=BEFORE)
    assert before.find("H39") == old and before.closed("H39") is None
    after = before.updated(today=REFORM)
    assert after.find("H39") is None and after.closed("H39") == old


def test_an_agency_that_begins_tomorrow_is_neither_open_nor_closed() -> None:
    directory = Directory.build([agency(1, "H99", valid_from=REFORM)], today=BEFORE)
    assert directory.find("H99") is None and directory.closed("H99") is None


@pytest.mark.parametrize("written", ["H53", " h53 ", "000.00.00.H53", "000.00.00.h53", "vxp.saas.03"])
def test_a_code_is_found_as_it_is_and_by_its_aliases(written: str) -> None:
    aliases = [
        Alias(alias="000.00.00.H53", agency_id=AgencyId(1), kind="qcvn102"),
        Alias(alias="VXP.SAAS.03", agency_id=AgencyId(1), kind="local"),
    ]
    found = Directory.build([agency(1, "H53"), agency(2, "H5")], aliases).find(written)
    assert found is not None and found.code == "H53"


def test_a_code_wins_over_an_alias_and_an_alias_of_two_names_nobody() -> None:
    aliases = [Alias(alias=text, agency_id=AgencyId(number), kind="local") for text, number in
               (("A", 2), ("X", 1), ("X", 2))]  # fmt: skip
    directory = Directory.build([agency(1, "A"), agency(2, "B")], aliases)
    assert directory.find("A") == agency(1, "A")
    assert directory.find("X") is None
    assert set(directory.suggestions("X")) == {"A", "B"}


def test_an_alias_of_a_closed_agency_leads_to_what_was_closed() -> None:
    alias = Alias(alias="000.00.00.H39", agency_id=AgencyId(1), kind="qcvn102")
    old = agency(1, "H39", state="closed", valid_until=REFORM)
    directory = Directory.build([old, agency(2, "H53")], [alias], successions=[succession(1, 2)])
    assert directory.find("000.00.00.H39") is None
    assert directory.closed("000.00.00.h39") == old


# ── Succession ───────────────────────────────────────────────────────────────────────────────────
def test_successors_are_followed_through_reforms_and_the_main_part_comes_first() -> None:
    rows = [agency(1, "A", state="closed"), agency(2, "B", state="closed"), *(agency(n, f"C{n}") for n in (3, 4, 5))]
    links = [succession(1, 2), succession(2, 3, "part"), succession(2, 4, "main part"), succession(2, 5, "part")]
    assert codes(Directory.build(rows, successions=links).successors(AgencyId(1))) == ["C4", "C3", "C5"]


def test_a_succession_does_not_count_before_its_day() -> None:
    rows = [agency(1, "A", state="closed"), agency(2, "B")]
    directory = Directory.build(rows, successions=[succession(1, 2)], today=BEFORE)
    assert directory.successors(AgencyId(1)) == ()
    assert codes(directory.updated(today=REFORM).successors(AgencyId(1))) == ["B"]


@given(
    links=st.sets(st.tuples(st.integers(1, 8), st.integers(1, 8)), max_size=40),
    still_open=st.sets(st.integers(1, 8)),
    start=st.integers(1, 8),
)
def test_successors_are_open_and_no_circle_in_the_data_hangs(
    links: set[tuple[int, int]], still_open: set[int], start: int
) -> None:
    rows = [agency(n, f"A{n}", state="active" if n in still_open else "closed") for n in range(1, 9)]
    found = Directory.build(rows, successions=[succession(*link) for link in links]).successors(AgencyId(start))
    assert {one.id for one in found} <= still_open - {start}
    assert len(set(found)) == len(found)


# ── Groups ───────────────────────────────────────────────────────────────────────────────────────
def nation() -> Directory:
    rows = [
        agency(1, "G09", level="ministry"),
        agency(2, "H53", level="province", has_mailbox=True),
        agency(3, "H54", level="province", state="closed", valid_until=REFORM),
        agency(4, "H53.31", level="district", parent_id=2, state="closed"),
        agency(5, "H53.31.20", parent_id=4),
        agency(6, "H53.25459", parent_id=2, state="suspended"),
        agency(7, "H53.SNV", level="department", parent_id=2),
        agency(8, "H01.1"),
        agency(9, "LT.EXCHANGE", level="exchange"),
    ]
    group = Group(name="group:ủy-ban", title="Ủy ban", member_ids=(AgencyId(1), AgencyId(3), AgencyId(7)))
    return Directory.build(rows, groups=[group, Group(name="group:gone", title="", member_ids=())])


@pytest.mark.parametrize(
    ("group", "members"),
    [
        ("group:ministries", ["G09"]),
        ("group:provinces", ["H53"]),
        ("group:communes", ["H01.1", "H53.25459", "H53.31.20"]),
        ("group:communes/H53", ["H53.25459", "H53.31.20"]),
        ("group:communes/h53", ["H53.25459", "H53.31.20"]),
        ("group:children/H53", ["H53.25459", "H53.SNV"]),
        ("group:children/G09", []),
        ("group:ủy-ban", ["G09", "H53.SNV"]),
        (" GROUP:Provinces ", ["H53"]),
    ],
)
def test_a_group_is_its_open_members_by_code(group: str, members: list[str]) -> None:
    assert codes(nation().members(group)) == members


@pytest.mark.parametrize(
    "group", ["group:nobody", "group:gone", "group:communes/H54", "group:provinces/H53", "H53", "", "group:", "/"]
)
def test_what_is_no_group_is_none(group: str) -> None:
    assert nation().members(group) is None


@given(parents=st.lists(st.one_of(st.none(), st.integers(1, 10)), min_size=10, max_size=10), top=st.integers(1, 10))
def test_superiors_in_a_circle_do_not_hang_a_group(parents: list[int | None], top: int) -> None:
    rows = [agency(n, f"A{n}", parent_id=parent) for n, parent in enumerate(parents, start=1)]
    directory = Directory.build(rows)
    below = set(codes(directory.members(f"group:communes/A{top}")))
    direct = set(codes(directory.members(f"group:children/A{top}")))
    assert direct - {f"A{top}"} <= below and f"A{top}" not in below


# ── Hubs ─────────────────────────────────────────────────────────────────────────────────────────
def test_documents_go_to_ones_own_mailbox_else_to_the_hub_that_may_receive() -> None:
    rows = [agency(1, "HUB", level="hub", has_mailbox=True), agency(2, "OWN", has_mailbox=True),
            agency(3, "SERVED"), agency(4, "SIGNED"), agency(5, "ALONE"), agency(6, "DEAF", level="hub")]  # fmt: skip
    mandates = [mandate(1, 2), mandate(1, 3, sign=False), mandate(1, 4, receive=False), mandate(6, 5)]
    directory = Directory.build(rows, mandates=mandates)
    owners = {one.code: (owner.code if (owner := directory.owner_of(one.id)) else None) for one in rows}
    assert owners == {"HUB": "HUB", "OWN": "OWN", "SERVED": "HUB", "SIGNED": None, "ALONE": None, "DEAF": None}
    assert directory.may_receive_for(AgencyId(1), AgencyId(3)) and not directory.may_sign_for(AgencyId(1), AgencyId(3))
    assert directory.may_sign_for(AgencyId(1), AgencyId(4)) and not directory.may_receive_for(AgencyId(1), AgencyId(4))
    assert not directory.may_sign_for(AgencyId(2), AgencyId(3))
    assert codes(directory.mailboxes()) == ["HUB", "OWN"]


def test_the_hub_mandated_last_receives_and_an_ended_mandate_gives_nothing() -> None:
    hubs = [agency(n, f"HUB{n}", level="hub", has_mailbox=True) for n in (1, 2)]
    mandates = [mandate(1, 3), mandate(2, 3, valid_from=REFORM)]
    directory = Directory.build([*hubs, agency(3, "A")], mandates=mandates, today=BEFORE)
    assert (owner := directory.owner_of(AgencyId(3))) is not None and owner.code == "HUB1"
    later = directory.updated(today=REFORM)
    assert (owner := later.owner_of(AgencyId(3))) is not None and owner.code == "HUB2"
    ended = later.updated(mandates=[mandate(2, 3, valid_from=REFORM, valid_until=REFORM)])
    assert (owner := ended.owner_of(AgencyId(3))) is not None and owner.code == "HUB1"
    assert not ended.may_sign_for(AgencyId(2), AgencyId(3))


def test_a_closed_hub_speaks_for_nobody() -> None:
    rows = [agency(1, "HUB", level="hub", has_mailbox=True, state="closed"), agency(2, "A")]
    directory = Directory.build(rows, mandates=[mandate(1, 2)])
    assert directory.owner_of(AgencyId(2)) is None and not directory.may_sign_for(AgencyId(1), AgencyId(2))


# ── Suggestions ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("H35.31", "H53.31"),
        ("H53.3", "H53.31"),
        ("H53.311", "H53.31"),
        ("H53.32", "H53.31"),
        ("31.H53", "H53.31"),
        ("000.00.31.H53", "H53.31"),
        ("H53-31", "H53.31"),
        ("H53_31", "H53.31"),
        ("H53.3I", "H53.31"),
        ("H53.99.99", "H53"),
        ("sở nội vụ tỉnh tây ninh", "H53.SNV"),
        ("So Noi vu tinh Tay Ninh", "H53.SNV"),
        ("tỉnh Tây Ninh", "H53"),
    ],
)
def test_a_slip_of_the_hand_is_understood(written: str, meant: str) -> None:
    rows = [
        agency(1, "H53", name="UBND tỉnh Tây Ninh", level="province"),
        agency(2, "H53.31"),
        agency(3, "H53.SNV", name="Sở Nội vụ tỉnh Tây Ninh"),
    ]
    assert meant in Directory.build(rows).suggestions(written)


@given(text=st.text(max_size=60), limit=st.integers(0, 5))
def test_suggestions_are_few_different_and_exist(text: str, limit: int) -> None:
    directory = nation()
    found = directory.suggestions(text, limit)
    assert len(found) <= limit and len(set(found)) == len(found)
    assert all(directory.agency(code) is not None for code in found)


# ── Versions ─────────────────────────────────────────────────────────────────────────────────────
def agencies_strategy() -> st.SearchStrategy[list[Agency]]:
    one = st.builds(
        agency,
        st.integers(1, 12),
        st.sampled_from(["A", "B", "C", "D.1", "D.2"]),
        name=st.sampled_from(["Sở", "Bộ", "Xã"]),
        parent_id=st.one_of(st.none(), st.integers(1, 12)),
        state=st.sampled_from(["active", "suspended", "closed"]),
        has_mailbox=st.booleans(),
    )
    return st.lists(one, max_size=12)


@given(
    first=agencies_strategy(),
    second=agencies_strategy(),
    mandated=st.sets(st.tuples(st.integers(1, 12), st.integers(1, 12))),
)
def test_a_directory_updated_in_steps_is_the_directory_built_at_once(
    first: list[Agency], second: list[Agency], mandated: set[tuple[int, int]]
) -> None:
    start = Directory.build(first)
    start.suggestions("sở")  # builds the index of names, which must be carried along
    stepwise = start.updated(second).updated(mandates=[mandate(*pair) for pair in mandated])
    merged = {one.id: one for one in [*first, *second]}
    at_once = Directory.build(merged.values(), mandates=[mandate(*pair) for pair in mandated])
    assert {one.id: one for one in stepwise.agencies()} == merged
    for code in ("A", "B", "C", "D.1", "D.2"):
        found, expected = stepwise.agency(code), at_once.agency(code)
        open_ones = [one for one in merged.values() if one.code == code and one.state != "closed"]
        assert (found is None) == (expected is None) == (not open_ones)
        assert found is None or found in open_ones
        assert stepwise.members(f"group:children/{code}") == (
            at_once.members(f"group:children/{code}")
            if found == expected
            else stepwise.members(f"group:children/{code}")
        )
    assert stepwise.mailboxes() == at_once.mailboxes()
    for agency_id in merged:
        assert stepwise.owner_of(agency_id) == at_once.owner_of(agency_id)
    assert set(stepwise.suggestions("sở", 9)) == set(at_once.suggestions("sở", 9))


def test_a_directory_never_changes() -> None:
    first = Directory.build([agency(1, "A")], revision=5)
    second = first.updated([agency(1, "A", state="closed"), agency(2, "B")], revision=6)
    assert first.find("A") is not None and first.find("B") is None and first.revision == 5
    assert second.find("A") is None and second.find("B") is not None and second.revision == 6


def test_a_revocation_replaces_the_enrolment_and_a_certificate_is_parsed_only_when_asked() -> None:
    at = datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=7)))
    enrolled = Enrolled(
        thumbprint=b"t" * 32, agency_id=AgencyId(1), der=b"not a certificate", not_before=at, not_after=at
    )
    revoked = Enrolled(
        thumbprint=b"t" * 32, agency_id=AgencyId(1), der=b"not a certificate", not_before=at, not_after=at,
        revoked_at=at, revoked_why="lost",
    )  # fmt: skip
    directory = Directory.build([agency(1, "A")], certificates=[enrolled])
    assert directory.certificate(b"t" * 32) == enrolled and directory.certificate(b"x" * 32) is None
    assert (found := directory.updated(certificates=[revoked]).certificate(b"t" * 32)) and found.revoked_at == at


def test_the_whole_nation_is_loaded_and_looked_up_in_no_time() -> None:
    def measured(count: int) -> float:
        rows = [agency(n, f"H{n % 63}.{n}", has_mailbox=n < 64, parent_id=None if n < 64 else n % 63 + 1)
                for n in range(1, count)]  # fmt: skip
        mandates: list[Mandate] = [mandate(n % 63 + 1, n) for n in range(64, count)]
        begun = process_time()
        directory = Directory.build(rows, mandates=mandates)
        taken = process_time() - begun
        begun = process_time()
        for n in range(64, 1064):
            found = directory.find(f"H{n % 63}.{n}")
            assert found is not None and directory.owner_of(found.id) is not None
        assert process_time() - begun < 0.1, "a thousand look-ups"
        return taken

    # Time of this process alone: machines that test have other things to do.
    assert min(measured(3_700) for _ in range(3)) < 0.1
    assert measured(123_000) < 3
