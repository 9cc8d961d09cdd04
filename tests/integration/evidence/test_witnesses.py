"""Others say what they have seen: witnesses by C2SP tlog-witness, a timestamp authority made with openssl."""

from __future__ import annotations

import asyncio
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.evidence.checkpoints import trusted
from broker.evidence.findings import Finding
from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.merkle import EMPTY_ROOT, EvidenceFault, verify_consistency
from broker.evidence.notes import (
    COSIGNATURE,
    Checkpoint,
    cosignature_line,
    parse_note,
    parse_verifier_key,
    verifier_key,
    verify_checkpoint,
    verify_note,
)
from broker.evidence.timestamps import AskTimestamps, read_roots, verify_timestamp
from broker.evidence.verify import Scope, verify
from broker.evidence.witness import AskWitnesses
from schemas.problem import Problem
from tests.integration.evidence.conftest import Log

NAME = "witness.example/w1"


class Witness:
    """A small witness, as the specification wants one."""

    def __init__(self, log_vkeys: list[str], origin: str) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.vkey = verifier_key(NAME, self.key.public_key(), kind=COSIGNATURE)
        self.trusts = trusted([parse_verifier_key(vkey) for vkey in log_vkeys], origin)
        self.seen = Checkpoint(origin, 0, EMPTY_ROOT)
        self.asked = 0
        self.answer: web.Response | None = None

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.answer is not None:
            return self.answer
        head, _, note = (await request.read()).partition(b"\n\n")
        old, *proof = head.decode().split("\n")
        checkpoint = verify_checkpoint(note, self.trusts, origin=self.seen.origin)
        if int(old.removeprefix("old ")) != self.seen.size:
            return web.Response(status=409, text=f"{self.seen.size}\n", content_type="text/x.tlog.size")
        hashes = [b64decode(line, validate=True) for line in proof]
        try:
            verify_consistency(self.seen.size, self.seen.root, checkpoint.size, checkpoint.root, hashes)
        except EvidenceFault as fault:
            return web.Response(status=422, text=str(fault))
        self.seen = checkpoint
        line = cosignature_line(parse_note(note).text, NAME, self.key, datetime.now(UTC))
        return web.Response(text=f"{line.encode()}\n")


@asynccontextmanager
async def served(*routes: web.RouteDef) -> AsyncIterator[str]:
    """A tiny HTTP server; its address."""
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def witnessed(log: Log) -> AsyncIterator[tuple[Witness, AskWitnesses]]:
    vkeys = [key.encode() for key in read_vkeys(vkey_file(log.settings.log_key_file))]
    witness = Witness(vkeys, "lt.exchange/2026")
    async with served(web.post("/add-checkpoint", witness.add_checkpoint)) as url:
        settings = log.settings.model_copy(update={"log_witnesses": {url: witness.vkey}})
        yield witness, AskWitnesses(log.pool, settings)


async def verified(log: Log, scope: Scope) -> list[Finding]:
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    async with log.pool.acquire() as connection:
        return [finding async for finding in verify(connection, vkeys, log.settings.log_dir, scope)]


async def test_a_witness_cosigns_and_the_published_checkpoint_carries_it(log: Log) -> None:
    async with witnessed(log) as (witness, duty):
        for count in (3, 400):
            await log.insert(count)
            await log.round(count)
            assert await duty.run(log.lease) == 1
            assert await duty.run(log.lease) == 0
            note = log.files().read_checkpoint()
            assert note is not None
            (held,) = verify_note(parse_note(note), [witness.vkey])
            assert held.at is not None and log.published() == witness.seen
        assert witness.asked == 2
        scope = Scope(records=False, witnesses=(parse_verifier_key(witness.vkey),))
        assert await verified(log, scope) == []
        await log.pool.execute("UPDATE cosignature SET at = at + interval '1 hour' WHERE size = 3")
        (finding,) = await verified(log, scope)
        assert (finding.where, finding.what) == ("cosignature", "at")
        await log.insert(1)
        await log.round(1)
        assert log.published().size == 404


async def test_a_witness_that_had_seen_more_of_this_log_is_brought_up_from_there(log: Log) -> None:
    async with witnessed(log) as (witness, duty):
        await log.insert(3)
        await log.round(3)
        await duty.run(log.lease)
        await log.pool.execute("DELETE FROM cosignature")
        await log.insert(2)
        await log.round(2)
        assert await duty.run(log.lease) == 1
        assert witness.seen.size == 5 and witness.asked == 3


async def test_a_witness_that_knows_more_than_we_signed_is_an_alarm(log: Log) -> None:
    async with witnessed(log) as (witness, duty):
        await log.insert(3)
        await log.round(3)
        witness.seen = Checkpoint("lt.exchange/2026", 9, bytes(32))
        with pytest.raises(Problem, match="db restored"):
            await duty.run(log.lease)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500, text="broken"),
        lambda: web.Response(text="nonsense\n"),
        lambda: web.Response(text=f"— {NAME} AAAAAAAA\n"),
        lambda: web.Response(text=""),
        lambda: web.Response(status=409, text="x" * 100_000),
    ],
)
async def test_a_witness_that_does_not_cosign_holds_nothing_up(log: Log, answer: type[web.Response]) -> None:
    async with witnessed(log) as (witness, duty):
        await log.insert(3)
        await log.round(3)
        witness.answer = answer()
        assert await duty.run(log.lease) == 0
        assert await log.pool.fetchval("SELECT count(*) FROM cosignature") == 0
        assert log.published().size == 3


