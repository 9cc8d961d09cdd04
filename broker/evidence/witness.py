"""Ask witnesses to cosign checkpoints (C2SP tlog-witness, `add-checkpoint`), outside every transaction.

A witness remembers the largest tree of this log that it has seen, and signs only one that continues it. Whoever asks
for its signatures cannot be shown two logs. Nothing waits for a witness: checkpoints are recorded and published first,
a cosignature is added when it comes. A witness that knows more than the database is an alarm: the database was
restored, or somebody else signs with our key.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import asyncpg
import structlog

from broker.evidence.merkle import EvidenceFault, consistency_proof, nodes_of_consistency
from broker.evidence.notes import Note, VerifierKey, parse_note, parse_signature_line, parse_verifier_key, verify_note
from broker.evidence.tile_files import TileFiles
from broker.evidence.tree_rows import SQL, read_nodes
from broker.settings import Settings
from broker.upkeep.lease import Lease
from schemas.problem import Problem

ANSWER_WITHIN: Final = 10.0
"""Seconds a witness may take."""

LARGEST_ANSWER: Final = 16 * 1024
SIZE: Final = re.compile(r"[0-9]{1,18}", re.ASCII)

log = structlog.get_logger(__name__)


class WitnessRefused(Exception):
    """A witness did not cosign; the message says what it answered. It is asked again in the next round."""


class AskWitnesses:
    """A duty of the keeper: every witness cosigns the newest checkpoint, once."""

    name = "witnesses"

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self.period = settings.keeper_witness_seconds

    async def run(self, lease: Lease) -> int:
        """Ask whom there is to ask. Returns how many cosignatures came. Raises Problem for an unreadable key."""
        asked = witnesses(self._settings.log_witnesses)
        if not asked:
            return 0
        came = 0
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            # The open log, and the one before it: its final checkpoint may still be wanting.
            for head in (await self._pool.fetch(SQL["heads"]))[-2:]:
                if head["note"] is None:
                    continue
                before = came
                for url, key in asked.items():
                    came += await self._ask(session, lease, head, url, key)
                if came > before:
                    await self._publish(head)
        return came

    async def _ask(self, session: aiohttp.ClientSession, lease: Lease, head: Any, url: str, key: VerifierKey) -> int:
        size = head["signed_size"]
        known = await self._pool.fetchval(SQL["cosigned_size"], head["origin_id"], key.name)
        if known == size:
            return 0
        try:
            line, at = await self._cosigned(session, head, url, key, known or 0)
        except (aiohttp.ClientError, TimeoutError, OSError, WitnessRefused, EvidenceFault) as error:
            log.warning("log.witness_failed", witness=key.name, why=str(error) or type(error).__name__)
            return 0
        async with lease.writing() as connection:
            await connection.execute(SQL["record_cosignature"], head["origin_id"], size, key.name, at, line)
        return 1

    async def _cosigned(
        self, session: aiohttp.ClientSession, head: Any, url: str, key: VerifierKey, old: int
    ) -> tuple[str, Any]:
        status, answer = await self._post(session, head, url, old)
        if status == 409 and SIZE.fullmatch(answer.strip()):
            seen = int(answer.strip())
            if seen > head["signed_size"]:
                raise Problem(
                    f"the witness {key.name} has cosigned {seen} entries of {head['origin']},"
                    f" and this exchange has signed {head['signed_size']}",
                    "a witness that knows no more than the log itself",
                    "If the database was restored, run `lienthong db restored` with the newest files of the log;"
                    " otherwise somebody else signs with the log's key.",
                )
            status, answer = await self._post(session, head, url, seen)
        if status != 200:
            raise WitnessRefused(f"{url} answered {status}: {answer.strip()[:200]}")
        note = parse_note(head["note"])
        lines = tuple(parse_signature_line(line) for line in answer.splitlines() if line)
        held = verify_note(Note(note.text, lines), [key])
        line = next(line for line in lines if (line.name, line.key_id) == (key.name, key.key_id))
        return line.encode(), held[0].at

    async def _post(self, session: aiohttp.ClientSession, head: Any, url: str, old: int) -> tuple[int, str]:
        size = head["signed_size"]
        places = nodes_of_consistency(old, size)
        async with self._pool.acquire() as connection:
            nodes = await read_nodes(connection, head["origin_id"], places)
        proof = consistency_proof(old, size, lambda level, index: nodes[level, index])
        lines = "".join(f"{b64encode(hash_).decode()}\n" for hash_ in proof)
        body = f"old {old}\n{lines}\n".encode() + head["note"]
        async with session.post(f"{url.rstrip('/')}/add-checkpoint", data=body) as response:
            answer = await response.content.read(LARGEST_ANSWER)
            return response.status, answer.decode("utf-8", "replace")

    async def _publish(self, head: Any) -> None:
        """Add the cosignatures to the published checkpoint, if it is still this one."""
        files = TileFiles(self._settings.log_dir, head["origin"])
        published = files.read_checkpoint()
        note = parse_note(head["note"])
        if published is None or parse_note(published).text != note.text:
            return
        rows = await self._pool.fetch(SQL["cosignatures_of"], head["origin_id"], head["signed_size"])
        lines = tuple(parse_signature_line(row["line"]) for row in rows)
        files.write_checkpoint(Note(note.text, (*note.signatures, *lines)).encode())


def witnesses(configured: Mapping[str, str]) -> dict[str, VerifierKey]:
    """Address → key. Raises Problem."""
    keys: dict[str, VerifierKey] = {}
    for url, vkey in configured.items():
        try:
            keys[url] = parse_verifier_key(vkey)
        except EvidenceFault as fault:
            raise Problem(
                f"the witness {url} has the key {fault.found}", fault.expected, "Correct log_witnesses."
            ) from None
    return keys
