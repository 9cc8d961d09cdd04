"""The demonstration's plan stands in the national proportions, and names what must become of every submission."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.demo.plan import EXPECTED_REFUSAL, TRAFFIC_2019, DemoPlan, Fate, make_plan, shares
from broker.directory.national import read_national
from broker.directory.records import Mandate
from broker.directory.snapshot import Agency, AgencyId, Directory

STARTED = datetime(2026, 3, 12, 1, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def directory() -> Directory:
    """Two ministries, two provinces that are hubs, six departments and twenty communes."""
    agencies: list[Agency] = []
    mandates: list[Mandate] = []

    def add(code: str, level: str, tier: int, *, parent: Agency | None = None, mailbox: bool = True) -> Agency:
        agency = Agency(
            id=AgencyId(len(agencies) + 1),
            code=code,
            name=f"Cơ quan {code}",
            level=level,  # type: ignore[arg-type]
            tier=tier,
            parent_id=parent.id if parent else None,
            has_mailbox=mailbox,
        )
        agencies.append(agency)
        if parent is not None:
            mandates.append(Mandate(hub_id=parent.id, agency_id=agency.id, may_receive=True, may_sign=True))
        return agency

    for n in range(4):
        add(f"G{n:02}", "ministry", 1)
    for n in range(3):
        province = add(f"H{n:02}", "province", 1)
        for k in range(6):
            add(f"{province.code}.D{k}", "department", 2, parent=province, mailbox=False)
        for k in range(20):
            add(f"{province.code}.{k:03}", "commune", 3, parent=province, mailbox=n == 0)
    return Directory.build(agencies, mandates=mandates)


@pytest.fixture(scope="module")
def plan(directory: Directory) -> DemoPlan:
    return make_plan(directory, seed=7, started=STARTED)


@given(st.integers(0, 10_000), st.dictionaries(st.integers(0, 9), st.integers(1, 10**6), min_size=1))
def test_shares_add_up_and_differ_from_the_exact_share_by_less_than_one(total: int, weights: dict[int, int]) -> None:
    parts = shares(total, weights)
    assert sum(parts.values()) == total
    whole = sum(weights.values())
    assert all(abs(parts[k] - total * w / whole) < 1 for k, w in weights.items())


def test_senders_and_recipients_stand_in_the_proportions_of_2019(plan: DemoPlan) -> None:
    good = [d for d in plan.documents if d.good and not d.telegram]
    assert len(good) == 300
    assert Counter(d.sender.tier for d in good) == shares(300, {t: s for t, (s, _) in TRAFFIC_2019.items()})
    received = Counter(a.tier for d in good for a in d.expected)
    expected = shares(900, {t: r for t, (_, r) in TRAFFIC_2019.items()})
    for tier, count in expected.items():
        assert count * 0.85 <= received[tier] <= count + 20, "senders drawn as recipients of their own are left out"


def test_the_telegram_goes_to_every_province_and_commune_once(plan: DemoPlan, directory: Directory) -> None:
    (telegram,) = (d for d in plan.documents if d.telegram)
    assert {a.code for a in telegram.expected} == {
        a.code for a in directory.agencies() if a.level in ("province", "commune")
    }
    assert telegram.priority > 0, "it travels in the urgent lane"


def test_every_kind_of_bad_submission_is_there_and_expects_nobody(plan: DemoPlan) -> None:
    fates = Counter(d.fate for d in plan.documents)
    assert all(fates[fate] == 6 for fate in EXPECTED_REFUSAL)
    assert fates[Fate.TWICE] == 12
    assert all(not d.expected for d in plan.documents if not d.good)
    wrong = next(d for d in plan.documents if d.fate is Fate.WRONG_SIGNER)
    assert wrong.signer.id != wrong.sender.id


def test_both_lanes_and_large_parts_are_used(plan: DemoPlan) -> None:
    assert {d.priority > 0 for d in plan.documents} == {True, False}
    assert any(d.scan_bytes > 128 * 1024 for d in plan.documents if d.good), "some parts are above the inline limit"


def test_offices_without_a_connection_send_through_their_hub_with_their_own_key(plan: DemoPlan) -> None:
    through_hub = [d for d in plan.documents if d.submitter.id != d.sender.id]
    assert through_hub
    assert all(d.signer.id == d.sender.id and not d.sender.has_mailbox for d in through_hub)


def test_the_same_seed_gives_the_same_plan(directory: Directory, plan: DemoPlan) -> None:
    assert make_plan(directory, seed=7, started=STARTED) == plan
    assert make_plan(directory, seed=8, started=STARTED) != plan


def test_the_real_directory_has_everybody_the_demonstration_speaks_of() -> None:
    rows, rejected, _ = read_national()
    assert not rejected
    levels = Counter(row.level for row in rows if row.valid_until is None or row.valid_until > date(2026, 1, 1))
    assert (levels["ministry"], levels["province"], levels["commune"], levels["department"]) == (26, 34, 3321, 272)
