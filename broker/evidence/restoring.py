"""After a restore: a new epoch, and the log as far as it was signed (design §6).

A restored database knows less than was signed. What is missing of the log is in its static files: the entries are the
events' bytes, and the signed checkpoint proves them. They are put back at their positions, so that the log goes on as
the same log; what the events told of (documents, statuses) does not come back by this, the offices send it again. Then
the epoch is raised, for transaction ids may count anew, and an operator's action says from where to where entries were
put back. Needs the keeper's lease: nobody else may be adding to the log.

Where the static files are lost too, nobody can say what was signed after the backup: the log is given up where the
database knows it, and another one is opened (`log_lost`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from broker.directory.changing import Author
from broker.evidence.checkpoints import trusted
from broker.evidence.merkle import EvidenceFault, leaf_hash
from broker.evidence.notes import Checkpoint, VerifierKey, verify_checkpoint
from broker.evidence.sequencer import EVENTS_AT_ONCE, VIETNAM, begin_origin, checked_growth, utc_now
from broker.evidence.tile_files import TileFiles
from broker.evidence.tiles import FULL, Tile, decode_entries
from broker.evidence.tree_rows import SQL
from broker.store.pool import Connection
from broker.upkeep.lease import Lease
from schemas.exchange_events import operator_action
from schemas.problem import Problem
from schemas.times import parse_rfc3339

LEASE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done."""

    epoch: int
    """The new one."""
    origin: str | None
    put_back: int
    """Entries of the log that the database did not know."""
    size: int
    """Entries that it has now."""


async def restored(
    pool: asyncpg.Pool[asyncpg.Record],
    vkeys: tuple[VerifierKey, ...],
    log_dir: Path,
    log_origin: str,
    *,
    actor: str,
    reason: str,
    log_lost: bool = False,
) -> Restored:
    """Make a restored database fit to go on. Changes nothing and raises Problem if it cannot."""
    lease = Lease(pool, seconds=LEASE_SECONDS)
    if not await lease.take():
        raise Problem(
            "a keeper is active, or was a moment ago",
            "no keeper and no worker while the log is put right",
            "Stop workers and keepers; wait until the lease has run out, and run this again.",
        )
    try:
        async with lease.writing() as connection:
            # Whoever still writes events with the old epoch is waited for; nobody begins meanwhile.
            await connection.execute("LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE")
            await connection.execute(SQL["begin_cursor"])
            now = utc_now()
            state = await connection.fetchrow(SQL["state"])
            put_back = 0
            if state is not None:
                await checked_growth(connection, state["origin_id"], state["origin"], state["size"], state["root"])
                put_back = await _put_back(connection, lease, state, vkeys, log_dir, now, log_lost=log_lost)
            epoch = await connection.fetchval(SQL["raise_epoch"])
            await connection.execute(f"ALTER TABLE event ALTER COLUMN epoch SET DEFAULT {int(epoch)}")
            await connection.execute(SQL["adopt_cluster"])
            if log_lost and state is not None:
                name = f"{log_origin}/{now.astimezone(VIETNAM).year}-{epoch}"
                await begin_origin(connection, lease, name, now.astimezone(VIETNAM).year, now, previous=state)
            first = state["size"] if state is not None else 0
            target = f"{state['origin']}:{first}-{first + put_back}" if state is not None else "no-log"
            await _tell(connection, now, actor, reason, target)
        return Restored(
            epoch=epoch,
            origin=state["origin"] if state is not None else None,
            put_back=put_back,
            size=first + put_back,
        )
    finally:
        await lease.release()


