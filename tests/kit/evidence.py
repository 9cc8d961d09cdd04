"""The log and bundles of a test's exchange: sequence and sign now, prove, and the public keys to check with."""

from __future__ import annotations

import asyncio
from typing import Any

from cryptography import x509

from broker.evidence.bundle.prove import prove
from broker.evidence.duties import KeepLog
from broker.evidence.keys import make_log_key, read_vkeys, vkey_file
from broker.evidence.notes import VerifierKey
from broker.settings import Settings
from broker.upkeep.lease import Lease
from schemas.certificates import load_certificates
from tests.kit.exchange import PATIENCE, Exchange

_OUTSTANDING = """SELECT
    (SELECT count(*) FROM event e
     WHERE NOT EXISTS (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id))
    + (SELECT count(*) FROM log_head h
       WHERE NOT EXISTS (SELECT FROM checkpoint c WHERE c.origin_id = h.origin_id AND c.size = h.size))"""


async def log_now(exchange: Exchange, *, settings: Settings | None = None, **clock: Any) -> bytes:
    """Let the log take in every event that is committed by now, and sign; the newest checkpoint's note."""
    configured = settings or exchange.settings
    make_log_key(configured.log_key_file, configured.log_origin)
    lease = Lease(exchange.pool, seconds=60, holder="test")
    assert await lease.take(), "another keeper is at work"
    duty = KeepLog(exchange.pool, configured, **clock)
    async with asyncio.timeout(PATIENCE):
        while True:
            await duty.run(lease)
            if not await exchange.pool.fetchval(_OUTSTANDING):
                break
            # Somebody's transaction is open; whatever comes before its end must wait.
            await asyncio.sleep(0.02)
    note: bytes = await exchange.pool.fetchval("SELECT note FROM checkpoint ORDER BY origin_id DESC, size DESC LIMIT 1")
    return note


def keys_of(exchange: Exchange) -> tuple[VerifierKey, ...]:
    """The log's public keys, as an auditor is given them."""
    return read_vkeys(vkey_file(exchange.settings.log_key_file))


def roots_of(exchange: Exchange) -> tuple[x509.Certificate, ...]:
    """The development authority's root."""
    return tuple(load_certificates(exchange.home.root.read_bytes()))


async def proved(exchange: Exchange, document: str, **narrower: Any) -> bytes:
    """The bundle of a document."""
    async with exchange.pool.acquire() as connection:
        return await prove(connection, document, identity=exchange.identity, **narrower)