async def test_a_witness_that_is_away_holds_nothing_up(log: Log) -> None:
    settings = log.settings.model_copy(
        update={"log_witnesses": {"http://127.0.0.1:9": verifier_key(NAME, Ed25519PrivateKey.generate().public_key())}}
    )
    await log.insert(1)
    await log.round(1)
    assert await AskWitnesses(log.pool, settings).run(log.lease) == 0


# ── Timestamps ───────────────────────────────────────────────────────────────────────────────────────────────────────
TSA = """
[ca]
default_ca = c
[c]
[tsa]
default_tsa = t
[t]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ordering = no
tsa_name = no
[ext]
extendedKeyUsage = critical,timeStamping
keyUsage = critical,digitalSignature
basicConstraints = critical,CA:false
"""


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A folder with a timestamp authority: its root and its certificate."""
    folder = tmp_path / "tsa"
    folder.mkdir()
    (folder / "tsa.cnf").write_text(TSA.format(folder=folder))
    (folder / "serial").write_text("01\n")
    root = ["-keyout", f"{folder}/root.key", "-out", f"{folder}/root.pem", "-subj", "/CN=TSA root", "-days", "30"]
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", *root)
    request = ["-keyout", f"{folder}/tsa.key", "-out", f"{folder}/tsa.csr", "-subj", "/CN=TSA"]
    openssl("req", "-newkey", "rsa:2048", "-nodes", *request)
    signed = ["-CA", f"{folder}/root.pem", "-CAkey", f"{folder}/root.key", "-CAcreateserial", "-days", "30"]
    extensions = ["-extfile", f"{folder}/tsa.cnf", "-extensions", "ext"]
    openssl("x509", "-req", "-in", f"{folder}/tsa.csr", "-out", f"{folder}/tsa.pem", *signed, *extensions)
    return folder


@asynccontextmanager
async def stamping(authority: Path) -> AsyncIterator[str]:
    async def stamp(request: web.Request) -> web.Response:
        assert request.content_type == "application/timestamp-query"
        (authority / "query").write_bytes(await request.read())
        arguments = ["ts", "-reply", "-config", f"{authority}/tsa.cnf", "-queryfile", f"{authority}/query"]
        await asyncio.to_thread(openssl, *arguments, "-out", f"{authority}/reply")
        return web.Response(body=(authority / "reply").read_bytes(), content_type="application/timestamp-reply")

    async with served(web.post("/", stamp)) as url:
        yield url


async def test_a_timestamp_is_asked_for_now_and_then_and_verifies_offline(log: Log, authority: Path) -> None:
    async with stamping(authority) as url:
        settings = log.settings.model_copy(
            update={"log_timestamp_url": url, "log_timestamp_roots_file": authority / "root.pem"}
        )
        duty = AskTimestamps(log.pool, settings)
        await log.insert(3)
        await log.round(3)
        assert await duty.run(log.lease) == 1
        await log.insert(1)
        await log.round(1)
        assert await duty.run(log.lease) == 0, "the pause has not passed"
        assert await AskTimestamps(log.pool, settings).run(log.lease) == 1
    roots = read_roots(authority / "root.pem")
    row = await log.pool.fetchrow("SELECT t.*, c.note FROM checkpoint_timestamp t JOIN checkpoint c USING (size)")
    assert row is not None
    assert verify_timestamp(row["note"], row["token"], roots) == row["at"]
    (authority / "token").write_bytes(row["token"])
    (authority / "note").write_bytes(row["note"])
    openssl("ts", "-verify", "-data", f"{authority}/note", "-in", f"{authority}/token", "-CAfile",
            f"{authority}/root.pem")  # fmt: skip
    with pytest.raises(EvidenceFault, match="one over"):
        verify_timestamp(row["note"] + b" ", row["token"], roots)
    scope = Scope(records=False, timestamp_roots=tuple(roots))
    assert await verified(log, scope) == []
    await log.pool.execute("UPDATE checkpoint_timestamp SET token = (SELECT token FROM checkpoint_timestamp LIMIT 1)")
    assert [finding.where for finding in await verified(log, scope)] == ["checkpoint_timestamp"]


async def test_a_token_of_another_authority_is_not_kept(log: Log, authority: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{tmp_path}/o.key", "-out", str(other),
            "-subj", "/CN=other", "-days", "3")  # fmt: skip
    async with stamping(authority) as url:
        settings = log.settings.model_copy(update={"log_timestamp_url": url, "log_timestamp_roots_file": other})
        await log.insert(1)
        await log.round(1)
        assert await AskTimestamps(log.pool, settings).run(log.lease) == 0
    assert await log.pool.fetchval("SELECT count(*) FROM checkpoint_timestamp") == 0


async def test_an_authority_that_is_away_holds_nothing_up(log: Log) -> None:
    settings = log.settings.model_copy(update={"log_timestamp_url": "http://127.0.0.1:9/"})
    await log.insert(1)
    await log.round(1)
    assert await AskTimestamps(log.pool, settings).run(log.lease) == 0