async def _put_back(
    connection: Connection,
    lease: Lease,
    state: Any,
    vkeys: tuple[VerifierKey, ...],
    log_dir: Path,
    now: datetime,
    *,
    log_lost: bool,
) -> int:
    files = TileFiles(log_dir, state["origin"])
    checkpoint = _signed(files, state["origin"], vkeys)
    if checkpoint is None and not log_lost:
        raise Problem(
            f"no signed checkpoint of {state['origin']} in {files.folder}",
            "the log's static files as they were before the restore",
            "Bring them back (a copy that was served or mirrored will do). If every copy is lost, run this with"
            " --log-lost: the log is closed as the database knows it, and another one is opened.",
        )
    if checkpoint is None or log_lost or checkpoint.size <= state["size"]:
        return 0
    growth = await checked_growth(connection, state["origin_id"], state["origin"], state["size"], state["root"])
    for begin in range(state["size"], checkpoint.size, EVENTS_AT_ONCE):
        bodies = _entries(files, begin, min(begin + EVENTS_AT_ONCE, checkpoint.size), checkpoint.size)
        rows: list[tuple[int, int, datetime, int, bytes]] = []
        lost = []
        for at, body in enumerate(bodies):
            told = orjson.loads(body)
            event_at, leaf = parse_rfc3339(told["at"]), leaf_hash(body)
            used = [row[3] for row in rows if row[4] == leaf]
            event_id = await connection.fetchval(SQL["event_not_logged"], leaf, event_at, used)
            if event_id is None:
                event_id = await connection.fetchval(
                    SQL["put_event_back"], event_at, told["event"], body, leaf, state["exchange_epoch"]
                )
                lost.append((event_at, event_id, state["origin_id"], begin + at))
            rows.append((state["origin_id"], begin + at, event_at, event_id, leaf))
        filled = growth.extend([row[4] for row in rows])
        await connection.copy_records_to_table(
            "log_put_back", records=lost, columns=["event_at", "event_id", "origin_id", "position"]
        )
        await connection.copy_records_to_table(
            "log_entry", records=rows, columns=["origin_id", "position", "event_at", "event_id", "leaf"]
        )
        await connection.copy_records_to_table(
            "log_node",
            records=[(state["origin_id"], tile.level, tile.number, tile.hash) for tile in filled],
            columns=["origin_id", "level", "number", "hash"],
        )
    if growth.root() != checkpoint.root:
        raise Problem(
            f"the entries in {files.folder} add up to the root {growth.root().hex()}",
            f"{checkpoint.root.hex()}, which their checkpoint signs",
            "Nothing was changed. The files were damaged: bring an undamaged copy of them.",
        )
    await connection.execute(
        SQL["move_head"], state["origin_id"], state["size"], growth.size, growth.root(), now, lease.epoch
    )
    await connection.execute(
        SQL["record_checkpoint"],
        state["origin_id"],
        checkpoint.size,
        checkpoint.root,
        lease.epoch,
        files.read_checkpoint(),
    )
    return checkpoint.size - int(state["size"])


def _signed(files: TileFiles, origin: str, vkeys: tuple[VerifierKey, ...]) -> Checkpoint | None:
    note = files.read_checkpoint()
    if note is None:
        return None
    try:
        return verify_checkpoint(note, trusted(vkeys, origin), origin=origin)
    except EvidenceFault as fault:
        raise Problem(
            f"{files.folder}/checkpoint: {fault}", "a checkpoint that this log signed", "Bring an undamaged copy."
        ) from None


def _entries(files: TileFiles, begin: int, end: int, size: int) -> list[bytes]:
    """The entries begin … end, out of their bundles. Raises Problem if a bundle is missing or damaged."""
    bodies: list[bytes] = []
    for number in range(begin // FULL, -(-end // FULL)):
        tile = Tile("entries", number, min(FULL, size - number * FULL))
        data = files.read(tile)
        try:
            if data is None:
                raise EvidenceFault(tile.path, found="no file", expected="the bundle")
            entries = decode_entries(tile, data)
        except EvidenceFault as fault:
            raise Problem(
                f"{files.folder}: {fault}", "the entries up to the checkpoint", "Bring an undamaged copy of the files."
            ) from None
        first = number * FULL
        bodies += entries[max(0, begin - first) : end - first]
    return bodies


async def _tell(connection: Connection, now: datetime, actor: str, reason: str, target: str) -> None:
    who, action = Author(actor=actor, reason=reason), "database.restored"
    await connection.execute(SQL["write_action"], now, actor, action, target, reason)
    for event in operator_action(
        at=now, actor=who.pseudonym, action=action, target=target, reason_digest=who.reason_digest
    ):
        await connection.fetchval(SQL["insert_event"], event.at, event.kind, event.body, event.leaf)
