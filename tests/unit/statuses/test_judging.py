"""Which items of a status message take effect: judged one by one, whatever becomes of their neighbours."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from broker.directory.records import Agency, AgencyId, Mandate, Succession
from broker.directory.snapshot import Directory
from broker.statuses.judging import AskedChange, DocumentId, Judgement, Known, KnownDelivery, KnownDocument, judge
from schemas.manifest import MessageReference, Reference, StatusItem
from schemas.states import Processing, StatusCode

NOW = datetime(2026, 3, 12, 8, tzinfo=UTC)
DOCUMENT = UUID("0195a000-0000-7000-8000-000000000001")
RECALL = UUID("0195a000-0000-7000-8000-000000000002")
DIGEST = bytes(range(32))
RECALL_DIGEST = bytes(reversed(range(32)))

MINISTRY, PROVINCE, COMMUNE, STRANGER, CLOSED, HEIR, OTHER_HUB = (AgencyId(number) for number in range(1, 8))
AGENCIES = {
    MINISTRY: Agency(id=MINISTRY, code="G01", name="Bộ A", level="ministry", has_mailbox=True),
    PROVINCE: Agency(id=PROVINCE, code="H53", name="Tỉnh B", level="province", has_mailbox=True),
    COMMUNE: Agency(id=COMMUNE, code="H53.1", name="Xã C", level="commune"),
    STRANGER: Agency(id=STRANGER, code="H17", name="Tỉnh D", level="province", has_mailbox=True),
    CLOSED: Agency(id=CLOSED, code="H53.9", name="Xã cũ", level="commune", state="closed"),
    HEIR: Agency(id=HEIR, code="H53.2", name="Xã mới", level="commune", has_mailbox=True),
    OTHER_HUB: Agency(id=OTHER_HUB, code="H17.W00", name="Đầu mối E", level="hub", has_mailbox=True),
}
DIRECTORY = Directory.build(
    AGENCIES.values(),
    (),
    [Mandate(hub_id=PROVINCE, agency_id=COMMUNE, may_receive=True, may_sign=True)],
    (),
    [Succession(old_id=CLOSED, new_id=HEIR, extent="whole", on_date=NOW.date())],
    (),
)


def a_delivery(
    recipient: AgencyId,
    owner: AgencyId | None = None,
    processing: Processing = Processing.DISPATCHED,
    recalled: bool = False,
) -> KnownDelivery:
    return KnownDelivery(
        document_id=DocumentId(7),
        recipient_id=recipient,
        recipient_code=AGENCIES[recipient].code,
        owner_id=owner or recipient,
        processing=processing,
        recalled=recalled,
    )


def everything_known(*deliveries: KnownDelivery, recall_asked_of: AgencyId | None = None) -> Known:
    asked = AskedChange(asked_by=RECALL_DIGEST, sender_code="G01", message_id=RECALL)
    return Known(
        documents={("G01", DOCUMENT): [KnownDocument(document_id=DocumentId(7), sender_id=MINISTRY, digest=DIGEST)]},
        deliveries={(d.document_id, d.recipient_code): d for d in deliveries},
        changes={(DocumentId(7), recall_asked_of): [asked]} if recall_asked_of else {},
    )


def an_item(code: str = "01", *, digest: bytes = DIGEST, **fields: object) -> StatusItem:
    concerns = Reference(from_="G01", id=DOCUMENT, digest=digest.hex())
    return StatusItem.model_validate({"concerns": concerns, "code": StatusCode(code), "at": NOW} | fields)


def judged(*items: StatusItem, by: AgencyId, known: Known) -> Judgement:
    return judge(items, speaker=AGENCIES[by], known=known, standing=DIRECTORY)


def the_refusal(judgement: Judgement) -> str:
    assert not judgement.entries
    [refused] = judgement.refused
    return refused.refusal.code


def test_a_recipient_reports_on_its_own_delivery() -> None:
    [entry] = judged(an_item(), by=PROVINCE, known=everything_known(a_delivery(PROVINCE))).entries
    assert (entry.recipient_id, entry.by_id, entry.code) == (PROVINCE, PROVINCE, StatusCode.ARRIVED)


def test_a_hub_with_the_mandate_to_sign_answers_for_its_commune() -> None:
    known = everything_known(a_delivery(COMMUNE, owner=OTHER_HUB))
    [entry] = judged(an_item(for_="H53.1"), by=PROVINCE, known=known).entries
    assert (entry.recipient_id, entry.by_id) == (COMMUNE, PROVINCE)


def test_the_owner_of_the_mailbox_recorded_at_dispatch_answers_for_the_recipient() -> None:
    known = everything_known(a_delivery(COMMUNE, owner=OTHER_HUB))
    [entry] = judged(an_item(for_="H53.1"), by=OTHER_HUB, known=known).entries
    assert (entry.recipient_id, entry.by_id) == (COMMUNE, OTHER_HUB)


def test_a_successor_answers_for_the_agency_that_it_took_over() -> None:
    known = everything_known(a_delivery(CLOSED, owner=PROVINCE))
    [entry] = judged(an_item(for_="H53.9"), by=HEIR, known=known).entries
    assert (entry.recipient_id, entry.by_id) == (CLOSED, HEIR)


@pytest.mark.parametrize("code", ["01", "03", "04", "05", "06"])
def test_a_foreign_agency_may_report_nothing(code: str) -> None:
    known = everything_known(a_delivery(PROVINCE))
    assert the_refusal(judged(an_item(code), by=STRANGER, known=known)) == "LT-STATUS-NOT-ALLOWED"
    assert the_refusal(judged(an_item(code, for_="H53"), by=STRANGER, known=known)) == "LT-STATUS-NOT-ALLOWED"


def test_the_sender_may_not_report_for_its_recipients() -> None:
    known = everything_known(a_delivery(PROVINCE))
    assert the_refusal(judged(an_item("06", for_="H53"), by=MINISTRY, known=known)) == "LT-STATUS-NOT-ALLOWED"


def test_a_status_about_a_document_never_accepted_is_refused_as_unknown() -> None:
    assert the_refusal(judged(an_item(), by=PROVINCE, known=Known())) == "LT-CONCERNS-UNKNOWN"


def test_a_status_about_other_bytes_than_the_accepted_ones_names_both_digests() -> None:
    judgement = judged(an_item(digest=bytes(32)), by=PROVINCE, known=everything_known(a_delivery(PROVINCE)))
    assert the_refusal(judgement) == "LT-CONCERNS-DIGEST"
    assert judgement.refused[0].refusal.found == bytes(32).hex()
    assert judgement.refused[0].refusal.expected == DIGEST.hex()


def test_refused_items_leave_their_neighbours_in_force() -> None:
    judgement = judged(
        an_item(),
        an_item(digest=bytes(32)),
        an_item(for_="H53.1"),
        an_item(for_="H17"),
        by=PROVINCE,
        known=everything_known(a_delivery(PROVINCE), a_delivery(COMMUNE), a_delivery(STRANGER)),
    )
    assert [entry.item for entry in judgement.entries] == [0, 2]
    assert [(refused.item, refused.refusal.code) for refused in judgement.refused] == [
        (1, "LT-CONCERNS-DIGEST"),
        (3, "LT-STATUS-NOT-ALLOWED"),
    ]
    assert judgement.refused[1].refusal.field == "items.3.code"


def test_the_sender_asks_several_recipients_to_give_a_document_back() -> None:
    known = everything_known(a_delivery(PROVINCE), a_delivery(COMMUNE))
    entries = judged(an_item("13", to=("H53", "H53.1"), reason="nhầm"), by=MINISTRY, known=known).entries
    assert {(entry.item, entry.recipient_id) for entry in entries} == {(0, PROVINCE), (0, COMMUNE)}


def test_nobody_but_the_sender_asks_a_document_back() -> None:
    known = everything_known(a_delivery(PROVINCE), a_delivery(COMMUNE))
    item = an_item("13", to=("H53",), reason="nhầm")
    for agency in (PROVINCE, COMMUNE, STRANGER):
        assert the_refusal(judged(item, by=agency, known=known)) == "LT-STATUS-NOT-ALLOWED"


def test_asking_back_from_somebody_who_never_got_it_names_him() -> None:
    judgement = judged(
        an_item("13", to=("H53", "H17"), reason="nhầm"), by=MINISTRY, known=everything_known(a_delivery(PROVINCE))
    )
    assert the_refusal(judgement) == "LT-RECIPIENT-UNKNOWN"
    assert judgement.refused[0].refusal.found == "H17"


def test_nothing_is_asked_back_from_who_has_refused_or_given_back() -> None:
    known = everything_known(
        a_delivery(PROVINCE, processing=Processing.REFUSED),
        a_delivery(STRANGER, recalled=True),
        a_delivery(COMMUNE),
    )
    item = an_item("13", to=("H53", "H17", "H53.1"), reason="nhầm")
    assert [entry.recipient_id for entry in judged(item, by=MINISTRY, known=known).entries] == [COMMUNE]
    only = an_item("13", to=("H53", "H17"), reason="nhầm")
    assert the_refusal(judged(only, by=MINISTRY, known=known)) == "LT-STATUS-NOT-ALLOWED"


@pytest.mark.parametrize("code", ["15", "16"])
@pytest.mark.parametrize(
    "answers",
    [Reference(from_="G01", id=RECALL, digest=RECALL_DIGEST.hex()), MessageReference(from_="G01", id=RECALL)],
    ids=["by reference", "by message"],
)
def test_an_answer_finds_the_message_that_asked(code: str, answers: Reference | MessageReference) -> None:
    known = everything_known(a_delivery(PROVINCE), recall_asked_of=PROVINCE)
    [entry] = judged(an_item(code, answers=answers, reason="x"), by=PROVINCE, known=known).entries
    assert entry.answers == RECALL_DIGEST


def test_an_answer_to_what_was_never_asked_is_refused() -> None:
    answers = Reference(from_="G01", id=RECALL, digest=RECALL_DIGEST.hex())
    item = an_item("15", answers=answers)
    assert (
        the_refusal(judged(item, by=PROVINCE, known=everything_known(a_delivery(PROVINCE)))) == "LT-STATUS-NOT-ALLOWED"
    )
    asked_of_another = everything_known(a_delivery(PROVINCE), a_delivery(COMMUNE), recall_asked_of=COMMUNE)
    assert the_refusal(judged(item, by=PROVINCE, known=asked_of_another)) == "LT-STATUS-NOT-ALLOWED"


def test_an_answer_to_other_bytes_than_those_that_asked_is_refused() -> None:
    answers = Reference(from_="G01", id=RECALL, digest=bytes(32).hex())
    known = everything_known(a_delivery(PROVINCE), recall_asked_of=PROVINCE)
    assert the_refusal(judged(an_item("15", answers=answers), by=PROVINCE, known=known)) == "LT-STATUS-NOT-ALLOWED"
