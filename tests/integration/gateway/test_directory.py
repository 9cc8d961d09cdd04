"""Certificates and agencies over HTTP: every one that ever was, for whoever asks, and cheap to ask again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from broker.directory.changes import close, revoke_certificate
from broker.directory.live import today_in_vietnam
from schemas.certificates import new_private_key
from tests.kit.exchange import AUTHOR
from tests.kit.gateway import Running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_every_certificate_past_and_present_with_its_chain(gateway: Running, http: aiohttp.ClientSession) -> None:
    x = gateway.exchange
    end = await x.add("G01")
    old, enrolled = await x.enrol(end.code, new_private_key("P-256"), now=datetime.now(UTC) - timedelta(seconds=30))
    async with x.pool.acquire() as connection:
        await revoke_certificate(connection, enrolled.thumbprint, why="lost", author=AUTHOR)
    url = f"{gateway.url}/v1/certificates/"
    for certificate in (end.certificate, x509.load_pem_x509_certificate(old), x.identity.certificate):
        der = certificate.public_bytes(Encoding.DER)
        digest = hashlib.sha256(der).hexdigest()
        async with http.get(url + digest) as answer:
            assert answer.content_type == "application/pem-certificate-chain"
            chain = x509.load_pem_x509_certificates(await answer.read())
            assert chain[0] == certificate
        async with http.get(url + digest, headers={"Accept": "application/pkix-cert"}) as answer:
            assert await answer.read() == der
        async with http.get(url + digest, headers={"Accept": "application/pkcs7-mime"}) as answer:
            assert pkcs7.load_der_pkcs7_certificates(await answer.read()) == chain
            etag = answer.headers["ETag"]
        again = {"Accept": "application/pkcs7-mime", "If-None-Match": etag}
        async with http.get(url + digest, headers=again) as answer:
            assert answer.status == 304
    async with http.get(url + enrolled.thumbprint.hex(), headers={"Accept": "application/json"}) as answer:
        told = await answer.json()
        assert (told["agency"], told["revoked_why"], told["custody"]) == (end.code, "lost", "agency")
        assert told["revoked_at"] is not None
    for unknown in ("0" * 64, "nonsense"):
        async with http.get(url + unknown) as answer:
            assert (answer.status, (await answer.json())["error"]) == (404, "LT-NOT-FOUND")
    async with http.get(url + enrolled.thumbprint.hex(), headers={"Accept": "text/html"}) as answer:
        assert answer.status == 406


async def test_the_directory_in_pages_filtered_and_by_revision(gateway: Running, http: aiohttp.ClientSession) -> None:
    x = gateway.exchange
    hub = await x.add("H53", "province")
    communes = [await x.add(f"H53.{n}", "commune", has_mailbox=False, hub=hub, parent=hub) for n in range(4)]
    await gateway.refresh()
    url = f"{gateway.url}/v1/agencies"

    async def page(**params: str) -> dict[str, object]:
        async with http.get(url, params=params) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    found: list[dict[str, object]] = []
    after: object = ""
    while after is not None:
        answer = await page(parent=hub.code, limit="3", **({"after": str(after)} if after else {}))
        found += answer["agencies"]  # type: ignore[arg-type]
        after = answer["next"]
    assert [one["code"] for one in found] == [one.code for one in communes]
    assert {one["mailbox"] for one in found} == {hub.code} and {one["level"] for one in found} == {"commune"}
    assert len((await page(level="province"))["agencies"]) == 1  # type: ignore[arg-type]
    assert len((await page(text=communes[2].code.lower()))["agencies"]) == 1  # type: ignore[arg-type]
    assert len((await page(has_mailbox="true", parent=hub.code))["agencies"]) == 0  # type: ignore[arg-type]

    async with http.get(url) as first:
        etag = first.headers["ETag"]
    async with http.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    async with x.pool.acquire() as connection:
        await close(
            connection, communes[0].code, on=today_in_vietnam(), successors=[(communes[1].code, "whole")], author=AUTHOR
        )
    await gateway.refresh()
    async with http.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 200 and answer.headers["ETag"] != etag
    assert [one["code"] for one in (await page(state="closed"))["agencies"]] == [communes[0].code]  # type: ignore[attr-defined]
    async with http.get(f"{url}/{communes[0].code}") as answer:
        assert (await answer.json())["successors"] == [communes[1].code]
    async with http.get(f"{url}/{hub.code}X") as answer:
        assert answer.status == 404 and hub.code in (await answer.json())["candidates"]
    for wrong in ({"limit": "0"}, {"limit": "1001"}, {"level": "planet"}, {"after": "x"}, {"parent": "H99"}):
        async with http.get(url, params=wrong) as answer:
            assert answer.status == 422, wrong
            told = await answer.json()
        [(name, value)] = wrong.items()
        assert (told["field"], told["found"]) == (name, value) and told["vi"] and told["en"] and told["expected"], told
