"""Larger parts through the gateway: whole at the recipient before it says so, whatever happens to connections."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from adapters import Agency, Letter, Part
from adapters.content import ContentMissing
from adapters.http_content import HttpContent, Tempo
from adapters.identity import Signer
from schemas.certificates import new_private_key
from schemas.problem import Problem
from tests.conftest import Vhost
from tests.integration.adapters.test_with_the_real_exchange import office, settings
from tests.kit.cutting import CuttingProxy
from tests.kit.exchange import End, Exchange, running_exchange
from tests.kit.gateway import Running, running_gateway

MIB = 1 << 20
QUICK = Tempo(tries=4, first_wait=0.02, last_wait=0.1)


@pytest.fixture
async def proxy() -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy().running() as running:
        yield running


@pytest.fixture
async def broker(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with running_exchange(vhost, migrated_database, tmp_path) as running:
        yield running


@pytest.fixture
async def gateway(broker: Exchange, proxy: CuttingProxy) -> AsyncIterator[Running]:
    """A gateway that agencies reach through the proxy, whose address is its name."""
    async with running_gateway(broker, gateway_url=f"http://127.0.0.1:{proxy.port}") as running:
        proxy.target_port = running.port
        yield running


def over_http(broker: Exchange, end: End, gateway: Running) -> Any:
    table = office(broker, end)
    del table["content_dir"]
    return settings(table | {"content_url": gateway.url})


async def test_a_large_part_goes_from_agency_to_agency_and_01_comes_after_it(
    broker: Exchange, gateway: Running, proxy: CuttingProxy, tmp_path: Path
) -> None:
    ministry, province = await broker.add("G22"), await broker.add("H53", "province")
    await gateway.refresh()
    data = secrets.token_bytes(5 * MIB)
    file = tmp_path / "lớn.pdf"
    file.write_bytes(data)
    letter = Letter(number="12", notation="VPCP-TH", subject="Công văn", to=[province.code], parts=[Part.file(file)])
    async with Agency.open(over_http(broker, ministry, gateway)) as me:
        sent = await me.send(letter)
        await sent.accepted(timeout=30)
        proxy.open.clear()  # the part does not come yet
        async with Agency.open(over_http(broker, province, gateway)) as them:
            await them.wait_connected()
            await broker.until_value("SELECT count(*) FROM delivery WHERE dispatched_at IS NOT NULL", 1)
            async with asyncio.timeout(20):
                while await broker.depth(f"agency.{province.code}"):
                    await asyncio.sleep(0.02)
            # It has taken the message, and cannot have the part: nothing is said to have arrived.
            assert await broker.value("SELECT count(*) FROM delivery WHERE arrived_at IS NOT NULL") == 0
            assert not list((tmp_path / province.code).rglob(hashlib.sha256(data).hexdigest()))
            proxy.open.set()
            async for delivery in them.receive(idle=30):
                async with delivery as came:
                    assert await came.parts[0].read() == data
                break
            async for status in me.statuses(idle=30):
                assert (status.agency, status.code) == (province.code, "01")
                break


async def test_what_breaks_off_is_tried_again_and_downloads_go_on_where_they_ended(
    broker: Exchange, gateway: Running, proxy: CuttingProxy, tmp_path: Path
) -> None:
    sender = await broker.add("G22")
    await gateway.refresh()
    data = secrets.token_bytes(6 * MIB)
    sha256 = hashlib.sha256(data).hexdigest()
    signer = Signer(code=sender.code, key=sender.key, thumbprint=sender.thumbprint)
    store = HttpContent(gateway.url, signer, tempo=QUICK)
    try:
        proxy.cuts = [2 * MIB, 300, 4 * MIB]
        await asyncio.to_thread(store.put, data, sha256)
        assert await broker.value("SELECT size FROM content") == len(data)
        assert not proxy.cuts, "it was cut as often as planned"

        proxy.cuts, proxy.back = [2 * MIB, 300, 2 * MIB], 0
        target = tmp_path / "parts" / sha256
        await asyncio.to_thread(store.copy_to, sha256, target, size=len(data))
        assert target.read_bytes() == data
        assert not proxy.cuts and proxy.back < len(data) + MIB, "nothing came twice"
        assert [path.name for path in target.parent.iterdir()] == [sha256]

        # What an earlier run left is gone on with; if it is wrong, it is found out and begun anew.
        target.unlink()
        rest = target.parent / f".part-{sha256}"
        proxy.back = 0
        rest.write_bytes(data[: 5 * MIB])
        await asyncio.to_thread(store.copy_to, sha256, target, size=len(data))
        assert target.read_bytes() == data and proxy.back < 2 * MIB
        target.unlink()
        rest.write_bytes(secrets.token_bytes(1000))
        with pytest.raises(ContentMissing, match="digest"):
            await asyncio.to_thread(store.copy_to, sha256, target, size=len(data))
        assert not target.exists() and not rest.exists()
        for left in (b"", data, data + b"more"):
            target.unlink(missing_ok=True)
            rest.write_bytes(left)
            await asyncio.to_thread(store.copy_to, sha256, target, size=len(data))
            assert target.read_bytes() == data

        with pytest.raises(ContentMissing, match=r"digest|SHA-256"):
            await asyncio.to_thread(store.put, data[:-1], sha256)
        with pytest.raises(ContentMissing, match="404"):
            await asyncio.to_thread(store.copy_to, hashlib.sha256(b"nothing").hexdigest(), target, size=7)
        afresh = HttpContent(gateway.url, signer, tempo=QUICK)
        try:
            proxy.cuts = [100] * 10
            with pytest.raises(Problem, match="cannot take a part"):
                await asyncio.to_thread(afresh.put, b"small", hashlib.sha256(b"small").hexdigest())
        finally:
            afresh.close()
        proxy.cuts.clear()
        stranger = HttpContent(gateway.url, Signer(code="G99", key=sender.key, thumbprint=sender.thumbprint))
        try:
            with pytest.raises(Problem, match="401 LT-AUTH"):
                await asyncio.to_thread(stranger.put, b"small", hashlib.sha256(b"small").hexdigest())
        finally:
            stranger.close()
    finally:
        await asyncio.to_thread(store.close)
    with pytest.raises(ContentMissing, match="closed"):
        store.copy_to(sha256, target, size=len(data))


async def test_closing_ends_a_download_that_hangs(broker: Exchange, gateway: Running, proxy: CuttingProxy) -> None:
    sender = await broker.add("G22")
    await gateway.refresh()
    store = HttpContent(gateway.url, Signer(code=sender.code, key=sender.key, thumbprint=sender.thumbprint))
    data = secrets.token_bytes(MIB)
    sha256 = hashlib.sha256(data).hexdigest()
    await asyncio.to_thread(store.put, data, sha256)
    proxy.open.clear()
    target = broker.settings.home.parent / "part"
    hanging = asyncio.create_task(asyncio.to_thread(store.copy_to, sha256, target, size=len(data)))
    async with asyncio.timeout(10):
        while not (target.parent / f".part-{sha256}").exists():
            await asyncio.sleep(0.01)
    await asyncio.to_thread(store.close)
    with pytest.raises(ContentMissing, match="closed"):
        await hanging
    proxy.open.set()


@pytest.mark.parametrize("announced", [True, False])
async def test_a_gateway_that_sends_more_than_the_manifest_says_is_cut_off(tmp_path: Path, announced: bool) -> None:
    taken = 0

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        length = b"Content-Length: %d\r\n" % (100 * MIB) if announced else b"Connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(bytes(MIB))
                await writer.drain()
                taken += MIB
        writer.close()

    sha256 = hashlib.sha256(bytes(3 * MIB)).hexdigest()
    signer = Signer(code="G22", key=new_private_key("Ed25519"), thumbprint=bytes(32))
    async with await asyncio.start_server(gateway, "127.0.0.1", 0) as server:
        store = HttpContent(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", signer, tempo=QUICK)
        try:
            with pytest.raises(ContentMissing, match=r"sends .* as .*, and the manifest says 3145728 bytes"):
                await asyncio.to_thread(store.copy_to, sha256, tmp_path / sha256, size=3 * MIB)
        finally:
            await asyncio.to_thread(store.close)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
    assert taken < 20 * MIB


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_gateway_cannot_send_an_agency_elsewhere(tmp_path: Path, status: int) -> None:
    elsewhere: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        elsewhere.append(await reader.readline())
        writer.close()

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        location = f"http://127.0.0.1:{port}/v1/content/x"
        writer.write(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    sha256 = hashlib.sha256(b"x").hexdigest()
    signer = Signer(code="G22", key=new_private_key("Ed25519"), thumbprint=bytes(32))
    async with (
        await asyncio.start_server(other, "127.0.0.1", 0) as others,
        await asyncio.start_server(gateway, "127.0.0.1", 0) as servers,
    ):
        port = others.sockets[0].getsockname()[1]
        store = HttpContent(f"http://127.0.0.1:{servers.sockets[0].getsockname()[1]}", signer, tempo=QUICK)
        try:
            with pytest.raises(Problem, match=f"{status}"):
                await asyncio.to_thread(store.put, b"x", sha256)
            with pytest.raises(ContentMissing, match=f"{status}"):
                await asyncio.to_thread(store.copy_to, sha256, tmp_path / sha256, size=1)
        finally:
            await asyncio.to_thread(store.close)
    assert elsewhere == []
