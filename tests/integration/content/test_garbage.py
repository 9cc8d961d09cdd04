"""Unused content goes, and nothing that a document names ever does, whoever does what at which moment (contract §6)."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from broker.content.collecting import Collector
from broker.content.opening import open_content
from broker.content.record import bucket_of
from broker.content.store import ContentStore, whole
from broker.content.uploads import Uploads
from broker.store.pool import Connection
from broker.upkeep.content import CollectContent
from broker.upkeep.lease import Lease
from schemas.content_layout import accepted_path, stored_path
from tests.integration.gateway.client import naming, sha
from tests.kit.exchange import PATIENCE, End, Exchange, Letter
from tests.kit.s3 import REAL, S3

STEPS = ("chosen", "locked", "forgotten", "removing")
"""Where the collector can be met; `broker.content.collecting` names them."""
NOW = datetime.now(UTC)
LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(hours=2)
A_MOMENT = 0.4
"""Seconds that the collector gives to who has to wait for it; before it has locked anything nobody has to."""


class Ground:
    """The parts that meet."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.store: ContentStore = open_content(exchange.settings)

    async def upload(self, end: End, data: bytes, *, at: datetime) -> None:
        uploads = Uploads(self.exchange.pool, self.store, quota=10**9, largest=10**9, clock=lambda: at)
        await uploads.take(end.id, sha(data), whole(data), size=len(data))

    def collector(self, step: Callable[[str], Awaitable[None]]) -> Collector:
        return Collector(self.exchange.pool, self.store, writing=self.writing, step=step)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        async with self.exchange.pool.acquire() as connection, connection.transaction():
            yield connection

    async def collect_meeting(self, data: bytes, step: str, other: Callable[[], Awaitable[None]]) -> None:
        """Collect the bucket of `data`; at `step` let `other` begin, and wait for both."""
        others: list[asyncio.Task[None]] = []

        async def at(name: str) -> None:
            if name == step and not others:
                others.append(asyncio.ensure_future(other()))
                await asyncio.wait(others, timeout=PATIENCE if step == "chosen" else A_MOMENT)

        await self.collector(at).collect(bucket_of(sha(data)), LATER)
        await self.collector(at).strays(bucket_of(sha(data)), LATER)
        assert others, f"the collector never came to {step}"
        await others[0]

    async def is_there(self, data: bytes) -> bool:
        if await self.store.size_of(sha(data)) is None:
            return False
        return b"".join([piece async for piece in self.store.read(sha(data), 0, len(data))]) == data

    async def lose(self, data: bytes) -> None:
        """Remove the bytes behind the record's back."""

        async def never() -> bool:
            return False

        await self.store.remove(sha(data), unless=never)

    async def is_recorded(self, data: bytes) -> bool:
        return bool(
            await self.exchange.value("SELECT count(*) FROM content WHERE digest = $1", bytes.fromhex(sha(data)))
        )

    async def outcome(self, sender: End, letter: Letter) -> str:
        box = await self.exchange.mailbox(sender)

        def found() -> str | None:
            about = [one for one in box.items() if getattr(one.concerns, "digest", None) == letter.digest]
            return None if not about else f"{about[-1].event} {about[-1].error or ''}".strip()

        return await box.until(found, "an answer")


