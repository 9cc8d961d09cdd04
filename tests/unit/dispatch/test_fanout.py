"""Every recipient is served exactly once, whatever the mixture of mailboxes, hubs and reroutings."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.directory.records import Agency, AgencyId
from broker.dispatch.fanout import AGENCIES_PER_COPY, plan
from broker.intake.recipients import Recipient
from schemas.wire import COPIES_PER_PUBLISH


def _agency(number: int, *, mailbox: bool = True) -> Agency:
    return Agency(id=AgencyId(number), code=f"H{number}", name="x", level="province", has_mailbox=mailbox)


def _recipients(own: int, rerouted: int, served: list[int]) -> list[Recipient]:
    """`own` agencies with a mailbox, `rerouted` ones reached by a closed code, and hubs serving so many each."""
    found = [Recipient(_agency(n), _agency(n), f"H{n}", False) for n in range(own)]
    found += [Recipient(_agency(n), _agency(n), "OLD", True) for n in range(10_000, 10_000 + rerouted)]
    for position, count in enumerate(served):
        hub = _agency(20_000 + position)
        first = 30_000 + 2_000 * position
        found += [Recipient(_agency(n, mailbox=False), hub, "g", False) for n in range(first, first + count)]
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1200), st.integers(0, 4), st.lists(st.integers(0, 1200), max_size=3), st.booleans())
def test_each_recipient_is_in_exactly_one_publish(own: int, rerouted: int, served: list[int], hubs_too: bool) -> None:
    recipients = _recipients(own, rerouted, served)
    if hubs_too:
        recipients += [
            Recipient(hub, hub, hub.code, False) for n, count in enumerate(served) for hub in (_agency(20_000 + n),)
        ]
    publishes = plan(recipients)
    carried = [r.agency.id for publish in publishes for r in publish.recipients]
    assert sorted(carried) == sorted(r.agency.id for r in recipients)
    for publish in publishes:
        assert 1 <= len(publish.owner_ids) <= COPIES_PER_PUBLISH
        assert len(publish.recipients) <= max(COPIES_PER_PUBLISH, AGENCIES_PER_COPY)
        if publish.named:
            assert {r.owner.id for r in publish.recipients} == set(publish.owner_ids)
            assert len(publish.owner_ids) == 1
        else:
            assert publish.owner_ids == tuple(r.agency.id for r in publish.recipients)


def test_a_rerouted_recipient_gets_a_copy_of_its_own() -> None:
    direct, rerouted = plan(_recipients(2, 1, []))
    assert not direct.named and direct.owner_ids == (0, 1)
    assert rerouted.named and [r.addressed_as for r in rerouted.recipients] == ["OLD"]


def test_nobody_needs_no_publish() -> None:
    assert plan([]) == []
