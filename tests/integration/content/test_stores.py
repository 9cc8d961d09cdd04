"""Every kind of content store keeps the same promises: whole or not at all, true bytes, once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from obstore.store import MemoryStore, S3Store

from broker.content.folder import ContentFolder
from broker.content.objects import PART, ObjectContent
from broker.content.opening import open_content
from broker.content.record import bucket_of
from broker.content.store import ContentMissing, ContentStore, ContentUnavailable, whole
from broker.settings import Settings
from schemas.content_layout import stored_path
from schemas.errors import Refusal
from schemas.problem import Problem
from tests.kit.s3 import S3


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ContentStore:
    match request.param:
        case "folder":
            return ContentFolder(tmp_path)
        case "memory":
            return ObjectContent(MemoryStore(), shared=tmp_path)
        case _:
            s3: S3 = request.getfixturevalue("s3")
            return ObjectContent(s3.store(secrets.token_hex(8)), shared=tmp_path)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def chunks(data: bytes, *, then: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 700_000):
        yield data[start : start + 700_000]
    if then is not None:
        raise then


async def read(store: ContentStore, data: bytes, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.read(sha(data), start, len(data) if stop is None else stop)])


async def test_what_was_put_is_there_whole_and_in_ranges(store: ContentStore) -> None:
    data = secrets.token_bytes(2 * PART + 12_345)
    await store.put(sha(data), chunks(data), size=len(data))
    assert await store.size_of(sha(data)) == len(data)
    assert await read(store, data) == data
    assert await read(store, data, 5, PART + 5) == data[5 : PART + 5]
    assert await read(store, data, len(data) - 1) == data[-1:]
    await store.put(sha(b""), whole(b""))
    assert await store.size_of(sha(b"")) == 0


async def test_what_is_broken_or_false_leaves_nothing(store: ContentStore) -> None:
    data = secrets.token_bytes(PART + 99)
    with pytest.raises(ConnectionResetError):
        await store.put(sha(data), chunks(data, then=ConnectionResetError("gone")))
    for wrong in (data[:-1], data + b"!", b""):
        with pytest.raises(Refusal) as caught:
            await store.put(sha(data), chunks(wrong))
        assert caught.value.code == "LT-PART-DIGEST"
    with pytest.raises(Refusal):
        await store.put(sha(data), chunks(data), size=len(data) + 1)
    assert await store.size_of(sha(data)) is None
    with pytest.raises(ContentMissing):
        await read(store, data)


async def test_nothing_is_visible_before_it_is_wanted_or_if_it_is_not(store: ContentStore) -> None:
    data = secrets.token_bytes(PART + 99)
    seen: list[int | None] = []

    async def wanted() -> bool:
        seen.append(await store.size_of(sha(data)))
        return len(seen) > 1

    await store.put(sha(data), chunks(data), wanted=wanted)
    assert await store.size_of(sha(data)) is None
    await store.put(sha(data), chunks(data), wanted=wanted)
    assert seen == [None, None] and await read(store, data) == data

    async def fails() -> bool:
        raise LookupError("the record cannot be asked")

    other = secrets.token_bytes(1000)
    with pytest.raises(LookupError):
        await store.put(sha(other), chunks(other), wanted=fails)
    assert await store.size_of(sha(other)) is None


async def test_an_upload_that_is_cancelled_is_over_when_that_is_heard(store: ContentStore, tmp_path: Path) -> None:
    data = secrets.token_bytes(PART + 99)
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield data
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    upload = asyncio.create_task(store.put(sha(data), endless()))
    await waiting.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert closed.is_set() and asyncio.all_tasks() == {asyncio.current_task()}
    assert await store.size_of(sha(data)) is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_the_shared_folder_is_taken_over_only_if_it_holds_the_right_bytes(
    store: ContentStore, tmp_path: Path
) -> None:
    data = secrets.token_bytes(1_500_000)
    assert await store.adopt(["G01", "H53"], sha(data), len(data)) is None
    shared = stored_path(tmp_path, "H53", sha(data))
    shared.parent.mkdir(parents=True)
    shared.write_bytes(data[::-1])
    with pytest.raises(Refusal):
        await store.adopt(["G01", "H53"], sha(data), len(data))
    shared.write_bytes(data)
    assert await store.adopt(["G01", "H53"], sha(data), len(data)) is not None
    shared.write_bytes(b"changed")
    assert await read(store, data) == data


@pytest.mark.parametrize("linked", ["file", "folder", "agency"])
async def test_a_link_in_the_shared_folder_leads_nowhere(store: ContentStore, tmp_path: Path, linked: str) -> None:
    data = b"what only the exchange may read"
    there = stored_path(tmp_path / "elsewhere", "G01", sha(data))
    there.parent.mkdir(parents=True)
    there.write_bytes(data)
    shared = stored_path(tmp_path, "H53", sha(data))
    link, target = {
        "file": (shared, there),
        "folder": (shared.parent, there.parent),
        "agency": (shared.parent.parent, there.parent.parent),
    }[linked]
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert shared.read_bytes() == data
    assert await store.adopt(["H53"], sha(data), len(data)) is None
    assert await store.size_of(sha(data)) is None


async def test_what_is_no_file_in_the_shared_folder_is_passed_over(store: ContentStore, tmp_path: Path) -> None:
    shared = stored_path(tmp_path, "H53", sha(b""))
    shared.parent.mkdir(parents=True)
    os.mkfifo(shared)
    assert await store.adopt(["H53"], sha(b""), 0) is None
    assert await ContentFolder(tmp_path / "none").adopt(["H53"], sha(b""), 0) is None


async def test_a_file_of_another_size_is_refused_before_it_is_copied(store: ContentStore, tmp_path: Path) -> None:
    shared = stored_path(tmp_path, "H53", sha(b"x"))
    shared.parent.mkdir(parents=True)
    with shared.open("wb") as file:
        file.truncate(1 << 40)  # costs its owner nothing
    with pytest.raises(Refusal, match="LT-PART-DIGEST"):
        async with asyncio.timeout(60):
            await store.adopt(["H53"], sha(b"x"), 1)
    with pytest.raises(Refusal, match="LT-SIZE"):
        async with asyncio.timeout(60):
            await store.adopt(["H53"], sha(b"x"), 1 << 40)


async def test_what_is_old_is_found_and_removed(store: ContentStore) -> None:
    data = secrets.token_bytes(1000)
    await store.put(sha(data), chunks(data))
    now = datetime.now(UTC)

    async def older(moment: datetime) -> list[str]:
        return [one async for one in store.older_than(moment, bucket_of(sha(data)))]

    assert await older(now - timedelta(minutes=1)) == []
    assert await older(now + timedelta(minutes=1)) == [sha(data)]

    async def needed() -> bool:
        return True

    async def unneeded() -> bool:
        return False

    async def unknown() -> bool:
        raise LookupError("the record cannot be asked")

    await store.remove(sha(data), unless=needed)
    with pytest.raises(LookupError):
        await store.remove(sha(data), unless=unknown)
    assert await read(store, data) == data
    await store.remove(sha(data), unless=unneeded)
    await store.remove(sha(data), unless=unneeded)
    assert await older(now + timedelta(minutes=1)) == [] and await store.size_of(sha(data)) is None


async def test_a_hundred_uploads_of_one_content_at_a_time_leave_it_once(tmp_path: Path) -> None:
    store, data = ContentFolder(tmp_path), secrets.token_bytes(50_000)
    await asyncio.gather(*(store.put(sha(data), chunks(data)) for _ in range(100)))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [sha(data)]


async def test_an_object_store_that_cannot_be_reached_is_unavailable_and_nothing_else(tmp_path: Path) -> None:
    gone = S3Store(
        "content",
        endpoint="http://127.0.0.1:9",
        region="us-east-1",
        access_key_id="test",
        secret_access_key="test",
        client_options={"allow_http": True, "connect_timeout": "1s"},
        retry_config={"max_retries": 0},
    )
    store = ObjectContent(gone, shared=tmp_path)
    for attempt in (store.put(sha(b"x"), whole(b"x")), store.size_of(sha(b"x"))):
        with pytest.raises(ContentUnavailable):
            await attempt
    with pytest.raises(ContentUnavailable):
        await read(store, b"x")


def test_the_settings_choose_the_store_and_no_credentials_are_needed_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)

    def chosen(url: str) -> ContentStore:
        settings = Settings(amqp_url="amqp://h/v", database_url="postgresql://h/d", home=tmp_path, content_url=url)
        return open_content(settings)

    assert isinstance(chosen(""), ContentFolder)
    assert isinstance(chosen(f"file://{tmp_path}"), ContentFolder)
    assert isinstance(chosen("s3://bucket/prefix"), ObjectContent)
    for wrong in ("/srv/content", "ftp://host/content"):
        with pytest.raises(Problem, match="content_url"):
            chosen(wrong)
