"""A part of 1 GiB from agency to agency through the real gateway: seconds, and what each process's memory grew by.

`python -m tests.bench.content_gigabyte [--mebibytes 1024] [--content-url s3://bucket/prefix] [--json FILE]`. Gateway,
worker, sender and receiver are programs of their own, on a virtual host and a database of their own; all four have
carried one small part before memory is looked at. Growth is the peak of resident memory (VmHWM) during the transfer
over the resident memory before it. Ends with code 1 if one of them grew by 64 MiB or more, or if other bytes came out.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from cryptography.hazmat.primitives.serialization import Encoding

from broker.services import up
from broker.store.migrations import migrate
from schemas.certificates import private_key_pem
from tests.conftest import REPOSITORY, Vhost, fresh_database, fresh_vhost
from tests.kit.exchange import End, Exchange, running_exchange

MIB = 1 << 20
BOUND = 64 * MIB

OFFICE = """
import asyncio, json, sys
from adapters import Agency, Letter, Part

def say(**told):
    print(json.dumps(told), flush=True)

async def main(config, role, to):
    async with Agency.open(config) as me:
        await me.wait_connected()
        say(ready=True)
        loop = asyncio.get_running_loop()
        if role == "sender":
            while path := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
                letter = Letter(number=path[-9:], notation="BENCH", subject="1 GiB", to=[to], parts=[Part.file(path)])
                sent = await me.send(letter)
                await sent.accepted(timeout=600)
                say(accepted=True)
        else:
            async for delivery in me.receive():
                async with delivery as came:
                    say(came=str(me.part_file(came.parts[0].sha256)))

asyncio.run(main(*sys.argv[1:]))
"""


class Program:
    """A process, what it says, and its memory."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=log.parent
        )

    async def hears(self, wanted: str, seconds: float = 900) -> dict[str, Any]:
        """The next thing it says that has this member."""
        assert self.process.stdout is not None
        said = b""
        async with asyncio.timeout(seconds):
            while True:
                line = await asyncio.to_thread(self.process.stdout.readline)
                if not line:
                    raise SystemExit(f"{self.name} ended: see {self._log.name}")
                said += line
                try:
                    told = json.loads(said)
                except ValueError:
                    continue  # it goes on in the next line
                said = b""
                if wanted in told:
                    return dict(told)

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def memory(self, field: str) -> int:
        """VmRSS or VmHWM, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        for one in (self.process.stdin, self.process.stdout, self._log):
            if one is not None:
                one.close()


def agency_toml(x: Exchange, end: End, url: str, folder: Path) -> Path:
    """The files of an agency."""
    folder.mkdir()
    (folder / "key.pem").write_bytes(private_key_pem(end.key))
    (folder / "certificate.pem").write_bytes(end.certificate.public_bytes(Encoding.PEM))
    (folder / "password").write_text(end.password)
    parts = urlsplit(x.vhost.amqp_url)
    values = {
        "code": end.code,
        "amqp_url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        "amqp_password_file": "password",
        "key_file": "key.pem",
        "certificate_file": "certificate.pem",
        "roots_dir": str(x.settings.roots_dir),
        "broker_code": x.settings.broker_code,
        "broker_certificate_file": str(x.settings.certificate_file),
        "content_url": url,
        "data_dir": "data",
    }
    config = folder / "agency.toml"
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
    return config


def write_random(path: Path, size: int) -> str:
    """A file of bytes that nobody can compress; its digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size // MIB):
            piece = secrets.token_bytes(MIB)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def measure(
    vhost: Vhost, dsn: str, folder: Path, size: int, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One run; what was measured. `settings` are environment variables for gateway and worker."""
    programs: list[Program] = []
    async with running_exchange(vhost, dsn, folder, workers=0) as x:
        sender, receiver = await x.add("G22"), await x.add("H53", "province")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")},
            "LIENTHONG_AMQP_URL": vhost.amqp_url,
            "LIENTHONG_MANAGEMENT_URL": vhost.management_url,
            "LIENTHONG_DATABASE_URL": dsn,
            "LIENTHONG_HOME": str(x.settings.home),
            "LIENTHONG_GATEWAY_PORT": "0",
            "PYTHONPATH": str(REPOSITORY),
            **(settings or {}),
        }

        def start(name: str, *command: str) -> Program:
            programs.append(Program(name, [sys.executable, *command], environment, folder / f"{name}.log"))
            return programs[-1]

        try:
            gateway = start("gateway", "-m", "broker.cli", "gateway", "--json")
            url = f"http://127.0.0.1:{(await gateway.hears('ready'))['port']}"
            worker = start("worker", "-m", "broker.cli", "worker", "--json")
            await worker.hears("ready")
            office = folder / "office.py"
            office.write_text(OFFICE)
            up_side = start(
                "sender", str(office), str(agency_toml(x, sender, url, folder / "up")), "sender", receiver.code
            )
            down_side = start(
                "receiver", str(office), str(agency_toml(x, receiver, url, folder / "down")), "receiver", ""
            )
            for one in (up_side, down_side):
                await one.hears("ready")
            small, large = folder / "small.bin", folder / "large.bin"
            write_random(small, MIB)
            expected = write_random(large, size)
            up_side.tell(str(small))
            await up_side.hears("accepted")
            await down_side.hears("came")

            before = {one.name: one.memory("VmRSS") for one in programs}
            for one in programs:
                one.forget_peak()
            started = time.perf_counter()
            up_side.tell(str(large))
            await up_side.hears("accepted")
            accepted = time.perf_counter()
            came = Path((await down_side.hears("came"))["came"])
            ended = time.perf_counter()
            growth = {one.name: one.memory("VmHWM") - before[one.name] for one in programs}
            return {
                "bytes": size,
                "seconds_up": round(accepted - started, 2),
                "seconds_down": round(ended - accepted, 2),
                "before_mib": {name: round(value / MIB, 1) for name, value in before.items()},
                "growth_mib": {name: round(value / MIB, 1) for name, value in growth.items()},
                "same_bytes": digest_of(came) == expected,
                "load": os.getloadavg()[0],
            }
        finally:
            for one in reversed(programs):
                one.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--content-url", help="s3://bucket/prefix, with AWS_* in the environment; default: a folder")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    servers = up(REPOSITORY / ".local")
    with (
        fresh_vhost(servers) as vhost,
        fresh_database(servers) as dsn,
        tempfile.TemporaryDirectory(prefix="content-") as folder,
    ):
        asyncio.run(migrate(dsn))
        settings = {"LIENTHONG_CONTENT_URL": options.content_url} if options.content_url else None
        found = asyncio.run(measure(vhost, dsn, Path(folder), options.mebibytes * MIB, settings))
    print(
        f"{found['bytes'] // MIB} MiB: accepted after {found['seconds_up']} s, received {found['seconds_down']} s later"
    )
    for name, growth in found["growth_mib"].items():
        print(f"  {name:<9} {found['before_mib'][name]:>7.1f} MiB before, grew by {growth:.1f} MiB")
    print("  the same bytes" if found["same_bytes"] else "  OTHER BYTES CAME")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    good = found["same_bytes"] and all(growth * MIB < BOUND for growth in found["growth_mib"].values())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
