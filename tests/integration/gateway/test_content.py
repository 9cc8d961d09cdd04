"""The content store over HTTP: what it keeps, for whom, and what nobody gets out of it (contract §6)."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broker.content.folder import ContentFolder
from broker.content.store import whole
from broker.content.uploads import Uploads
from schemas.content_layout import accepted_path, stored_path
from schemas.errors import Refusal
from tests.integration.gateway.client import Client, naming, refused, sent, sha
from tests.kit.exchange import End
from tests.kit.gateway import Running, running_gateway
from tests.kit.s3 import S3
from tests.kit.tokens import bearer, token


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as http:
        yield Client(gateway, http)


async def agencies(gateway: Running, *names: str) -> list[End]:
    ends = [await gateway.exchange.add(name) for name in names]
    await gateway.refresh()
    return ends


def folder(gateway: Running) -> Path:
    return gateway.parts.settings.content_dir


def files(gateway: Running) -> list[str]:
    return sorted(path.name for path in folder(gateway).rglob("*") if path.is_file())


async def test_who_may_read_and_name_content_and_nobody_else(client: Client, gateway: Running) -> None:
    x = gateway.exchange
    sender, recipient, stranger = await agencies(gateway, "G01", "G02", "G09")
    hub = await x.add("H53", "province")
    commune = await x.add("H53.1", "commune", has_mailbox=False, hub=hub)
    await gateway.refresh()
    data = secrets.token_bytes(300_000)
    by_hub = {"key": hub.key, "thumbprint": hub.thumbprint}

    async def statuses() -> dict[str, tuple[int, int]]:
        found = {}
        for name, end in {"sender": sender, "recipient": recipient, "hub": hub, "stranger": stranger}.items():
            answers = [await client.ask(method, end, sha(data)) for method in ("HEAD", "GET")]
            found[name] = answers[0].status, answers[1].status
        answers = [
            await client.ask(
                method,
                None,
                sha(data),
                authorization=bearer(token(commune, method, client.url(sha(data)), audience=gateway.url, **by_hub)),
            )
            for method in ("HEAD", "GET")
        ]
        return found | {"commune by its hub": (answers[0].status, answers[1].status)}

    nobody = dict.fromkeys(("sender", "recipient", "hub", "stranger", "commune by its hub"), (404, 404))
    assert await statuses() == nobody
    assert (await client.put(sender, data)).status == 201
    assert await statuses() == nobody | {"sender": (200, 200)}, "only who has stored it"

    # Knowing the digest, without the bytes, gains nothing: not by PUT, not by naming it.
    wrong = await client.ask("PUT", stranger, sha(data), data=data[:-1] + b"?")
    assert (wrong.status, wrong.json["error"]) == (422, "LT-PART-DIGEST")
    assert (await refused(x, stranger, [recipient], data)).error == "LT-PART-MISSING"
    assert (await refused(x, stranger, [recipient], secrets.token_bytes(9))).error == "LT-PART-MISSING"
    assert await statuses() == nobody | {"sender": (200, 200)}

    letter = await sent(x, sender, [recipient, commune], data)
    readers = dict.fromkeys(("sender", "recipient", "hub", "commune by its hub"), (200, 200))
    assert await statuses() == nobody | readers
    assert (await client.get(recipient, data)).body == data
    forbidden, missing = await client.get(stranger, data), await client.ask("GET", stranger, sha(b"never stored"))
    assert forbidden.status == missing.status == 404 and forbidden.body == missing.body, "no word about existence"
    assert set(forbidden.headers) == set(missing.headers)

    # A delivery that never went out was not received.
    await x.all_published()
    await gateway.parts.pool.execute(
        "UPDATE delivery SET processing = 'cancelled', dispatched_at = NULL WHERE recipient_id = $1", recipient.id
    )
    assert (await statuses())["recipient"] == (404, 404)
    assert (await refused(x, recipient, [stranger], data)).error == "LT-PART-MISSING"

    # Who has the bytes may store them, and then name and read them: one copy on the disk.
    assert (await client.put(stranger, data)).status == 201
    assert (await statuses())["stranger"] == (200, 200)
    await sent(x, stranger, [sender], data)
    assert files(gateway).count(sha(data)) == 1
    assert letter.id is not None

    # A hub stores for those it signs for, and for nobody else.
    other = secrets.token_bytes(200_000)
    assert (await client.put(hub, other)).status == 201
    assert (await refused(x, sender, [recipient], other)).error == "LT-PART-MISSING"
    await sent(x, commune, [sender], other, by=hub)
    assert (await client.get(sender, other)).body == other


async def test_only_whole_and_true_uploads_leave_anything(client: Client, gateway: Running) -> None:
    (sender,) = await agencies(gateway, "G01")
    data = secrets.token_bytes(2_500_000)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 70_000):
            yield data[start : start + 70_000]

    async def breaking_off() -> AsyncIterator[bytes]:
        yield data[:1_000_000]
        raise ConnectionResetError("pulled the plug")

    url = client.url(sha(data))
    with pytest.raises((ConnectionResetError, aiohttp.ClientError)):
        await client.ask("PUT", sender, sha(data), data=breaking_off())
    for body, headers, status in (
        (data[:-1], {}, 422),
        (data + b"!", {}, 422),
        (b"", {}, 422),
        (data, {"Content-Encoding": "gzip"}, 400),
        (data, {"Content-Range": "bytes 0-9/10"}, 400),
    ):
        given = bearer(token(sender, "PUT", url, audience=gateway.url)) | headers
        answer = await client.ask("PUT", sender, sha(data), data=body, authorization=given)
        assert answer.status == status, answer.body
    assert (await client.ask("PUT", sender, "A" * 64, data=b"x")).status == 400
    async with asyncio.timeout(10):
        while files(gateway):
            await asyncio.sleep(0.02)
    assert (await client.get(sender, data)).status == 404

    stored = await client.ask("PUT", sender, sha(data), data=in_pieces())
    again = await client.put(sender, data)
    assert (stored.status, again.status) == (201, 200)
    assert stored.json == {"sha256": sha(data), "size": len(data)}
    assert files(gateway) == [sha(data)]
    assert (await client.ask("PUT", sender, sha(b""), data=b"")).status == 201
    assert (await client.get(sender, b"")).body == b""


async def test_the_same_content_at_the_same_time_is_stored_once(client: Client, gateway: Running) -> None:
    first, second = await agencies(gateway, "G01", "G02")
    data = secrets.token_bytes(1_500_000)
    answers = await asyncio.gather(*(client.put(end, data) for end in (first, second) * 3))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201, 201]
    assert files(gateway) == [sha(data)]
    assert await gateway.exchange.value("SELECT count(*) FROM content") == 1


async def test_ranges_conditions_and_caching(client: Client, gateway: Running) -> None:
    (sender,) = await agencies(gateway, "G01")
    data = secrets.token_bytes(3_000_000)
    await client.put(sender, data)
    etag = f'"{sha(data)}"'
    whole = await client.get(sender, data)
    assert (whole.status, whole.body, whole.headers["ETag"]) == (200, data, etag)
    assert whole.headers["Cache-Control"].startswith("private,") and whole.headers["Vary"] == "Authorization"
    head = await client.ask("HEAD", sender, sha(data))
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(data)))
    for asked, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-", 1_000_000, len(data)),
        ("bytes=-7", len(data) - 7, len(data)),
        ("bytes=5-99999999", 5, len(data)),
    ):
        answer = await client.get(sender, data, Range=asked)
        assert (answer.status, answer.body) == (206, data[start:stop]), asked
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"
    outside = await client.get(sender, data, Range=f"bytes={len(data)}-")
    assert (outside.status, outside.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    for headers, status in (
        ({"Range": "bytes=0-1", "If-Range": etag}, 206),
        ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-1,5-6"}, 200),
        ({"If-None-Match": etag}, 304),
    ):
        given = bearer(token(sender, "GET", client.url(sha(data)), audience=gateway.url)) | headers
        assert (await client.ask("GET", sender, sha(data), authorization=given)).status == status, headers


async def test_a_token_for_put_works_once_at_all_gateways_together(client: Client, gateway: Running) -> None:
    (sender,) = await agencies(gateway, "G01")
    data = secrets.token_bytes(1000)
    async with running_gateway(gateway.exchange, gateway_url=gateway.url) as other:
        one = bearer(token(sender, "PUT", client.url(sha(data)), audience=gateway.url))
        answers = await asyncio.gather(
            *(client.put(sender, data, authorization=one, at=at) for at in (gateway, other, gateway, other))
        )
        assert sorted(answer.status for answer in answers) == [201, 401, 401, 401]
        # A token for GET may be shown again, for the same address and method only.
        reading = bearer(token(sender, "GET", client.url(sha(data)), audience=gateway.url))
        assert [(await client.get(sender, data, authorization=reading)).status for _ in range(2)] == [200, 200]
        assert (await client.ask("HEAD", sender, sha(data), authorization=reading)).status == 401
        assert (await client.ask("GET", sender, sha(b"other"), authorization=reading)).status == 401
        assert (await client.put(sender, data, authorization=reading)).status == 401


async def test_quota_and_room_are_kept_and_what_is_sent_counts_no_more(gateway: Running) -> None:
    x = gateway.exchange
    sender, recipient = await agencies(gateway, "G01", "G02")
    first, second = secrets.token_bytes(600_000), secrets.token_bytes(600_000)
    async with (
        running_gateway(x, content_quota_bytes=1_000_000, content_largest_bytes=900_000) as small,
        aiohttp.ClientSession() as http,
    ):
        client = Client(small, http)
        assert (await client.put(sender, first)).status == 201
        full = await client.put(sender, second)
        assert (full.status, full.json["error"]) == (507, "LT-QUOTA") and "hạn mức" in full.json["vi"]

        async def unannounced() -> AsyncIterator[bytes]:
            yield second

        assert (await client.ask("PUT", sender, sha(second), data=unannounced())).status == 507
        assert (await client.put(sender, first)).status == 200, "the same content does not count twice"
        assert (await client.put(recipient, second)).status == 201, "one agency's quota is not another's"
        large = await client.put(recipient, bytes(900_001))
        assert (large.status, large.json["error"]) == (413, "LT-SIZE")
        await sent(x, sender, [recipient], first)
        assert (await client.put(sender, second)).status == 201
        # At the same time, not one byte more than alone.
        more = [secrets.token_bytes(390_000) for _ in range(3)]
        answers = await asyncio.gather(*(client.put(sender, one) for one in more))
        assert sorted(answer.status for answer in answers) == [201, 507, 507]


async def test_uploads_on_their_way_count_together_against_the_quota(gateway: Running, tmp_path: Path) -> None:
    sender = await gateway.exchange.add("G22")
    uploads = Uploads(gateway.parts.pool, ContentFolder(tmp_path), quota=1000, largest=1000)
    came, go_on = asyncio.Event(), asyncio.Event()

    async def slow(data: bytes) -> AsyncIterator[bytes]:
        yield data
        came.set()
        await go_on.wait()

    first, second = secrets.token_bytes(600), secrets.token_bytes(600)
    taking = asyncio.create_task(uploads.take(sender.id, sha(first), slow(first), size=None))
    await came.wait()
    for data, allowed in ((second, False), (second[:400], True), (second, False)):
        if allowed:
            await uploads.take(sender.id, sha(data), whole(data), size=None)
        else:
            with pytest.raises(Refusal, match="LT-QUOTA"):
                await uploads.take(sender.id, sha(data), whole(data), size=None)
    go_on.set()
    assert (await taking).is_new
    with pytest.raises(Refusal, match="LT-QUOTA"):
        await uploads.take(sender.id, sha(b"!"), whole(b"!"), size=None)


async def test_there_is_room_for_so_many_uploads_and_no_more(gateway: Running) -> None:
    sender, other = await agencies(gateway, "G01", "G02")
    started, going_on = asyncio.Event(), asyncio.Event()
    data = secrets.token_bytes(100_000)

    async def slowly() -> AsyncIterator[bytes]:
        yield data[:50_000]
        started.set()
        await going_on.wait()
        yield data[50_000:]

    async with running_gateway(gateway.exchange, content_uploads_each=1) as small, aiohttp.ClientSession() as http:
        client = Client(small, http)
        upload = asyncio.create_task(client.ask("PUT", sender, sha(data), data=slowly()))
        await started.wait()
        async with asyncio.timeout(10):
            while small.parts.settings.content_dir.joinpath("incoming").exists() is False:
                await asyncio.sleep(0.01)
        turned_away = await client.put(sender, b"another")
        assert (turned_away.status, turned_away.json["error"]) == (503, "LT-BUSY")
        assert "Retry-After" in turned_away.headers
        assert (await client.put(other, b"another")).status == 201, "others are not kept waiting"
        going_on.set()
        assert (await upload).status == 201
        assert (await client.put(sender, b"another")).status == 201


async def test_recorded_content_that_is_gone_is_an_error_and_never_an_empty_answer(
    client: Client, gateway: Running
) -> None:
    (sender,) = await agencies(gateway, "G01")
    data = secrets.token_bytes(5000)
    await client.put(sender, data)
    accepted_path(folder(gateway), sha(data)).unlink()
    answer = await client.get(sender, data)
    assert (answer.status, answer.json["error"]) == (503, "LT-BROKER")


async def test_a_document_names_content_only_when_it_is_whole(client: Client, gateway: Running) -> None:
    x = gateway.exchange
    sender, recipient = await agencies(gateway, "G01", "G02")
    data = secrets.token_bytes(250_000)
    letter = naming(x, sender, [recipient], data)
    await x.send(letter, sender)
    assert (await x.notice_at(sender, letter, "rejected")).error == "LT-PART-MISSING"
    await client.put(sender, data)
    await x.send(letter, sender)
    await x.notice_at(sender, letter, "accepted")
    assert (await client.get(recipient, data)).body == data


async def test_a_gateway_that_is_asked_to_stop_lets_an_upload_end(gateway: Running) -> None:
    (sender,) = await agencies(gateway, "G01")
    data = secrets.token_bytes(100_000)
    started, going_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield data[:50_000]
        started.set()
        await going_on.wait()
        yield data[50_000:]

    async with aiohttp.ClientSession() as http:
        async with running_gateway(gateway.exchange) as other:
            upload = asyncio.create_task(Client(other, http).ask("PUT", sender, sha(data), data=slowly()))
            await started.wait()
            async with asyncio.timeout(10):
                while not list(folder(gateway).joinpath("incoming").glob("*")):
                    await asyncio.sleep(0.01)
            asyncio.get_running_loop().call_later(0.3, going_on.set)
        assert (await upload).status == 201
        assert (await Client(gateway, http).get(sender, data)).body == data


async def test_the_store_may_be_an_s3(gateway: Running, s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker and gateway both, on one bucket."""
    x = gateway.exchange
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    await x.stop_workers()
    x.settings = x.settings.model_copy(update={"content_url": f"s3://{s3.bucket}/exchange"})
    await x.start_worker()
    sender, recipient = await agencies(gateway, "G01", "G02")
    data = secrets.token_bytes(12_000_000)
    async with running_gateway(x) as other, aiohttp.ClientSession() as http:
        client = Client(other, http)
        assert (await client.ask("PUT", sender, sha(data), data=data[:-1])).status == 422
        assert (await client.get(sender, data)).status == 404
        assert [(await client.put(sender, data)).status for _ in range(2)] == [201, 200]
        await sent(x, sender, [recipient], data)
        assert (await client.get(recipient, data)).body == data
        part = await client.get(recipient, data, Range="bytes=8000000-8000009")
        assert (part.status, part.body) == (206, data[8_000_000:8_000_010])
        shared = stored_path(folder(gateway), recipient.code, sha(data[1:]))
        shared.parent.mkdir(parents=True)
        shared.write_bytes(data[1:])
        await sent(x, recipient, [sender], data[1:])
        assert (await client.get(sender, data[1:])).body == data[1:]
    assert files(gateway) == [sha(data[1:])], "only what was shared is in the folder"
