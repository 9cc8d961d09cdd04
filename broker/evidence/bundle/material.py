"""What a bundle is made of, as it was gathered. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event and its place in the log."""

    body: bytes
    value: Mapping[str, Any]
    origin_id: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """An enrolled certificate."""

    thumbprint: bytes
    der: bytes
    chain: tuple[bytes, ...]
    agency_id: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A checkpoint to which everything of its origin is proved."""

    origin_id: int
    origin: str
    size: int
    note: str
    since: str | None = None
    proof: tuple[bytes, ...] = ()
    timestamps: tuple[bytes, ...] = ()


@dataclass(slots=True, kw_only=True)
class Material:
    """Everything that goes into a bundle."""

    heads: dict[int, Head]
    documents: dict[str, bytes] = field(default_factory=dict)
    """Stored JWS by digest, as the others."""
    statuses: dict[str, bytes] = field(default_factory=dict)
    notices: dict[str, bytes] = field(default_factory=dict)
    withheld: dict[str, tuple[str, str]] = field(default_factory=dict)
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    """By origin and position."""
    signers: dict[bytes, Signer] = field(default_factory=dict)
    statements: list[dict[str, Any]] = field(default_factory=list)
    log_by: dict[str, Any] = field(default_factory=dict)
    """Digest of a document → until when the log promised to hold its acceptance."""
    addressed: dict[tuple[str, str], str] = field(default_factory=dict)
    """(digest, recipient) → what the sender wrote."""
    paths: dict[tuple[int, int], list[bytes]] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Mapping[str, Any]]:
        """What the events of this kind say."""
        return [entry.value for entry in self.entries.values() if entry.value["event"] == kind]
