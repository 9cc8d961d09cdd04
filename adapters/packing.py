"""The parts of a letter before it is signed: measured, and put where recipients will find them.

Blocking; called in a thread. The smallest travel inside the message while they fit (contract §2.3), the others are in
the content store before the document that names them is signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from adapters.compose import PreparedPart
from adapters.content import ContentMissing, ContentStore, measure
from adapters.letter import Part
from schemas.jws import MAX_INLINE
from schemas.problem import Problem


def pack(parts: Iterable[Part], content: ContentStore | None) -> list[PreparedPart]:
    """Measure the parts and store the larger ones. Raises Problem if there is no content store for them."""
    measured = [(position, part, *measure(part.source)) for position, part in enumerate(parts)]
    room = MAX_INLINE
    inline: dict[str, bytes] = {}
    for _, part, sha256, size in sorted(measured, key=lambda one: one[3]):
        if sha256 in inline:
            continue
        if size <= room:
            inline[sha256] = part.source if isinstance(part.source, bytes) else part.source.read_bytes()
            room -= size
        else:
            _store(part, sha256, content)
    return [
        PreparedPart(
            name=part.name,
            media_type=part.declared_media_type,
            role=part.role or ("attachment" if position else "document"),
            size=size,
            sha256=sha256,
            inline=inline.get(sha256),
        )
        for position, part, sha256, size in measured
    ]


def pack_contents(contents: Mapping[str, Path | bytes], content: ContentStore | None) -> dict[str, bytes]:
    """The same for bytes that a finished manifest names by SHA-256; returns those that travel inside the message.

    Raises Problem if there is no content store for the others, or if a file has other bytes than its digest says.
    """
    room = MAX_INLINE
    inline: dict[str, bytes] = {}
    for sha256, source in sorted(contents.items(), key=lambda one: _size(one[1])):
        if _size(source) <= room:
            data = source if isinstance(source, bytes) else source.read_bytes()
            if measure(data)[0] != sha256:
                raise _changed(str(source), "its bytes have another digest")
            inline[sha256] = data
            room -= len(data)
        else:
            _store(Part(name=sha256, source=source), sha256, content)
    return inline


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _store(part: Part, sha256: str, content: ContentStore | None) -> None:
    if content is None:
        raise Problem(
            found=f"{part.name} is too large to travel in the message",
            expected="content_url in agency.toml",
            remedy="Ask the operator for the gateway's address and set content_url.",
        )
    try:
        content.put(part.source, sha256)
    except ContentMissing as why:
        raise _changed(part.name, str(why)) from why


def _changed(name: str, why: str) -> Problem:
    return Problem(
        found=f"{name} changed while it was being sent: {why}",
        expected="a file that nobody writes to",
        remedy="Send it again when it is complete.",
    )
