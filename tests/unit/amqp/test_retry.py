"""Who submitted a message is never taken from a header that an agency could have written."""

from __future__ import annotations

import pytest

from broker.amqp.messages import DeliveryTag, HeaderValue, Incoming, OutgoingMessage
from broker.amqp.retry import LADDER, LT_MESSAGE_ID, LT_REASON, dead_message, origin, replay_message, retry_message
from schemas import wire

BROKER = "lienthong"


def incoming(user_id: str | None = "H53", **headers: HeaderValue) -> Incoming:
    return Incoming(
        body=b"{}",
        size=2,
        exchange=wire.SUBMIT,
        routing_key="document.urgent.H53",
        user_id=user_id,
        message_id="agency-1",
        type="document",
        content_type="application/vnd.lienthong+json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        priority=5,
        redelivered=False,
        delivery_tag=DeliveryTag(1),
    )


def back(message: OutgoingMessage) -> Incoming:
    """The message as it comes back from the server, under the broker's user."""
    return Incoming(
        body=message.body,
        size=len(message.body),
        exchange=wire.SUBMIT,
        routing_key=message.routing_key,
        user_id=BROKER,
        message_id="made-by-the-publisher",
        type=message.type,
        content_type=message.content_type,
        headers=message.headers,
        priority=message.priority,
        redelivered=False,
        delivery_tag=DeliveryTag(2),
    )


def test_an_agencys_headers_are_not_believed() -> None:
    forged = incoming(lt_submitter="G01", lt_attempt=3, lt_message_id="other")
    found = origin(forged, broker_user=BROKER)
    assert (found.submitter, found.attempts, found.message_id) == ("H53", 0, "agency-1")


def test_a_message_without_a_user_has_no_submitter() -> None:
    assert origin(incoming(None, lt_submitter="G01"), broker_user=BROKER).submitter is None


def test_a_retried_message_comes_back_with_its_submitter_key_and_count() -> None:
    again = back(retry_message(incoming(), 1, broker_user=BROKER))
    found = origin(again, broker_user=BROKER)
    assert (found.submitter, found.attempts, found.message_id) == ("H53", 1, "agency-1")
    third = back(retry_message(again, 2, broker_user=BROKER))
    found = origin(third, broker_user=BROKER)
    assert (found.submitter, found.attempts, found.message_id) == ("H53", 2, "agency-1")
    assert (third.routing_key, third.body, third.type, third.priority) == ("document.urgent.H53", b"{}", "document", 5)


@pytest.mark.parametrize(("attempt", "step"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (99, 2)])
def test_each_attempt_waits_longer_up_to_the_last_step(attempt: int, step: int) -> None:
    assert retry_message(incoming(), attempt, broker_user=BROKER).exchange == LADDER[step].entity


def test_a_retry_has_a_message_id_of_its_own_and_leaves_foreign_headers_behind() -> None:
    message = retry_message(incoming(CC=["x"], BCC=["y"], lt_submitter="G01"), 1, broker_user=BROKER)
    assert message.message_id is None
    assert message.bcc == ()
    assert dict(message.headers) == {wire.LT_SUBMITTER: "H53", wire.LT_ATTEMPT: 1, LT_MESSAGE_ID: "agency-1"}


def test_a_dead_message_says_why_and_can_be_replayed_from_the_start() -> None:
    dead = dead_message(back(retry_message(incoming(), 4, broker_user=BROKER)), "LT-BROKER: no", broker_user=BROKER)
    assert dead.exchange == wire.DEAD
    assert dead.headers[LT_REASON] == "LT-BROKER: no"
    assert dead.headers[wire.LT_ATTEMPT] == 4
    replayed = replay_message(back(dead), broker_user=BROKER)
    assert (replayed.exchange, replayed.routing_key) == (wire.SUBMIT, "document.urgent.H53")
    found = origin(back(replayed), broker_user=BROKER)
    assert (found.submitter, found.attempts, found.message_id) == ("H53", 0, "agency-1")