@pytest.fixture(params=["folder", *(["s3"] if REAL else [])])
async def ground(request: pytest.FixtureRequest, exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Ground:
    if request.param == "s3":
        s3: S3 = request.getfixturevalue("s3")
        for name, value in s3.environment().items():
            monkeypatch.setenv(name, value)
        await exchange.stop_workers()
        url = f"s3://{s3.bucket}/{secrets.token_hex(8)}"
        exchange.settings = exchange.settings.model_copy(update={"content_url": url})
        await exchange.start_worker()
    return Ground(exchange)


async def test_an_acceptance_that_meets_the_collector_is_whole_or_refused(ground: Ground) -> None:
    x = ground.exchange
    sender, recipient = await x.add("G01"), await x.add("H53", "province")
    outcomes = {}
    for step in STEPS:
        data = secrets.token_bytes(3000)
        await ground.upload(sender, data, at=NOW)
        letter = naming(x, sender, [recipient], data)

        async def send(letter: Letter = letter) -> None:
            await x.send(letter, sender)
            await ground.outcome(sender, letter)

        await ground.collect_meeting(data, step, send)
        outcomes[step] = outcome = await ground.outcome(sender, letter)
        accepted = outcome == "accepted"
        assert accepted or outcome == "rejected LT-PART-MISSING", outcome
        assert await ground.is_there(data) is accepted, f"{step}: {outcome}"
        assert await ground.is_recorded(data) is accepted
        if not accepted:
            await ground.upload(sender, data, at=LATEST)
            await x.send(letter, sender)
            await x.notice_at(sender, letter, "accepted")
            assert await ground.is_there(data)
    assert outcomes["chosen"] == "accepted", "what is named before it is locked stays"
    assert outcomes["forgotten"] == "rejected LT-PART-MISSING", "what is forgotten is not named any more"


async def test_an_acceptance_that_looked_before_and_writes_after_the_collector_looks_again(ground: Ground) -> None:
    """The collector goes through between the moment a worker has seen the content and the moment it writes."""
    x = ground.exchange
    sender, recipient = await x.add("G01"), await x.add("H53", "province")
    data = secrets.token_bytes(3000)
    await ground.upload(sender, data, at=NOW)
    letter = naming(x, sender, [recipient], data)
    async with x.pool.acquire() as blocking, blocking.transaction():
        # Rows that a worker reads before it decides stay readable; what it writes first has to wait.
        await blocking.execute("LOCK TABLE content IN EXCLUSIVE MODE")
        await x.send(letter, sender)
        await x.until_value(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            True,
        )
        await blocking.execute("DELETE FROM content_upload")
        await blocking.execute("DELETE FROM content")
        await ground.lose(data)
    assert await ground.outcome(sender, letter) == "rejected LT-PART-MISSING"
    assert await x.value("SELECT count(*) FROM document") == 0


async def test_a_part_in_the_shared_folder_survives_the_collector_at_every_step(ground: Ground) -> None:
    x = ground.exchange
    sender, recipient = await x.add("G01"), await x.add("H53", "province")
    for step in STEPS:
        data = secrets.token_bytes(3000)
        await ground.upload(recipient, data, at=NOW)  # somebody's unused copy of the same bytes is what goes
        shared = stored_path(x.settings.content_dir, sender.code, sha(data))
        shared.parent.mkdir(parents=True, exist_ok=True)
        shared.write_bytes(data)
        letter = naming(x, sender, [recipient], data)

        async def send(letter: Letter = letter) -> None:
            await x.send(letter, sender)
            await ground.outcome(sender, letter)

        await ground.collect_meeting(data, step, send)
        assert await ground.outcome(sender, letter) == "accepted", step
        assert await ground.is_there(data) and await ground.is_recorded(data), step


async def test_an_upload_that_meets_the_collector_is_there_afterwards(ground: Ground) -> None:
    end = await ground.exchange.add("G01")
    for step in STEPS:
        data = secrets.token_bytes(3000)
        await ground.upload(end, data, at=NOW)

        async def again(data: bytes = data) -> None:
            await ground.upload(end, data, at=LATEST)

        await ground.collect_meeting(data, step, again)
        assert await ground.is_there(data) and await ground.is_recorded(data), step


async def test_only_what_nobody_uses_goes(ground: Ground) -> None:
    x = ground.exchange
    if x.settings.content_url:
        pytest.skip("objects cannot be made older than they are")
    sender, recipient = await x.add("G01"), await x.add("H53", "province")
    unused, fresh, named, twice = (secrets.token_bytes(2000) for _ in range(4))
    for data in (unused, named, twice):
        await ground.upload(sender, data, at=NOW - timedelta(days=8))
    await ground.upload(sender, fresh, at=NOW)
    await ground.upload(recipient, twice, at=NOW)
    letter = naming(x, sender, [recipient], named)
    await x.send(letter, sender)
    await x.notice_at(sender, letter, "accepted")
    stray, broken = secrets.token_bytes(100), x.settings.content_dir / "incoming" / "left"
    await ground.store.put(sha(stray), whole(stray))
    broken.write_bytes(b"half")
    old = (datetime.now(UTC) - timedelta(days=9)).timestamp()
    for path in (accepted_path(x.settings.content_dir, sha(stray)), broken):
        os.utime(path, (old, old))
    await x.pool.execute("INSERT INTO used_token VALUES ($1, $2, $3)", b"t", bytes(32), NOW - timedelta(hours=1))
    # To a gateway whose clock is a little behind, this one would be good again if it were forgotten.
    spent = datetime.now(UTC) - timedelta(minutes=5)
    await x.pool.execute("INSERT INTO used_token VALUES ($1, $2, $3)", b"spent", bytes(32), spent)

    lease = Lease(x.pool, seconds=60)
    assert await lease.take()
    duty = CollectContent(x.pool, ground.store, keep=timedelta(days=7), period=3600, stray_rounds=1)
    assert await duty.run(lease) == 2, "the unused one and the stray one"
    assert {name: await ground.is_there(data) for name, data in
            {"unused": unused, "fresh": fresh, "named": named, "twice": twice, "stray": stray}.items()} == {
        "unused": False, "fresh": True, "named": True, "twice": True, "stray": False,
    }  # fmt: skip
    assert not broken.exists() and await x.value("SELECT array_agg(thumbprint) FROM used_token") == [b"spent"]
    assert await x.value("SELECT count(*) FROM content_upload WHERE agency_id = $1", sender.id) == 2
    assert await duty.run(lease) == 0


async def test_a_collector_that_has_lost_its_lock_takes_nothing_away(ground: Ground) -> None:
    """It stalls before it removes, its session ends meanwhile, and the same content is stored and sent afresh."""
    x = ground.exchange
    sender, recipient = await x.add("G01"), await x.add("H53", "province")
    data = secrets.token_bytes(3000)
    await ground.upload(sender, data, at=NOW)
    letter = naming(x, sender, [recipient], data)

    async def stall(step: str) -> None:
        if step == "removing":
            await x.pool.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            await ground.upload(sender, data, at=LATEST)
            await x.send(letter, sender)
            assert await ground.outcome(sender, letter) == "accepted"

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await ground.collector(stall).collect(bucket_of(sha(data)), LATER)
    assert await ground.is_there(data) and await ground.is_recorded(data)
