"""Records of what comes from the mailbox: who takes it in, a message as it was judged, what became of a batch. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.identity import Signer
from adapters.judge import Believed, Unbelieved
from adapters.letter import Ref
from schemas.manifest import DocumentManifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Office:
    """Who takes in: the mailbox's owner, the codes that it serves, the key that answers, and the time."""

    code: str
    codes: frozenset[str]
    signer: Signer
    now: datetime
    # Recipients that get their 01 by `arrived`, when the system behind this program has the document.
    arrive_later: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        return self.now.timestamp()


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A message from the mailbox with what was found out about it, and which of its parts are in files."""

    body: bytes
    message_id: str
    judged: Believed | Unbelieved
    # Digests whose verified bytes lie in the folder of larger parts.
    in_files: frozenset[str] = frozenset()


@dataclass(slots=True)
class TakenIn:
    """What a transaction has written; for waking whoever waits, and for reports."""

    # (document, recipient) of new rows of the inbox.
    stored: list[tuple[Ref, str]] = field(default_factory=list)
    # Documents that had come before, with the number of their rows.
    again: list[Ref] = field(default_factory=list)
    # (document, agency it tells of, code) of statuses about documents of ours.
    statuses: list[tuple[Ref, str, str]] = field(default_factory=list)
    # Items of notices about messages of ours, as the exchange signed them.
    answered: list[Mapping[str, Any]] = field(default_factory=list)
    aside: int = 0
    # 01s, or a replay request, are in the outbox.
    to_send: bool = False


def missing_parts(believed: Believed) -> dict[str, int]:
    """The parts that are not in the message itself and have to come from the content store: sizes by digest."""
    if not isinstance(believed.manifest, DocumentManifest):
        return {}
    content = believed.message.content
    return {part.sha256: part.size for part in believed.manifest.parts if part.sha256 not in content}


def false_content(believed: Believed) -> str | None:
    """Why an inline part is not what the manifest names, or None if all are."""
    manifest = believed.manifest
    if not isinstance(manifest, DocumentManifest):
        return None
    sizes = {part.sha256: part.size for part in manifest.parts}
    for sha256, content in believed.message.content.items():
        if sha256 not in sizes:
            continue
        if hashlib.sha256(content).hexdigest() != sha256 or len(content) != sizes[sha256]:
            return f"the inline part {sha256} has other bytes than the manifest names"
    return None
