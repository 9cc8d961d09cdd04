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
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from broker.services.record import free_ports
from tests.conftest import REPOSITORY
from tests.kit.installation import wait_until

PROGRAMS = REPOSITORY / ".local" / "swift" / "bin"
PATIENCE = 60.0
"""Seconds that the servers get to answer."""
KEY, SECRET = "test:exchange", "exchange"
STORAGE = ("account", "container", "object")
PROXY = {
    "catch_errors": "",
    "gatekeeper": "",
    "cache": "memcache_servers = 127.0.0.1:1",
    "listing_formats": "",
    "s3api": "",
    "tempauth": "user_test_exchange = exchange .admin",
    "copy": "",
    "slo": "",
    "dlo": "",
}
"""What a request goes through at the proxy, with what has to be said to it."""

RINGS = """
import sys
from swift.common.ring import RingBuilder
for role, port in zip(("account", "container", "object"), sys.argv[2:]):
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{sys.argv[1]}/{role}.ring.gz")
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
        ports = free_ports((*STORAGE, "proxy"))
        _configure(folder, ports)
        with ExitStack() as stack:
            for role in ports:
                stack.enter_context(_server(folder, role))
            endpoint = f"http://127.0.0.1:{ports['proxy']}"
            try:
                wait_until(lambda: all(map(_listens, ports.values())), what="Swift", seconds=PATIENCE)
            except AssertionError as error:
                logs = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
                raise AssertionError(f"{error}\n{logs}") from None
            with suppress(urllib.error.HTTPError):
                urllib.request.urlopen(endpoint, timeout=10).close()
            yield endpoint, KEY, SECRET
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, ports: Mapping[str, int]) -> None:
    (folder / "disks" / "disk").mkdir(parents=True)
    (folder / "swift.conf").write_text(CLUSTER)
    for role, port in ports.items():
        (folder / f"{role}-server.conf").write_text("\n".join(_settings(folder, role, port)) + "\n")
    numbers = [str(ports[role]) for role in STORAGE]
    subprocess.run([PROGRAMS / "python", "-c", RINGS, folder, *numbers], check=True, capture_output=True, timeout=60)


def _settings(folder: Path, role: str, port: int) -> Iterator[str]:
    yield f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\nuser = {getpass.getuser()}"
    yield f"swift_dir = {folder}\nlog_address = /nonexistent"
    if role in STORAGE:
        yield f"devices = {folder}/disks\nmount_check = false\nfallocate_reserve = 0"
        yield f"[pipeline:main]\npipeline = {role}-server\n[app:{role}-server]\nuse = egg:swift#{role}"
        return
    yield f"[pipeline:main]\npipeline = {' '.join(PROXY)} proxy-server"
    yield "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true"
    for name, said in PROXY.items():
        yield f"[filter:{name}]\nuse = egg:swift#{'memcache' if name == 'cache' else name}\n{said}"


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


def _listens(port: int) -> bool:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
