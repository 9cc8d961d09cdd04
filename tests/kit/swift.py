"""OpenStack Swift on this machine: proxy, account, container and object server with one disk, and S3 in front (s3api).

A real object store, as some Vietnamese and many other providers run it, in Python and therefore to be had with pip
alone; `deploy/prepare-swift` installs it. Nothing of it is configured for speed or for safety.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PROGRAMS = REPOSITORY / ".local" / "swift" / "bin"
PATIENCE = 60.0
"""Seconds that the servers get to answer."""
KEY, SECRET = "test:exchange", "exchange"
ROLES = ("account", "container", "object")

RINGS = """
import sys
from swift.common.ring import RingBuilder
for role, port in (("account", sys.argv[2]), ("container", sys.argv[3]), ("object", sys.argv[4])):
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{sys.argv[1]}/{role}.ring.gz")
"""

COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_address = /nonexistent
"""

STORAGE = """devices = {folder}/disks
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = {role}-server
[app:{role}-server]
use = egg:swift#{role}
"""

PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_exchange = exchange .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

CLUSTER = """[swift-hash]
swift_hash_path_prefix = lienthong
swift_hash_path_suffix = lienthong
[storage-policy:0]
name = one
default = yes
"""


@contextmanager
def running_swift() -> Iterator[tuple[str, str, str]]:
    """Swift, empty, until the end of the block: its S3 endpoint, key and secret."""
    if not PROGRAMS.is_dir():
        pytest.skip("Swift is not installed: run deploy/prepare-swift")
    # Not where temporary files are: that may be in memory, and Swift needs extended attributes.
    folder = Path(tempfile.mkdtemp(prefix="swift-", dir=REPOSITORY / ".local"))
    try:
        ports = dict(zip((*ROLES, "proxy"), _free_ports(4), strict=True))
        _configure(folder, ports)
        with ExitStack() as stack:
            for role in ports:
                stack.enter_context(_server(folder, role))
            endpoint = f"http://127.0.0.1:{ports['proxy']}"
            _wait(endpoint, list(ports.values()), folder)
            yield endpoint, KEY, SECRET
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, ports: dict[str, int]) -> None:
    (folder / "disks" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(CLUSTER)
    for role, port in ports.items():
        text = (COMMON + (PROXY if role == "proxy" else STORAGE)).format(
            folder=folder, role=role, port=port, user=getpass.getuser()
        )
        (folder / f"{role}-server.conf").write_text(text)
    numbers = [str(ports[role]) for role in ROLES]
    subprocess.run([PROGRAMS / "python", "-c", RINGS, folder, *numbers], check=True, capture_output=True, timeout=60)


@contextmanager
def _server(folder: Path, role: str) -> Iterator[None]:
    program = PROGRAMS / f"swift-{role}-server"
    with (folder / f"{role}.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / "python", program, folder / f"{role}-server.conf", "-v"], stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(endpoint: str, ports: list[int], folder: Path) -> None:
    """Until all servers listen, and the proxy answers."""
    ends = time.monotonic() + PATIENCE
    for port in ports:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > ends:
                    logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
                    raise SystemExit(f"Swift does not answer at {port}:\n{logs}") from None
                time.sleep(0.1)
    try:
        urllib.request.urlopen(endpoint, timeout=10).close()
    except urllib.error.HTTPError as answer:
        answer.close()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
