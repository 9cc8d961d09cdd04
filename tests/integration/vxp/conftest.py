"""A gateway beside an exchange, with a hub that connects by the REST protocol and offices that do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from broker.directory.changes import NewAgency, add_agency
from broker.evidence.verify import BEGINNING, nothing
from broker.evidence.verify_work import check_work_tables
from broker.gateway.vxp.systems import MadeSystem, NewSystem, add
from tests.conftest import Vhost
from tests.kit.exchange import AUTHOR, End, Exchange, running_exchange
from tests.kit.gateway import Running, running_gateway
from tests.kit.vxp import OfficialClient


@pytest.fixture
async def exchange(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    """A running exchange with one worker and no agencies yet; whatever a test leaves behind, `audit verify` accuses
    nobody of it."""
    async with running_exchange(vhost, migrated_database, tmp_path) as running:
        yield running
        async with running.pool.acquire() as connection, connection.transaction():
            found = [one.sentence() async for one in check_work_tables(connection, BEGINNING, progress=nothing)]
    assert found == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A hub whose software speaks the REST protocol, two communes that it serves, and a native ministry."""

    gateway: Running
    exchange: Exchange
    made: MadeSystem
    hub: str
    commune: str
    other: str
    ministry: End
    client: OfficialClient

    async def does(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Let the client do something, without standing in the gateway's way."""
        return await asyncio.to_thread(what, *arguments, **named)

    async def listed(self, kind: str = "edoc", seconds: float = 120.0) -> list[dict[str, Any]]:
        """Poll until something is listed."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            answer = await self.does(self.client.list, kind)
            assert answer["ErrorCode"] == "0", answer
            if answer["data"]:
                return list(answer["data"])
            assert asyncio.get_running_loop().time() < deadline, f"no {kind} came"
            await asyncio.sleep(0.05)


async def connect_hub(exchange: Exchange, name: str, **fields: Any) -> tuple[MadeSystem, list[str]]:
    """A hub without a user of its own, two communes that it serves, and a system for it."""
    code = f"{exchange.prefix}.{name}"
    served = [f"{code}.{number}" for number in ("01", "02")]
    async with exchange.pool.acquire() as connection:
        new = NewAgency(code=code, name=f"Đầu mối {name}", level="hub", has_mailbox=True)
        await add_agency(connection, new, author=AUTHOR)
        for one in served:
            office = NewAgency(code=one, name=f"Xã {one}", level="commune", hub=code)
            await add_agency(connection, office, author=AUTHOR)
        made = await add(
            connection,
            NewSystem(name=fields.pop("system", f"00.{code}"), hub=code, **fields),
            settings=exchange.settings,
            author=AUTHOR,
        )
    await exchange.apply_topology()
    await exchange.refresh()
    return made, served


async def connected(exchange: Exchange, gateway: Running, **fields: Any) -> Connected:
    """Everything of `Connected`, ready."""
    made, served = await connect_hub(exchange, "W00", **fields)
    ministry = await exchange.add("G22")
    await gateway.refresh()
    return Connected(
        gateway=gateway,
        exchange=exchange,
        made=made,
        hub=made.hub,
        commune=served[0],
        other=served[1],
        ministry=ministry,
        client=OfficialClient(gateway.url, made.system, made.secret),
    )


@pytest.fixture
async def office(exchange: Exchange) -> AsyncIterator[Connected]:
    """A connected hub, with a gateway that is running."""
    async with running_gateway(exchange) as gateway:
        yield await connected(exchange, gateway)
