"""Sign what is committed, record it under the lease, and refuse whatever would contradict what was signed before.

The order is: size and root are committed by the sequencer; they are read back and signed here; the note is recorded in
a transaction of the keeper's lease; only what is recorded is published (`publishing.py`) and shown to witnesses. A
keeper that loses its lease in between has signed a tree that is committed, so that it is a prefix of every later one,
and its note is thrown away.

Before the first signature of a lease, and whenever the published file is not what was seen last, the newest recorded
and the published checkpoint are held against the rows: a database that was restored or rewritten gets no signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from broker.evidence.keys import LogKeys, renamed
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import Checkpoint, VerifierKey, verify_checkpoint
from broker.evidence.tile_files import TileFiles
from broker.evidence.tree_rows import growth_at
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.lease import Lease
from schemas.problem import Problem

SQL: Final = load_queries("broker.evidence", "log.sql")

log = structlog.get_logger(__name__)


def trusted(vkeys: Sequence[VerifierKey], origin: str) -> tuple[VerifierKey, ...]:
    """The keys under both names by which they sign checkpoints of this origin."""
    return tuple(key for vkey in vkeys for key in (vkey, renamed(vkey, origin)))


class Signer:
    """Signs the heads of the open origin and of those that were closed without a final checkpoint."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], keys: LogKeys, vkeys: Sequence[VerifierKey], log_dir: Path
    ) -> None:
        """`vkeys` are the public keys of all times: older checkpoints were signed by older keys."""
        self._pool = pool
        self._keys = keys
        self._vkeys = tuple(dict.fromkeys((*keys.public, *vkeys)))
        self._log_dir = log_dir
        self._checked: dict[int, tuple[int | None, bytes | None]] = {}

    async def check(self, lease: Lease) -> None:
        """Hold what was signed before against the rows, once a lease and again when the published file changed.

        Raises Problem if the database is behind what was signed, or is another tree.
        """
        for head in await self._pool.fetch(SQL["heads"]):
            files = TileFiles(self._log_dir, head["origin"])
            published = files.read_checkpoint()
            if self._checked.get(head["origin_id"]) == (lease.epoch, published):
                continue
            async with self._pool.acquire() as connection:
                for note, where in ((head["note"], "the table checkpoint"), (published, f"{files.folder}/checkpoint")):
                    if note is not None:
                        await self._check_one(connection, head, note, where)
            self._checked[head["origin_id"]] = (lease.epoch, published)

    async def sign(self, lease: Lease, *, known: tuple[int, int, bytes] | None) -> int:
        """Sign and record every head that has no checkpoint yet; returns how many.

        `known` is (origin id, size, root) as the sequencer computed them: the open origin's head is signed only if it
        is exactly that. Raises LeaseLost if the lease is not ours any more; nothing was recorded then.
        """
        signed = 0
        for head in await self._pool.fetch(SQL["heads"]):
            if head["size"] == head["signed_size"] or head["origin_id"] not in self._checked:
                # Never signed unchecked: an origin that was just opened may stand in the files already.
                continue
            if head["closed_at"] is None and known != (head["origin_id"], head["size"], head["root"]):
                continue
            checkpoint = Checkpoint(head["origin"], head["size"], head["root"])
            if head["closed_at"] is not None:
                async with self._pool.acquire() as connection:
                    await check_against_rows(connection, head, checkpoint, "log_head")
            note = self._keys.sign(checkpoint)
            async with lease.writing() as connection:
                await connection.execute(
                    SQL["record_checkpoint"], head["origin_id"], head["size"], head["root"], lease.epoch, note
                )
            signed += 1
            if head["closed_at"] is not None:
                log.info("log.closed", origin=head["origin"], size=head["size"], root=head["root"].hex())
        return signed

    async def _check_one(self, connection: Connection, head: Any, note: bytes, where: str) -> None:
        try:
            checkpoint = verify_checkpoint(note, trusted(self._vkeys, head["origin"]), origin=head["origin"])
        except EvidenceFault as fault:
            raise Problem(
                f"{where} holds no checkpoint of {head['origin']} that this exchange signed: {fault}",
                "the last checkpoint as it was signed",
                "Nothing more is signed. Look with `lienthong audit verify` and `lienthong fsck`; if only the file is"
                " damaged, `lienthong fsck --repair` writes it anew.",
            ) from None
        await check_against_rows(connection, head, checkpoint, where)


async def check_against_rows(connection: Connection, head: Any, checkpoint: Checkpoint, where: str) -> None:
    """Whether a signed checkpoint is a prefix of the rows of this origin. Raises Problem otherwise."""
    if checkpoint.size > head["size"]:
        raise Problem(
            f"{where} holds a signed checkpoint of {head['origin']} over {checkpoint.size} entries,"
            f" and the database has {head['size']}",
            "a database that knows everything that was signed",
            "The database was restored from before that. Nothing is signed. Stop workers and keepers, run"
            " `lienthong db restored`, and start them again.",
        )
    try:
        found = (await growth_at(connection, head["origin_id"], checkpoint.size)).root()
        if found != checkpoint.root:
            raise EvidenceFault(f"root at {checkpoint.size}", found=found.hex(), expected=checkpoint.root.hex())
    except EvidenceFault as fault:
        raise Problem(
            f"the rows of {head['origin']} are another tree than the checkpoint in {where}: {fault}",
            "the tree that was signed",
            "Nothing more is signed. Look with `lienthong audit verify` which rows were changed, and bring them back;"
            " after a restore run `lienthong db restored`.",
        ) from None
