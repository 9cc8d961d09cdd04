"""RFC 3161 timestamps on checkpoints: an authority outside the exchange says that a tree was there at a time.

One token over the newest checkpoint every few minutes covers everything that was ever logged before it. Asked for by
the keeper outside every transaction, and never waited for. A token is verified before it is kept, and can be verified
offline with the authority's root (also by `openssl ts -verify`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
import structlog
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from broker.evidence.merkle import EvidenceFault
from broker.evidence.tree_rows import SQL
from broker.settings import Settings
from broker.upkeep.lease import Lease
from schemas.problem import Problem

ANSWER_WITHIN: Final = 20.0
LARGEST_TOKEN: Final = 64 * 1024
HEADERS: Final = {"Content-Type": "application/timestamp-query"}

log = structlog.get_logger(__name__)


def verify_timestamp(note: bytes, token: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """When the authority says that this note was there.

    Raises EvidenceFault if the token is over other bytes, or (with `roots`) leads to none of them.
    """
    response = _decoded(token)
    imprint = response.tst_info.message_imprint.message
    if imprint != sha256(note).digest():
        raise EvidenceFault(
            "timestamp", found=f"a token over {imprint.hex()}", expected=f"one over {sha256(note).hexdigest()}"
        )
    if roots:
        builder = VerifierBuilder()
        for root in roots:
            builder = builder.add_root_certificate(root)
        try:
            builder.build().verify_message(response, note)
        except (VerificationError, ValueError) as error:
            raise EvidenceFault(
                "timestamp", found=f"a token that does not verify: {error}", expected="one by the configured authority"
            ) from None
    return response.tst_info.gen_time


def read_roots(file: Path | None) -> list[x509.Certificate]:
    """The authority's roots; none if no file is configured. Raises Problem."""
    if file is None:
        return []
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Problem(
            f"{file} cannot be read: {error}", "root certificates in PEM", "Correct log_timestamp_roots_file."
        ) from None


class AskTimestamps:
    """A duty of the keeper: a token over the newest checkpoint, at most every `log_timestamp_minutes`."""

    name = "timestamps"

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._asked_at: float | None = None
        self.period = settings.keeper_witness_seconds

    async def run(self, lease: Lease) -> int:
        """Ask for a token if it is time and there is something new. Returns how many came. Raises Problem."""
        url = self._settings.log_timestamp_url
        pause = self._settings.log_timestamp_minutes * 60
        if not url or (self._asked_at is not None and time.monotonic() - self._asked_at < pause):
            return 0
        roots = read_roots(self._settings.log_timestamp_roots_file)
        came = 0
        for head in await self._pool.fetch(SQL["heads"]):
            if head["note"] is None or await self._pool.fetchval(
                SQL["has_timestamp"], head["origin_id"], head["signed_size"]
            ):
                continue
            # Counted as asked also when it fails: an authority that is down is not asked every few seconds.
            self._asked_at = time.monotonic()
            try:
                token = await _ask(url, head["note"])
                at = verify_timestamp(head["note"], token, roots)
            except (aiohttp.ClientError, TimeoutError, OSError, EvidenceFault) as error:
                log.warning("log.timestamp_failed", authority=url, why=str(error) or type(error).__name__)
                continue
            async with lease.writing() as connection:
                await connection.execute(
                    SQL["record_timestamp"], head["origin_id"], head["signed_size"], at, url, token
                )
            came += 1
        return came


async def _ask(url: str, note: bytes) -> bytes:
    """A token over these bytes. Raises EvidenceFault if the answer is none, or has another nonce."""
    request = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256).build()
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.post(url, data=request.as_bytes(), headers=HEADERS) as response,
    ):
        if response.status != 200:
            raise EvidenceFault("timestamp", found=f"answer {response.status}", expected="a token")
        token = await response.content.read(LARGEST_TOKEN)
    if _decoded(token).tst_info.nonce != request.nonce:
        raise EvidenceFault("timestamp", found="another nonce", expected="the one that was sent")
    return token


def _decoded(token: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(token)
    except ValueError as error:
        raise EvidenceFault("timestamp", found=f"no token: {error}", expected="an RFC 3161 response") from None
