"""What goes out, what comes in, and what became of a publish: plain values, without the library that carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType

from schemas.jws import MEDIA_TYPE

DeliveryTag = NewType("DeliveryTag", int)
"""Number of a delivery on its channel; means nothing on another."""

HeaderValue = Any
"""Text, a number, a truth value, bytes, a time, or a list or table of such: what AMQP's field tables hold."""


class Fate(StrEnum):
    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one publish. `reason` says why, unless it was confirmed."""

    fate: Fate
    reason: str = ""

    @property
    def confirmed(self) -> bool:
        return self.fate is Fate.CONFIRMED

    @property
    def unroutable(self) -> bool:
        return self.fate is Fate.UNROUTABLE

    @property
    def failed(self) -> bool:
        return self.fate is Fate.FAILED


CONFIRMED = Outcome(Fate.CONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One publish: persistent and mandatory, under the link's own user (contract §3)."""

    exchange: str
    routing_key: str
    body: bytes
    type: str
    """The manifest's kind."""
    bcc: tuple[str, ...] = ()
    """Further routing keys, which recipients do not see; at most 499 (contract §3.1)."""
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    priority: int = 0
    content_type: str = MEDIA_TYPE
    message_id: str | None = None
    """Unique for each publish, not for each document; made when it is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """One delivered message. What counts is signed, inside the body; everything else here is a hint, but `user_id`
    and `routing_key`, which the server has checked (contract §3)."""

    body: bytes
    """Cut to `body_limit` + 1 bytes if it was longer, so that it is still recognised as too long."""
    size: int
    """Length of the body as delivered, in bytes."""
    exchange: str
    routing_key: str
    user_id: str | None
    message_id: str | None
    type: str | None
    content_type: str | None
    headers: Mapping[str, HeaderValue]
    priority: int
    redelivered: bool
    delivery_tag: DeliveryTag
