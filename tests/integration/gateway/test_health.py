"""Whoever balances load or watches processes learns from the gateway itself; who trickles or floods gets nowhere."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from starlette.types import Receive, Scope, Send

from broker.gateway import listening
from schemas.certificates import new_private_key, private_key_pem
from schemas.problem import Problem
from tests.kit.exchange import Exchange
from tests.kit.gateway import Running, running_gateway


async def test_a_running_gateway_says_that_it_lives_is_ready_and_what_it_has_done(gateway: Running) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get(f"{gateway.url}/readyz") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "ok")
        async with http.get(f"{gateway.url}/v1/content/{'0' * 64}") as answer:
            assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
        async with http.get(f"{gateway.url}/no/such/{'x' * 100}") as answer:
            assert answer.status == 404
        async with http.get(f"{gateway.url}/static/no-such-thing") as answer:
            assert answer.status == 404
        async with http.get(f"{gateway.url}/getAgenciesList") as answer:
            assert (await answer.json(content_type=None))["ErrorCode"] == "15"
        async with http.get(f"{gateway.url}/metrics") as answer:
            text = await answer.text()
    for path, status in (("/static/{name}", 404), ("/getAgenciesList", 200)):
        assert f'lienthong_gateway_requests_total{{method="GET",path="{path}",status="{status}"}} 1' in text
    counted = 'lienthong_gateway_requests_total{method="GET",path="/v1/content/{sha256}",status="401"} 1'
    assert counted in text and 'path="(none)"' in text and "/no/such" not in text
    for name in ("request_seconds_bucket", "content_received_bytes_total", "uploads_in_progress"):
        assert f"lienthong_gateway_{name}" in text
    assert "lienthong_content_waiting_bytes 0" in text and "lienthong_log_unsequenced" in text


async def test_counts_are_for_configured_networks_only(exchange: Exchange) -> None:
    async with (
        running_gateway(exchange, gateway_metrics_from=("10.0.0.0/8",)) as gateway,
        aiohttp.ClientSession() as http,
        http.get(f"{gateway.url}/metrics") as answer,
    ):
        assert answer.status == 404


@pytest.mark.parametrize(
    "told",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"Host": "exchange.example.vn"},
        {"Host": "10.1.2.3:8650"},
        {"Host": "localhost.example.vn"},
        {"Host": "["},
    ],
)
async def test_who_comes_through_a_local_proxy_is_not_taken_for_local(gateway: Running, told: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{gateway.url}/metrics", headers=told) as through,
        http.get(f"{gateway.url}/healthz", headers=told) as health,
    ):
        assert (through.status, health.status) == (404, 200)


async def test_a_local_program_sees_the_counts_by_every_local_name(gateway: Running) -> None:
    async with aiohttp.ClientSession() as http:
        for host in ("localhost", f"LOCALHOST:{gateway.port}", "127.0.0.1", "[::1]:80"):
            async with http.get(f"{gateway.url}/metrics", headers={"Host": host}) as answer:
                assert answer.status == 200, host


async def test_a_gateway_without_its_database_is_alive_and_not_ready(gateway: Running) -> None:
    await gateway.parts.pool.close()
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/healthz") as answer:
            assert answer.status == 200
        async with http.get(f"{gateway.url}/readyz") as answer:
            assert answer.status == 503 and "does not answer" in (await answer.json())["database"]
        async with http.get(f"{gateway.url}/v1/certificates/{'0' * 64}") as answer:
            assert (answer.status, (await answer.json())["error"]) == (503, "LT-BROKER")
            assert "Retry-After" in answer.headers


async def test_endless_and_trickling_headers_are_cut_off(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.3)
    async with running_gateway(exchange) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 40_000)
        async with asyncio.timeout(10):
            assert b" 400 " in await reader.readline()
        writer.close()

        for said in (b"", b"GET /hea"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(said)
            async with asyncio.timeout(10):
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            writer.close()

        # A second request on the same connection has its own time; one that is in time is served.
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(10):
                assert b" 200 " in await reader.readline()
                await reader.readuntil(b'{"status":"ok"}')
            await asyncio.sleep(0.4)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        async with asyncio.timeout(10):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        writer.close()


async def test_it_speaks_tls_with_its_own_certificate(exchange: Exchange, tmp_path: Path) -> None:
    key = new_private_key("P-256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    files = tmp_path / "tls.pem", tmp_path / "tls.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(private_key_pem(key))
    tls = {"gateway_tls_certificate_file": files[0], "gateway_tls_key_file": files[1]}
    async with running_gateway(exchange, **tls) as gateway, aiohttp.ClientSession() as http:
        context = ssl.create_default_context(cafile=str(files[0]))
        async with http.get(f"https://127.0.0.1:{gateway.port}/healthz", ssl=context) as answer:
            assert answer.status == 200
    for wrong in ({"gateway_tls_key_file": None}, {"gateway_tls_key_file": files[0]}):
        with pytest.raises(Problem, match="gateway_tls"):
            async with running_gateway(exchange, **(tls | wrong)):
                pass


@pytest.mark.parametrize(
    "request_line", [b"POST /healthz", b"GET /v1/agencies", b"POST /sign-in", b"PUT /v1/content/x"]
)
async def test_a_body_that_does_not_come_holds_no_connection(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, request_line: bytes
) -> None:
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.2)
    head = b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9999\r\n\r\n"
    async with running_gateway(exchange) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(request_line + head + b"a")
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                while await reader.read(4096):  # answered or not, the connection ends
                    writer.write(b"a")
        writer.close()


async def test_answers_that_are_not_taken_hold_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.2)
    left = asyncio.Event()

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(1 << 25), "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    bound = listening.bind("127.0.0.1", 0)
    server = listening.server_for(much, certificate=None, key=None, grace=1)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    await server.listening.wait()
    with socket.create_connection(bound.getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # and never reads
        async with asyncio.timeout(10):
            await left.wait()
    server.should_exit = True
    await serving
    bound.close()
