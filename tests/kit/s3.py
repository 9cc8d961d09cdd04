"""The fixture `s3`: a bucket at a server that speaks S3. Import it into a room's conftest.py.

Which server says LIENTHONG_TEST_S3:

* not set: moto's, S3 over real HTTP with everything in memory. A stand-in for an S3 and not one.
* `swift`: OpenStack Swift on this machine, real servers on a real disk (`tests.kit.swift`); `make test-s3`.
* `http://…`: a server that runs already, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of somebody who may make
  buckets there.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from obstore.store import S3Store

from tests.kit.swift import running_swift

REAL = os.environ.get("LIENTHONG_TEST_S3", "")
"""The server that was asked for; nothing where the stand-in does."""

REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3:
    """A bucket, and who may do everything there."""

    endpoint: str
    key: str
    secret: str
    bucket: str

    def store(self, prefix: str) -> S3Store:
        """As the exchange opens it, for a part of the bucket; what fails is not tried again."""
        return S3Store(
            self.bucket,
            prefix=prefix,
            endpoint=self.endpoint,
            region=REGION,
            access_key_id=self.key,
            secret_access_key=self.secret,
            disable_bulk_delete=True,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def environment(self) -> dict[str, str]:
        """What lets the exchange's programs use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_ALLOW_HTTP": "true",
        }

    def client(self) -> Any:
        """Another maker's client, for what `obstore` does not do."""
        config = import_module("botocore.config").Config
        return import_module("boto3").client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A bucket of its own."""
    if find_spec("moto") is None:
        pytest.skip("moto is not installed")
    with _server() as (endpoint, key, secret):
        bucket = S3(endpoint=endpoint, key=key, secret=secret, bucket=f"lienthong-{secrets.token_hex(4)}")
        client = bucket.client()
        client.create_bucket(Bucket=bucket.bucket)
        try:
            yield bucket
        finally:
            if REAL.startswith("http"):
                _empty(client, bucket.bucket)
            client.close()


@contextmanager
def _server() -> Iterator[tuple[str, str, str]]:
    """Endpoint, key, secret."""
    if REAL.startswith("http"):
        yield REAL, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    elif REAL == "swift":
        with running_swift() as server:
            yield server
    elif REAL:
        raise pytest.UsageError(f"LIENTHONG_TEST_S3 is {REAL}; expected swift or http://…")
    else:
        with _moto() as endpoint:
            yield endpoint, "test", "test"


@contextmanager
def _moto() -> Iterator[str]:
    program = (
        "from moto.server import ThreadedMotoServer as S; import time\n"
        "s = S('127.0.0.1', 0, verbose=False); s.start(); print(s.get_host_and_port()[1], flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _empty(client: Any, bucket: str) -> None:
    """Leave nothing on somebody's server."""
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    while found := client.list_objects_v2(Bucket=bucket).get("Contents", []):
        for one in found:
            client.delete_object(Bucket=bucket, Key=one["Key"])
    client.delete_bucket(Bucket=bucket)
