"""The mailbox of an agency of a test: what has come into it, taken apart, and waiting for what must come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from aio_pika.abc import AbstractIncomingMessage

from schemas.jws import Message, Signed, parse_compact, parse_message
from schemas.manifest import AnyManifest, DocumentManifest, NoticeItem, NoticeManifest, parse_manifest
from schemas.slip import Slip, parse_slip

T = TypeVar("T")
MARKER = "test-marker"
"""AMQP type of a message by which a test sees that it has read everything before it."""
PATIENCE = 120.0
"""Seconds that a test waits for something the exchange has promised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """One message out of a mailbox, taken apart."""

    raw: AbstractIncomingMessage
    message: Message
    manifest: AnyManifest
    slip: Slip | None
    slip_signed: Signed | None

    @property
    def document(self) -> DocumentManifest:
        assert isinstance(self.manifest, DocumentManifest), f"a {self.manifest.kind} instead of a document"
        return self.manifest


class Mailbox:
    """What has come into one mailbox so far; everything is acknowledged as it comes."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.received: list[Delivered] = []
        self.markers: set[bytes] = set()
        self._more = asyncio.Event()

    async def take(self, incoming: AbstractIncomingMessage) -> None:
        if incoming.type == MARKER:
            self.markers.add(incoming.body)
            await incoming.ack()
            self._more.set()
            return
        message = parse_message(incoming.body, slip_allowed=True)
        signed = parse_compact(message.slip) if message.slip is not None else None
        self.received.append(
            Delivered(
                raw=incoming,
                message=message,
                manifest=parse_manifest(message.signed.payload),
                slip=parse_slip(signed.payload) if signed is not None else None,
                slip_signed=signed,
            )
        )
        await incoming.ack()
        self._more.set()

    async def until(self, found: Callable[[], T | None], what: str, seconds: float = PATIENCE) -> T:
        """Wait until `found` finds something in what has come."""
        try:
            async with asyncio.timeout(seconds):
                while (it := found()) is None:
                    self._more.clear()
                    await self._more.wait()
                return it
        except TimeoutError:
            kinds = [f"{one.manifest.kind} {one.manifest.id}" for one in self.received]
            raise AssertionError(f"{what} did not come to {self.code} in {seconds:g} s; it has {kinds}") from None

    def documents(self) -> list[Delivered]:
        return [one for one in self.received if one.manifest.kind == "document"]

    def statuses(self) -> list[Delivered]:
        return [one for one in self.received if one.manifest.kind == "status"]

    def items(self, event: str | None = None) -> list[NoticeItem]:
        """Items of all notices so far, or those of one event; a notice that came twice counts twice."""
        notices = [one.manifest for one in self.received if isinstance(one.manifest, NoticeManifest)]
        return [item for notice in notices for item in notice.items if event is None or item.event == event]

    def told(self, event: str) -> list[NoticeItem]:
        """Items of one event, of copies of a notice only the first: recipients drop doubles, and a slow publish may be
        made again by the keeper."""
        notices = {one.manifest.id: one.manifest for one in self.received if isinstance(one.manifest, NoticeManifest)}
        return [item for notice in notices.values() for item in notice.items if item.event == event]
