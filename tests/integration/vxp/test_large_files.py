"""What is large costs the gateway time and disk, not memory: files on their way in, and files on their way out."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from broker.gateway import streams
from broker.gateway.vxp import packets
from schemas.content_layout import stored_path
from schemas.edxml.limits import Limits
from schemas.edxml.reading import read
from schemas.edxml.records import Document
from tests.integration.vxp.conftest import Connected
from tests.kit.exchange import Letter, digest_of, part
from tests.kit.vxp import OfficialClient, edoc

MIB = 1024 * 1024
POSTED = 18
POSTED_BOUND = 120 * MIB
"""So many files of 12 MiB would take 216 MiB if they lay in memory."""
FETCHED = 12
FETCHED_BOUND = 240 * MIB
"""So many answers of 27 and 36 MiB would take 378 MiB. Two at a time are made, of 84 MiB each."""


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Memory:
    """The largest amount of this process's memory above what it had."""

    def __init__(self) -> None:
        self._before = self._now()
        self.growth = 0

    @staticmethod
    def _now() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            self.growth = max(self.growth, self._now() - self._before)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watched() -> AsyncIterator[Memory]:
    """This process's memory as long as the block lasts: the gateway is in this process."""
    memory = Memory()
    watching = asyncio.create_task(memory.watch())
    try:
        yield memory
    finally:
        watching.cancel()


def request(client: OfficialClient, path: str, length: int, kind: str, **parameters: str) -> bytes:
    """The head of a request with a body of this length."""
    given = client.headers(parameters, content_type=kind) | {
        "Host": urlsplit(client.url).netloc,
        "Content-Length": str(length),
    }
    return "\r\n".join((f"POST {path} HTTP/1.1", *(f"{k}: {v}" for k, v in given.items()), "", "")).encode()


@asynccontextmanager
async def asking(
    client: OfficialClient, head: bytes
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which this was asked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(client.url).port, limit=64 * 1024)
    try:
        writer.write(head)
        await writer.drain()
        yield reader, writer
    finally:
        writer.transport.abort()


async def answer_on(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_files_that_are_being_posted_do_not_lie_in_memory(office: Connected) -> None:
    file = edoc(office.commune, [office.other], attachment=secrets.token_bytes(9 * MIB))
    form = (
        b'--x\r\nContent-Disposition: form-data; name="edocFile"; filename="a.edxml"\r\n\r\n' + file + b"\r\n--x--\r\n"
    )
    signed = request(
        office.client,
        "/sendEdoc",
        len(file),
        "application/octet-stream",
        messagetype="edoc",
        **{"from": office.commune, "hash-file": hashlib.sha256(file).hexdigest()},
    )
    with_secret = (
        f"POST /v1/sendEdoc HTTP/1.1\r\nHost: x\r\nX-SystemId: {office.made.system}\r\n"
        f"X-SecretKey: {office.made.secret}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
    ).encode()
    async with AsyncExitStack() as stack:
        async with watched() as memory:
            posting = []
            for head, body in [(signed, file), (with_secret, form)] * (POSTED // 2):
                reader, writer = await stack.enter_async_context(asking(office.client, head))
                for start in range(0, len(body) - 1, MIB):
                    writer.write(body[start : min(start + MIB, len(body) - 1)])
                    await writer.drain()
                posting.append((reader, writer, body))
        assert memory.growth < POSTED_BOUND
        told = set()
        for reader, writer, body in posting:
            writer.write(body[-1:])
            status, answer = await answer_on(reader)
            assert status == 200 and json.loads(answer)["ErrorCode"] == "0", answer[:500]
            told.add(json.loads(answer)["DocId"])
    assert len(told) == 1, "one file, posted again and again in two ways"


async def test_files_that_are_being_fetched_do_not_lie_in_memory(
    office: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first answers are taken when the last has begun: on a busy machine nobody is waited for so long.
    monkeypatch.setattr(streams, "SILENCE", 600.0)
    x, ministry = office.exchange, office.ministry
    data = secrets.token_bytes(20 * MIB)
    path = stored_path(x.settings.content_dir, ministry.code, hashlib.sha256(data).hexdigest())
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    manifest = x.manifest(ministry, [office.commune]) | {"parts": [part("lớn.pdf", data)]}
    body = x.body(manifest, ministry)
    await x.send(Letter(manifest=manifest, body=body, digest=digest_of(body)), ministry)
    doc_id = (await office.listed())[0]["docId"]

    asked = request(office.client, "/getEdoc", 2, "application/json", docId=doc_id, filePath="./x") + b"{}"
    plain = request(office.client, "/downloadEdoc", 0, "application/json", docId=doc_id, filePath="./x")
    async with AsyncExitStack() as stack:
        async with watched() as memory:
            readers = []
            for head in (asked, plain) * (FETCHED // 2):
                reader, _ = await stack.enter_async_context(asking(office.client, head))
                await reader.readuntil(b"HTTP/1.1 200 OK\r\n")
                readers.append(reader)
        assert memory.growth < FETCHED_BOUND
        bodies = []
        for reader in readers[:2]:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            bodies.append(await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0])))
    answer, file = json.loads(bodies[0]), bodies[1]
    assert answer["ErrorCode"] == "0" and base64.b64decode(answer["data"]) == file
    reading = read(file)
    assert isinstance(reading.message, Document) and reading.message.attachments[0].content is not None
    assert b"".join(reading.message.attachments[0].content.pieces()) == data


async def test_what_no_edxml_file_can_carry_is_refused_with_its_size(
    office: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "LIMITS", Limits(unpacked_total=20))
    letter = office.exchange.letter(office.ministry, [office.commune])
    await office.exchange.send(letter, office.ministry)
    doc_id = (await office.listed())[0]["docId"]
    answer = await office.does(office.client.get, doc_id)
    size = letter.manifest["parts"][0]["size"]
    assert answer["ErrorCode"] == "10" and "LT-SIZE" in answer["ErrorDesc"] and f"{size} bytes" in answer["ErrorDesc"]
    heard = await office.does(office.client.call, "/downloadEdoc", {"docId": doc_id, "filePath": "./x"}, method="GET")
    assert (heard.status, heard.headers["xroadvnpt-errorcode"], heard.body) == (404, "10", b"")


async def test_what_was_sent_is_told_in_bounded_lists_and_one_document_with_all_its_recipients(
    office: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packets, "SENT_LIMIT", 1)
    file = edoc(office.commune, [office.other, office.ministry.code])
    doc_id = (await office.does(office.client.send, file, office.commune))["DocId"]
    asked = {"servicetype": "eDoc", "messagetype": "edoc"}
    some = await office.does(office.client.call, "/getSentEdocList", asked)
    assert len(some.json()["data"]) == 1
    whole = await office.does(office.client.call, "/getSentEdocList", asked | {"docId": doc_id})
    assert {row["toCode"] for row in whole.json()["data"]} == {office.other, office.ministry.code}
