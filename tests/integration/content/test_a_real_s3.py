"""What only a real object store can show; run by `make test-s3`, see `tests.kit.s3`."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.content.objects import PART, PARTS, ObjectContent
from broker.content.store import ContentMissing, ContentUnavailable
from tests.bench.content_gigabyte import BOUND, MIB, measure
from tests.conftest import REPOSITORY, Vhost
from tests.kit.s3 import REAL, S3

pytestmark = pytest.mark.skipif(not REAL, reason="needs a real object store: make test-s3")

UPLOADER = """
import asyncio, sys
from pathlib import Path
from obstore.store import S3Store
from broker.content.objects import ObjectContent, PART

async def chunks():
    for _ in range(4):
        yield bytes(PART)
        print("sent", flush=True)
    await asyncio.sleep(600)

bucket, prefix, sha256 = sys.argv[1:]
store = ObjectContent(S3Store(bucket, prefix=prefix), shared=Path("none"))
asyncio.run(store.put(sha256, chunks()))
"""


@pytest.fixture
def store(s3: S3, tmp_path: Path) -> ObjectContent:
    return ObjectContent(s3.store("real"), shared=tmp_path)


async def random_bytes(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // MIB):
        yield secrets.token_bytes(MIB)


def test_an_uploader_that_is_killed_leaves_nothing_visible(s3: S3, store: ObjectContent) -> None:
    sha256 = hashlib.sha256(bytes(4 * PART)).hexdigest()
    uploader = subprocess.Popen(
        [sys.executable, "-c", UPLOADER, s3.bucket, "real", sha256],
        env=s3.environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert uploader.stdout is not None
    try:
        for _ in range(4):
            assert uploader.stdout.readline() == "sent\n"
    finally:
        uploader.send_signal(signal.SIGKILL)
        uploader.wait()
        uploader.stdout.close()
    assert asyncio.run(store.size_of(sha256)) is None
    client = s3.client()
    listed = client.list_objects_v2(Bucket=s3.bucket, Prefix="real/").get("Contents", [])
    assert not [one for one in listed if sha256 in one["Key"]]
    # What stays is an upload that was begun, with the parts that had come: an operator's to abort.
    left = [one for one in client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"] if sha256 in one["Key"]]
    assert len(left) == 1
    client.abort_multipart_upload(Bucket=s3.bucket, Key=left[0]["Key"], UploadId=left[0]["UploadId"])


async def test_an_upload_that_is_refused_or_cancelled_is_aborted_at_the_server(s3: S3, store: ObjectContent) -> None:
    sha256 = secrets.token_hex(32)

    async def left() -> list[str]:
        listed = await asyncio.to_thread(s3.client().list_multipart_uploads, Bucket=s3.bucket)
        return [one["Key"] for one in listed.get("Uploads", []) if sha256 in one["Key"]]

    with pytest.raises(ConnectionResetError):
        await store.put(sha256, broken(2 * PART))
    assert await left() == []
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in random_bytes(3 * PART):
            yield piece
        begun.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put(sha256, endless()))
    await begun.wait()
    assert len(await left()) == 1
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert await left() == []


async def broken(size: int) -> AsyncIterator[bytes]:
    async for piece in random_bytes(size):
        yield piece
    raise ConnectionResetError("gone")


async def test_one_content_that_comes_ten_times_at_once_is_kept_once(s3: S3, store: ObjectContent) -> None:
    data = secrets.token_bytes(PART + 1)
    sha256 = hashlib.sha256(data).hexdigest()

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    await asyncio.gather(*(store.put(sha256, chunks()) for _ in range(10)))
    listed = await asyncio.to_thread(s3.client().list_objects_v2, Bucket=s3.bucket, Prefix="real/")
    assert [one["Size"] for one in listed["Contents"] if sha256 in one["Key"]] == [len(data)]
    assert b"".join([piece async for piece in store.read(sha256, 0, len(data))]) == data


async def test_the_largest_content_that_is_allowed_is_no_more_than_a_thousand_parts(s3: S3, tmp_path: Path) -> None:
    """With the bounds made smaller: a part of 5 MiB is the smallest that an S3 takes."""
    data = bytes(7 * MIB) * 3
    sha256 = hashlib.sha256(data).hexdigest()
    largest = PARTS * 7 * MIB
    store = ObjectContent(s3.store("real"), shared=tmp_path, largest=largest, part=5 * MIB)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), MIB):
            yield data[start : start + MIB]

    await store.put(sha256, chunks())  # of unknown size, so that it may become the largest
    head = await asyncio.to_thread(
        s3.client().head_object, Bucket=s3.bucket, Key=f"real/accepted/{sha256[:2]}/{sha256}"
    )
    assert head["ETag"].strip('"').endswith("-3")


async def test_wrong_credentials_and_a_wrong_bucket_are_failures_of_the_store(s3: S3, tmp_path: Path) -> None:
    stranger = S3(endpoint=s3.endpoint, key=s3.key, secret="wrong", bucket=s3.bucket)
    nowhere = S3(endpoint=s3.endpoint, key=s3.key, secret=s3.secret, bucket="no-such-bucket-here")
    for wrong in (stranger, nowhere):
        store = ObjectContent(wrong.store("real"), shared=tmp_path)
        with pytest.raises(ContentUnavailable):
            await store.put(secrets.token_hex(32), broken(MIB))
        with pytest.raises((ContentUnavailable, ContentMissing)):
            _ = [piece async for piece in store.read(secrets.token_hex(32), 0, 1)]


@pytest.mark.timeout(900)
async def test_a_gibibyte_goes_up_and_down_without_memory_that_follows_its_size(
    s3: S3, vhost: Vhost, migrated_database: str, tmp_path: Path
) -> None:
    environment = s3.environment() | {"LIENTHONG_CONTENT_URL": f"s3://{s3.bucket}/gibibyte"}
    found = await measure(vhost, migrated_database, tmp_path, 1024 * MIB, environment)
    print(found)
    assert found["same_bytes"]
    assert all(growth * MIB < BOUND for growth in found["growth_mib"].values()), found
