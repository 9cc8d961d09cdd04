"""The ids that follow from what they name: the same file, packet or answer always has the same one. Pure.

Whoever repeats a step therefore repeats its effect, and `audit verify` can tell a row that was moved to another system,
agency or message.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

ARRIVED: Final = "01"


def document_id(system: str, kind: str, file_digest: bytes) -> UUID:
    """The id of what a system submits with one file: always the same for the same file."""
    return uuid5(NAMESPACE_URL, f"vxp:{system}:{kind}:{file_digest.hex()}")


def packet_id(system_id: int, agency_id: int, source: bytes, item: int) -> UUID:
    """The `docId` of what a message (its digest, and which file of it) brings to an agency of a system."""
    return uuid5(NAMESPACE_URL, f"vxp-packet:{system_id}:{agency_id}:{source.hex()}:{item}")


def arrival_id(packet: UUID) -> UUID:
    """The id of the status message 01 that `done` makes of a packet."""
    return uuid5(packet, ARRIVED)


def rejection_source(submission_id: int, digest: bytes) -> bytes:
    """What stands in the place of a message's digest where the exchange itself tells that a submission was rejected."""
    return sha256(f"rejection:{submission_id}:{digest.hex()}".encode()).digest()


def rejection_id(source: bytes) -> UUID:
    """The `docId` of the packet that tells a rejection."""
    return uuid5(NAMESPACE_URL, f"vxp-rejection:{source.hex()}")
