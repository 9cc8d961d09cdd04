"""A trace tells every recorded moment once, in order, and says what rests on a signature."""

from __future__ import annotations

from datetime import timedelta

from broker.audit.record import Story
from broker.audit.timeline import timeline
from tests.unit.audit.stories import NOW, delivery, document, refusal, status


def test_moments_come_in_the_order_of_time_from_signature_to_status() -> None:
    story = Story(
        document=document(),
        deliveries=(delivery(processing="received", arrived_at=NOW),),
        statuses=(status("03", at=NOW), status("01")),
        rejections=(refusal(),),
    )
    moments = timeline(story)
    assert [m.at for m in moments] == sorted(m.at for m in moments)
    assert [m.what.en for m in moments] == [
        "signed by the sender",
        "accepted by the exchange",
        "handed over, confirmed by RabbitMQ",
        "01 arrived",
        "message refused: LT-SIGNATURE",
        "03 received",
    ]
    assert [m.signed for m in moments] == [True, False, False, True, False, True]


def test_what_many_recipients_share_is_told_once_with_their_number() -> None:
    codes = [f"H53.{n}" for n in range(96)]
    story = Story(
        document=document(recipients=96),
        deliveries=tuple(delivery(code, owner="H53") for code in codes),
        statuses=tuple(status("01", code, by="H53") for code in codes),
    )
    told = [(m.what.en, m.who.en, m.detail.en) for m in timeline(story)][2:]
    assert told == [
        ("handed over, confirmed by RabbitMQ", "96 agencies", "mailbox of hub H53"),
        ("01 arrived", "96 agencies", "signed by H53"),
    ]
    assert [(m.what.vi, m.who.vi, m.detail.vi) for m in timeline(story)][2:] == [
        ("đã chuyển, có xác nhận của RabbitMQ", "96 cơ quan", "hộp thư của đầu mối H53"),
        ("01 đã đến", "96 cơ quan", "ký bởi H53"),
    ]


def test_what_a_recipient_wrote_is_the_same_in_both_languages() -> None:
    story = Story(
        document=document(), deliveries=(delivery(),), statuses=(status("02", reason="no digest, leaf torn"),)
    )
    (told,) = [m.detail for m in timeline(story) if m.what.en.startswith("02")]
    assert told.vi == told.en == "no digest, leaf torn"


def test_a_second_copy_of_a_status_at_another_time_is_another_moment() -> None:
    story = Story(
        document=document(),
        deliveries=(delivery(),),
        statuses=(status("05"), status("05", at=NOW - timedelta(minutes=1))),
    )
    assert [m.what.en for m in timeline(story)].count("05 processing") == 2
