"""SIGKILL at every boundary and at random: nothing that was sent is lost, nothing that came has two effects."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from schemas.times import new_id
from tests.conftest import Vhost
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.kit.stacks import end_of

PROGRAM = Path(__file__).with_name("two_offices.py")
KILLED = -9


@pytest.fixture
async def exchange(vhost: Vhost, tmp_path: Path) -> AsyncIterator[StandIn]:
    standin = StandIn(vhost=vhost, folder=tmp_path)
    await standin.start()
    yield standin
    await standin.stop()


class Run:
    """One sender and one recipient whose program may die, and what must be true when it has come to its end."""

    def __init__(self, exchange: StandIn, folder: Path, *, documents: int) -> None:
        self.exchange = exchange
        self.folder = folder
        self.ids = [str(new_id(datetime.now(UTC))) for _ in range(documents)]

    async def prepare(self) -> None:
        self.folder.mkdir(parents=True)
        self.recipient = await self.exchange.agency(PROVINCE, again_after_seconds=0.05)
        sender = await self.exchange.agency(MINISTRY, resend_after_seconds=2.0)
        for settings in (sender, self.recipient):
            write_toml(settings, self.folder / f"{settings.code}.toml", self.folder / settings.code)
        self.orders = {
            "sender": str(self.folder / f"{MINISTRY}.toml"),
            "recipient": str(self.folder / f"{PROVINCE}.toml"),
            "register": str(self.folder / "register"),
            "ids": self.ids,
            "large": self.ids[0],
        }

    async def go(self, *, die_at: int = 0, kill_after: float | None = None) -> tuple[int, int]:
        """Run the program; returns its exit code and the number of boundaries it crossed."""
        orders = self.folder / "orders.json"
        orders.write_text(json.dumps({**self.orders, "die_at": die_at}))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), str(orders), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            if process.returncode is None:
                process.kill()
        output, errors = await end_of(process, within=60)
        assert process.returncode in (0, KILLED), errors.decode()
        return process.returncode, json.loads(output)["crossings"] if process.returncode == 0 else 0

    def check(self) -> None:
        """Not lost, not doubled."""
        assert set(self.exchange.documents) == {(MINISTRY, id) for id in self.ids}
        digests: dict[str, set[str]] = {}
        for _, key, _, signed in self.exchange.submitted:
            if key.startswith("document."):
                digests.setdefault(json.loads(signed.payload)["id"], set()).add(signed.digest)
        assert all(len(some) == 1 for some in digests.values()), "one id went out with two different contents"
        with sqlite3.connect(self.folder / PROVINCE / DATABASE) as connection:
            inbox = connection.execute("SELECT id, recipient, state FROM inbox").fetchall()
            parts = connection.execute("SELECT sha256 FROM part WHERE size > 100000").fetchall()
        assert Counter(inbox) == Counter((id, PROVINCE, "done") for id in self.ids)
        assert all((self.folder / PROVINCE / "parts" / digest[:2] / digest).is_file() for (digest,) in parts)
        for id in self.ids:
            assert set(self.exchange.codes(id, PROVINCE)) == {"01", "03"}
            arrivals = {digest for code, digest in self.exchange.reported[id, PROVINCE] if code == "01"}
            assert len(arrivals) == 1, "a document that came again is answered with the same signed 01"
        lines = [json.loads(line) for line in Path(self.orders["register"]).read_text().splitlines()]  # type: ignore[arg-type]
        assert {line["id"] for line in lines} == set(self.ids)
        assert all(line["again"] for line in lines if line["known"]), "a second hand-over must be flagged"


def write_toml(settings: AgencySettings, path: Path, data: Path) -> None:
    fields: dict[str, Any] = {
        "code": settings.code,
        "amqp_url": settings.amqp_url,
        "amqp_password_file": str(settings.amqp_password_file),
        "key_file": str(settings.key_file),
        "certificate_file": str(settings.certificate_file),
        "roots_dir": str(settings.roots),
        "broker_certificate_file": str(settings.broker_certificate_file),
        "content_dir": str(settings.content_dir),
        "data_dir": str(data),
        "resend_after_seconds": settings.resend_after_seconds,
        "again_after_seconds": settings.again_after_seconds,
    }
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items()))


async def die_at_every(exchange: StandIn, folder: Path, step: int) -> None:
    die_at, crossings = 1, 1
    while die_at <= crossings:
        run = Run(exchange, folder / f"run-{die_at}", documents=2)
        exchange.documents.clear(), exchange.submitted.clear(), exchange.reported.clear()
        await run.prepare()
        code, counted = await run.go(die_at=die_at)
        if code == 0:
            crossings = counted
        else:
            crossings = max(crossings, die_at + step)
            code, _ = await run.go()
            assert code == 0
        run.check()
        die_at += step
    print(f"{crossings} boundaries")
    assert crossings > 20, "the program crosses more boundaries than that: are they still watched?"


async def test_death_at_some_boundaries_loses_nothing_and_doubles_nothing(exchange: StandIn, tmp_path: Path) -> None:
    await die_at_every(exchange, tmp_path / "runs", step=8)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_death_at_every_boundary_loses_nothing_and_doubles_nothing(exchange: StandIn, tmp_path: Path) -> None:
    await die_at_every(exchange, tmp_path / "runs", step=1)


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
async def test_death_at_random_moments_loses_nothing_and_doubles_nothing(
    exchange: StandIn, tmp_path: Path, kills: int
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    run = Run(exchange, tmp_path / "run", documents=12)
    await run.prepare()
    for _ in range(kills):
        await run.go(kill_after=moments.uniform(0.5, 1.6))
    code, _ = await run.go()
    assert code == 0
    run.check()
