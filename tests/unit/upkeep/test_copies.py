"""Further copies of documents: who is served by which publish, and as which attempt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from broker.directory.records import Agency, AgencyId, Mandate
from broker.directory.snapshot import Directory
from broker.upkeep.again import OpenDelivery, copies

PROVINCES = range(1, 601)
COMMUNES = range(1001, 1006)
DIRECTORY = Directory.build(
    [
        *(Agency(id=AgencyId(n), code=f"H{n}", name="", level="province", has_mailbox=True) for n in PROVINCES),
        *(Agency(id=AgencyId(n), code=f"H1.{n}", name="", level="commune") for n in COMMUNES),
    ],
    (),
    [Mandate(hub_id=AgencyId(1), agency_id=AgencyId(n), may_receive=True, may_sign=True) for n in COMMUNES],
    (),
    (),
    (),
)


def open_delivery(
    recipient: int, *, document: int = 1, sends: int = 1, addressed_as: str | None = None
) -> OpenDelivery:
    return OpenDelivery(
        document_id=document,
        recipient_id=AgencyId(recipient),
        owner_id=AgencyId(1 if recipient in COMMUNES else recipient),
        addressed_as=addressed_as or DIRECTORY.by_id(AgencyId(recipient)).code,
        sends=sends,
    )


def test_one_publish_serves_up_to_500_mailboxes() -> None:
    planned = copies([open_delivery(n) for n in PROVINCES], DIRECTORY)
    assert [len(copy.owner_ids) for copy in planned] == [500, 100]
    assert {(copy.recipient_ids, copy.attempt) for copy in planned} == {(None, 2)}


def test_a_hubs_copy_names_the_communes_that_are_silent_and_no_others() -> None:
    [copy] = copies([open_delivery(1001), open_delivery(1003)], DIRECTORY)
    assert (copy.owner_ids, copy.recipient_ids) == ((1,), (1001, 1003))


def test_who_was_reached_by_another_code_is_named() -> None:
    [copy] = copies([open_delivery(2, addressed_as="000.00.00.CLOSED")], DIRECTORY)
    assert (copy.owner_ids, copy.recipient_ids) == ((2,), (2,))
    [grouped] = copies([open_delivery(2, addressed_as="group:provinces")], DIRECTORY)
    assert grouped.recipient_ids is None


deliveries = st.lists(
    st.builds(
        open_delivery,
        st.sampled_from([1, 2, 3, 1001, 1002]),
        document=st.integers(1, 3),
        sends=st.integers(1, 3),
    ),
    unique_by=lambda one: (one.document_id, one.recipient_id),
)


@given(deliveries)
def test_everybody_gets_one_copy_and_it_tells_the_right_attempt(open_ones: list[OpenDelivery]) -> None:
    served = [
        (copy.document_id, recipient, copy.attempt)
        for copy in copies(open_ones, DIRECTORY)
        for recipient in (copy.recipient_ids or copy.owner_ids)
    ]
    assert sorted(served) == sorted((one.document_id, one.recipient_id, one.sends + 1) for one in open_ones)
