"""`document explain` says where a document is, why, and what happens next."""

from __future__ import annotations

from datetime import timedelta

import pytest

from broker.audit.explain import explain
from broker.audit.record import ChangeRecord, Story, UnpublishedRecord
from tests.unit.audit.stories import NOW, delivery, document, refusal, status


def told(story: Story) -> str:
    explanation = explain(story, now=NOW)
    assert "\n" not in explanation.en and "\n" not in explanation.vi, "one paragraph"
    assert explanation.vi, "auditors read Vietnamese"
    return explanation.en


def test_a_document_in_a_mailbox_names_the_silent_recipient_and_its_deadline() -> None:
    text = told(Story(document=document(), deliveries=(delivery(),)))
    assert "lies in the mailbox for H53.25459" in text
    assert "expected by 2026-03-12 13:00:00" in text, "local time of Viet Nam"


def test_a_hub_is_named_as_the_way() -> None:
    text = told(Story(document=document(), deliveries=(delivery(owner="H53"),)))
    assert "served by the hub H53" in text


def test_an_unpublished_document_says_who_will_complete_it() -> None:
    waiting = UnpublishedRecord(outgoing_id=1, attempt=1, created_at=NOW - timedelta(seconds=42), mailboxes=1)
    text = told(Story(document=document(), deliveries=(delivery(processing="accepted"),), unpublished=(waiting,)))
    assert "not yet handed to the mailboxes of H53.25459" in text
    assert "42 s ago" in text
    assert "keeper" in text


def test_an_overdue_delivery_is_told_apart_from_one_in_time() -> None:
    late = delivery("H53.1", overdue_at=NOW - timedelta(minutes=1), due_arrival=NOW - timedelta(minutes=1))
    text = told(Story(document=document(), deliveries=(delivery(), late)))
    assert "Overdue since" in text and "H53.1 never confirmed" in text
    assert "lies in the mailbox for H53.25459" in text


def test_a_refusal_is_told_with_the_recipients_reason() -> None:
    story = Story(
        document=document(),
        deliveries=(delivery(processing="refused", closed_at=NOW),),
        statuses=(status("02", reason="Thiếu phụ lục"),),
    )
    text = told(story)
    assert "Refused by H53.25459 with the reason “Thiếu phụ lục”" in text
    assert text.endswith("Nothing more is expected.")


def test_a_message_that_was_refused_names_the_fault_and_the_way_out() -> None:
    text = told(Story(document=None, rejections=(refusal(),)))
    assert "LT-SIGNATURE" in text
    assert "found bytes that do not verify" in text
    assert "Nobody received it. Next:" in text


def test_a_forged_copy_beside_the_accepted_document_is_mentioned_and_changes_nothing() -> None:
    text = told(Story(document=document(), deliveries=(delivery(processing="completed"),), rejections=(refusal(),)))
    assert "Nobody received that one." in text
    assert "Completed at H53.25459." in text


def test_an_open_recall_says_that_its_answer_is_missing() -> None:
    change = ChangeRecord(
        recipient="H53.25459",
        kind="recall",
        state="asked",
        asked_at=NOW,
        answered_at=None,
        overdue_at=None,
        asking_id=None,
    )
    text = told(Story(document=document(), deliveries=(delivery(processing="received"),), changes=(change,)))
    assert "A recall was asked and H53.25459 has not answered yet" in text
    assert "Nothing more is expected" not in text


def asking(state: str, recipient: str = "H53.25459") -> ChangeRecord:
    return ChangeRecord(
        recipient=recipient,
        kind="recall",
        state=state,
        asked_at=NOW,
        answered_at=None if state == "asked" else NOW,
        overdue_at=None,
        asking_id=None,
    )


def test_a_recall_itself_waits_for_its_answer_and_for_nothing_after_it() -> None:
    recall, come = document(action="recall"), (delivery(processing="arrived"),)
    text = told(Story(document=recall, deliveries=come, asked=(asking("asked"),)))
    assert "(recall)" in text and "the next word is the clerk's of H53.25459 (15 agrees, 16 refuses)" in text
    assert "03, 04" not in text and "Nothing more is expected" not in text
    for state, words in (("agreed", "agreed to the recall"), ("refused_change", "refused the recall (16)")):
        text = told(Story(document=recall, deliveries=come, asked=(asking(state),)))
        assert words in text and text.endswith("Nothing more is expected.")


def test_who_has_completed_is_not_waited_for_while_others_work() -> None:
    both = (delivery("H53.1", processing="completed"), delivery("H53.2", processing="received"))
    text = told(Story(document=document(), deliveries=both))
    assert "The next word is the clerk's of H53.2 (03" in text
    text = told(Story(document=document(), deliveries=both[:1]))
    assert "next word" not in text and "Nothing more is expected." in text


def test_a_telegram_to_thousands_stays_one_short_paragraph() -> None:
    many = tuple(delivery(f"H53.{n}", processing="arrived" if n % 2 else "dispatched") for n in range(3_355))
    text = told(Story(document=document(recipients=3_355), deliveries=many))
    assert "and 1673 more" in text
    assert len(text) < 1_500


@pytest.mark.parametrize("custody", ["broker"])
def test_a_key_kept_by_the_exchange_is_always_said(custody: str) -> None:
    assert "key that the exchange keeps" in told(Story(document=document(custody=custody), deliveries=(delivery(),)))
