"""Are the parts of a document there, whole, and may its sender name them? Contract §4 step 10, §6.

Inline parts are judged from the message alone; for the others `KnownContent` says what the record knows, and the store
is asked for what is not recorded. Never reads what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from broker.content.store import ContentStore, whole
from schemas.errors import Refusal
from schemas.manifest import Part


class StoreUnavailable(Exception):
    """The content store could not be used; the message waits and is tried again."""


class KeptPart(NamedTuple):
    """One distinct part as it is to be recorded: its bytes here, or their place in the content store."""

    sha256: str
    size: int
    inline: bytes | None
    place: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownContent:
    """Content that the exchange keeps already."""

    size: int
    inline: bytes | None
    readable: bool
    """The sender or its hub has stored it, or could already read it: it sent or received a document that names it."""


class OutsidePart(NamedTuple):
    """A part that is not inline, and where the manifest names it."""

    position: int
    part: Part


def check_inline(parts: Sequence[Part], content: Mapping[str, bytes]) -> list[KeptPart]:
    """The inline parts, verified. Content that no part names is left behind. Raises Refusal LT-PART-DIGEST."""
    kept: dict[str, KeptPart] = {}
    for position, part in enumerate(parts):
        data = content.get(part.sha256)
        if data is None:
            continue
        if len(data) != part.size:
            raise _other_size(position, len(data), part)
        if part.sha256 not in kept:
            digest = sha256(data).hexdigest()
            if digest != part.sha256:
                raise Refusal(
                    code="LT-PART-DIGEST", field=f"parts.{position}.sha256", found=digest, expected=part.sha256
                )
            kept[part.sha256] = KeptPart(part.sha256, len(data), data, None)
    return list(kept.values())


def outside(parts: Sequence[Part], content: Mapping[str, bytes]) -> list[OutsidePart]:
    """The distinct parts whose bytes are not inline."""
    found: dict[str, OutsidePart] = {}
    for position, part in enumerate(parts):
        if part.sha256 not in content:
            found.setdefault(part.sha256, OutsidePart(position, part))
    return list(found.values())


async def check_outside(
    parts: Sequence[OutsidePart], known: Mapping[str, KnownContent], *, codes: Sequence[str], store: ContentStore
) -> list[KeptPart]:
    """The parts that are not inline, verified and taken over from what one of `codes` has stored.

    What the sender has stored over HTTP or could already read is used as it is.
    Raises Refusal LT-PART-MISSING, LT-PART-DIGEST; StoreUnavailable.
    """
    kept: list[KeptPart] = []
    try:
        for position, part in parts:
            found = await _outside(position, part, known.get(part.sha256), codes, store)
            if found is not None:
                kept.append(found)
    except OSError as error:
        raise StoreUnavailable(f"the content store cannot be used: {error}") from error
    return kept


async def _outside(
    position: int, part: Part, content: KnownContent | None, codes: Sequence[str], store: ContentStore
) -> KeptPart | None:
    """One part that is not inline; None if the record has it already."""
    if content is not None and content.readable:
        if content.size != part.size:
            raise _other_size(position, content.size, part)
        if content.inline is not None:
            # It came inline then and does not now, so that recipients will look for it in the content store.
            await store.put(part.sha256, whole(content.inline), size=part.size)
        return None
    try:
        place = await store.adopt(codes, part.sha256, part.size)
    except Refusal as refusal:
        raise Refusal(
            code=refusal.code, field=f"parts.{position}.sha256", found=refusal.found, expected=refusal.expected
        ) from refusal
    if place is None:
        # The same whether it is kept for others or not at all: nobody learns from us what the exchange holds.
        raise Refusal(
            code="LT-PART-MISSING",
            field=f"parts.{position}.sha256",
            found=part.sha256,
            expected=f"content that {' or '.join(dict.fromkeys(codes))} has stored, sent or received",
        )
    return KeptPart(part.sha256, part.size, None, place)


def _other_size(position: int, found: int, part: Part) -> Refusal:
    return Refusal(
        code="LT-PART-DIGEST", field=f"parts.{position}.size", found=f"{found} bytes", expected=f"{part.size} bytes"
    )
