"""Our frames say exactly what the library's decoder reads out of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import unmarshal
from pamqp.header import ContentHeader

from broker.amqp import frames

names = st.text(max_size=60)
header_values = st.one_of(
    st.text(max_size=20), st.integers(-(2**31), 2**31 - 1), st.booleans(), st.lists(names, max_size=3)
)


def decoded(data: bytes) -> list[tuple[int, Any]]:
    found: list[tuple[int, Any]] = []
    while data:
        length, channel, frame = unmarshal(data)
        found.append((channel, frame))
        data = data[length:]
    return found


@given(
    channel=st.integers(1, 65535),
    exchange=names,
    routing_key=names,
    headers=st.dictionaries(st.text(min_size=1, max_size=20), header_values, max_size=4),
    priority=st.integers(0, 9),
    message_id=names.filter(bool),
    type_=names.filter(bool),
    user_id=names.filter(bool),
    body=st.binary(max_size=9000),
)
def test_what_is_encoded_is_what_is_read(
    channel: int,
    exchange: str,
    routing_key: str,
    headers: dict[str, Any],
    priority: int,
    message_id: str,
    type_: str,
    user_id: str,
    body: bytes,
) -> None:
    pieces = frames.publish(
        channel=channel,
        max_payload=4088,
        exchange=exchange,
        routing_key=routing_key,
        content_type="application/x",
        headers=headers,
        priority=priority,
        message_id=message_id,
        type_=type_,
        user_id=user_id,
        body=body,
    )
    found = decoded(b"".join(pieces))
    assert {one for one, _ in found} == {channel}
    method, header, *parts = [frame for _, frame in found]
    assert isinstance(method, Basic.Publish)
    assert (method.exchange, method.routing_key, method.mandatory, method.immediate) == (
        exchange,
        routing_key,
        True,
        False,
    )
    assert isinstance(header, ContentHeader)
    assert header.body_size == len(body)
    properties = header.properties
    assert properties.content_type == "application/x"
    assert properties.delivery_mode == 2
    assert (properties.priority, properties.message_id) == (priority, message_id)
    assert (properties.message_type, properties.user_id) == (type_, user_id)
    assert dict(properties.headers or {}) == headers
    assert b"".join(part.value for part in parts if isinstance(part, ContentBody)) == body
    assert all(len(part.value) <= 4088 for part in parts if isinstance(part, ContentBody))


def test_five_hundred_keys_fit_into_the_smallest_usual_frame() -> None:
    keys = [f"H53.{number:030}" for number in range(500)]
    frames.publish(**ORDINARY | {"headers": {"BCC": keys}, "max_payload": 131_064})


@pytest.mark.parametrize("field", ["exchange", "routing_key", "message_id"])
def test_a_name_that_amqp_cannot_carry_is_refused(field: str) -> None:
    frames.publish(**ORDINARY | {field: "é" * 127})
    with pytest.raises(ValueError, match="256 bytes"):
        frames.publish(**ORDINARY | {field: "é" * 128})


def test_properties_larger_than_a_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="a frame carries 4088"):
        frames.publish(**ORDINARY | {"headers": {"BCC": ["k" * 200] * 30}, "max_payload": 4088})


ORDINARY: dict[str, Any] = {
    "channel": 1,
    "max_payload": 4088,
    "exchange": "lt.deliver",
    "routing_key": "H53",
    "content_type": "application/x",
    "headers": {},
    "priority": 0,
    "message_id": "m",
    "type_": "document",
    "user_id": "u",
    "body": b"",
}
