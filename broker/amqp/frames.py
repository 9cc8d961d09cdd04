"""One publish as the bytes of its AMQP 0-9-1 frames. Pure: no connection, no clock, no randomness.

The general encoder of the library takes most of the time of a publish; ours has always the same properties
(contract §3), so their place in the frame is known. `tests/unit/amqp/test_frames.py` holds it against the library's
decoder. Specification: AMQP 0-9-1, sections 2.3.5 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct

from pamqp.common import FieldValue
from pamqp.encode import field_table

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = b"\xce"
FRAME_OVERHEAD = 8
"""Bytes of a frame that are not payload: type, channel, size, and the end mark."""
BASIC_PUBLISH = Struct(">HHH").pack(60, 40, 0)
MANDATORY = b"\x01"
PROPERTIES_PRESENT = 0b1011_1000_1011_0000
"""content-type, headers, delivery-mode, priority, message-id, type, user-id: in this order, and always all of them."""
PERSISTENT = 2

_frame_head = Struct(">BHI").pack
_content_head = Struct(">HHQH").pack
_two_octets = Struct(">BB").pack


def publish(
    *,
    channel: int,
    max_payload: int,
    exchange: str,
    routing_key: str,
    content_type: str,
    headers: Mapping[str, FieldValue],
    priority: int,
    message_id: str,
    type_: str,
    user_id: str,
    body: bytes,
) -> list[bytes]:
    """The frames of one persistent, mandatory publish, ready to be joined.

    `max_payload` is what one frame may carry, in bytes (the negotiated frame size less `FRAME_OVERHEAD`).
    Raises ValueError for a name longer than 255 bytes or properties that do not fit into one frame.
    """
    method = b"".join((BASIC_PUBLISH, _short(exchange), _short(routing_key), MANDATORY))
    header = b"".join(
        (
            _content_head(60, 0, len(body), PROPERTIES_PRESENT),
            _short(content_type),
            field_table(dict(headers)),
            _two_octets(PERSISTENT, priority),
            _short(message_id),
            _short(type_),
            _short(user_id),
        )
    )
    if len(header) > max_payload:
        raise ValueError(f"the properties take {len(header)} bytes, a frame carries {max_payload}")
    pieces = [
        _frame_head(METHOD, channel, len(method)),
        method,
        FRAME_END,
        _frame_head(HEADER, channel, len(header)),
        header,
        FRAME_END,
    ]
    for start in range(0, len(body), max_payload):
        part = body[start : start + max_payload]
        pieces += (_frame_head(BODY, channel, len(part)), part, FRAME_END)
    return pieces


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"{text[:40]!r}… has {len(data)} bytes, AMQP names have at most 255")
    return bytes((len(data),)) + data
