"""What the record says of content: who stored it, who may read it, and what may not be removed yet (contract §6).

The rule that keeps removing and naming apart: whoever makes content visible holds its bucket's lock, shared, until the
record says so; whoever names recorded content in a document holds its row until that is committed; and who removes
holds the bucket alone, from before the record forgets the content until its bytes are gone. Nothing here opens or
removes a file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.content.store import ContentStore
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.content", "content.sql")

BUCKET_LOCKS: Final = 0x4C54_0001
"""First half of the advisory locks of buckets; the second is the digest's first byte."""
QUOTA_LOCKS: Final = 0x4C54_0002
"""First half of the advisory locks under which an agency's uploads are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Readable:
    """Content that an agency may read."""

    size: int
    # Small parts that came inside a message live in the record.
    inline: bytes | None


def bucket_of(sha256: str) -> int:
    """The portion of content to which this digest belongs."""
    return int(sha256[:2], 16)


async def share_buckets(connection: Connection, digests: Iterable[str]) -> None:
    """Until the transaction ends nobody removes content of these digests' buckets."""
    for bucket in sorted({bucket_of(sha256) for sha256 in digests}):
        await connection.execute(SQL["lock_bucket_shared"], BUCKET_LOCKS, bucket)


async def readable(connection: Connection, agency_id: int, sha256: str) -> Readable | None:
    """The content, if it is kept and this agency may read it; None alike if either is not so."""
    row = await connection.fetchrow(SQL["readable"], bytes.fromhex(sha256), agency_id)
    return None if row is None else Readable(size=row["size"], inline=row["inline"])


async def hold(
    connection: Connection, store: ContentStore, *, recorded: Collection[str], adopted: Collection[str]
) -> set[str]:
    """Keep what documents are about to name from being removed until the transaction ends.

    `recorded` is content that the record was seen to have, `adopted` what was just made visible for these documents.
    Returns the digests that were removed in between: what was decided about them has to be decided again.
    Raises OSError if the store cannot be used.
    """
    if not recorded and not adopted:
        return set()
    await share_buckets(connection, adopted)
    rows = await connection.fetch(SQL["hold"], [bytes.fromhex(sha256) for sha256 in sorted({*recorded, *adopted})])
    held = {row["digest"].hex() for row in rows}
    return {sha256 for sha256 in recorded if sha256 not in held} | {
        sha256 for sha256 in adopted if await store.size_of(sha256) is None
    }


async def count_as_accepted(connection: Connection, named: Collection[tuple[int, str]], now: datetime) -> None:
    """These (agency, digest) have been sent, and count no more against what an agency may have waiting."""
    pairs = sorted(set(named))
    if pairs:
        await connection.execute(
            SQL["count_as_accepted"],
            [agency_id for agency_id, _ in pairs],
            [bytes.fromhex(sha256) for _, sha256 in pairs],
            now,
        )
