"""200 offices poll the REST façade side by side while documents keep coming: `python -m tests.bench.vxp_polling`.

A gateway and a worker as programs of their own, on a virtual host and database of their own. Every system is polled by
two programs at a time. Each poller lists once in `--every` seconds and fetches and finishes what it is handed. At the
end every document that was accepted must have been handed out to exactly one poller, once, and have exactly one 01.
Prints latencies of the list call as the pollers see them, doubles and losses; exit code 1 if there was one of those.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from broker.amqp.management import Management
from broker.directory.changes import Author, NewAgency, add_agency
from broker.directory.exchange import ensure_exchange
from broker.gateway.vxp.systems import MadeSystem, NewSystem, add
from broker.pki.authority import Home, init
from broker.services import Endpoints, up
from broker.settings import Settings
from broker.store.migrations import migrate
from broker.store.pool import connect
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import definitions, desired
from tests.bench.processors import processor_times
from tests.conftest import Vhost, fresh_database, fresh_vhost
from tests.kit.installation import Installation, wait_until
from tests.kit.vxp import OfficialClient, edoc

AUTHOR = Author(actor="bench", reason="made to measure")
PORT = re.compile(r'"port": ?(\d+)')
ROOT = Path(__file__).parents[2]


@dataclass
class Seen:
    """What all pollers saw."""

    empty: list[float] = field(default_factory=list)
    full: list[float] = field(default_factory=list)
    handed: Counter[str] = field(default_factory=Counter)
    finished: set[str] = field(default_factory=set)
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)


async def prepare(installation: Installation, systems: int, level: str) -> list[MadeSystem]:
    """Keys, directory, systems and mailboxes."""
    settings = settings_of(installation)
    await migrate(settings.database_url)
    home = Home.below(settings.home)
    init(home, broker_code=settings.broker_code, now=datetime.now(UTC) - timedelta(minutes=1))
    made = []
    async with connect(settings.database_url) as connection:
        await ensure_exchange(connection, settings, author=AUTHOR)
        for number in range(systems):
            code = f"B{number:03d}"
            new = NewAgency(code=code, name=f"Cơ quan {code}", level=level, has_mailbox=True)  # type: ignore[arg-type]
            await add_agency(connection, new, author=AUTHOR)
            made.append(await add(connection, NewSystem(name=f"00.{code}", hub=code), settings=settings, author=AUTHOR))
        owners = await load_mailbox_owners(connection)
    vhost = settings.amqp_url.rpartition("/")[2]
    async with Management(settings.management_url, vhost=vhost) as management:
        await management.import_definitions(definitions(desired(owners, settings)))
    return made


def settings_of(installation: Installation) -> Settings:
    """The settings that the programs have."""
    names = ("AMQP_URL", "MANAGEMENT_URL", "DATABASE_URL", "HOME")
    found = {name.lower(): installation.environment[f"LIENTHONG_{name}"] for name in names}
    return Settings.model_validate(found)


async def call(
    session: aiohttp.ClientSession, client: OfficialClient, path: str, parameters: dict[str, str], body: bytes = b""
) -> dict[str, Any]:
    """One signed request over a kept connection."""
    kind = "application/octet-stream" if path == "/sendEdoc" else "application/json"
    headers = {k: v for k, v in client.headers(parameters, content_type=kind).items() if v is not None}
    async with session.post(client.url + path, headers=headers, data=body) as response:
        return dict(json.loads(await response.read()))


async def poll(client: OfficialClient, seen: Seen, every: float, until: float, session: aiohttp.ClientSession) -> None:
    """One office's program."""
    await asyncio.sleep(random.random() * every)
    while (began := time.monotonic()) < until:
        answer = await call(session, client, "/getReceivedEdocList", {"servicetype": "eDoc", "messagetype": "edoc"})
        (seen.full if answer.get("data") else seen.empty).append(time.monotonic() - began)
        if answer["ErrorCode"] != "0":
            seen.errors[f"list {answer['ErrorCode']}"] += 1
        for packet in answer.get("data", ()):
            doc_id = packet["docId"]
            seen.handed[doc_id] += 1
            got = await call(session, client, "/getEdoc", {"docId": doc_id, "filePath": "./"}, b"{}")
            done = await call(session, client, "/updateStatus", {"docId": doc_id, "status": "done"}, b"{}")
            if got["ErrorCode"] == done["ErrorCode"] == "0":
                seen.finished.add(doc_id)
            else:
                seen.errors[f"get {got['ErrorCode']} done {done['ErrorCode']}"] += 1
        await asyncio.sleep(max(0.0, began + every - time.monotonic()))


async def probe(url: str, found: list[float], until: float, session: aiohttp.ClientSession) -> None:
    """What the machine alone adds at this moment: a path of the same gateway that does nothing."""
    while (began := time.monotonic()) < until:
        async with session.get(f"{url}/healthz") as response:
            await response.read()
        found.append(time.monotonic() - began)
        await asyncio.sleep(0.05)


async def send(
    clients: list[OfficialClient], seen: Seen, rate: float, until: float, session: aiohttp.ClientSession
) -> None:
    """Offices post documents to three others each, at a steady rate."""
    tasks: set[asyncio.Task[None]] = set()

    async def one() -> None:
        client, *others = random.sample(clients, 4)
        codes = [other.system.removeprefix("00.") for other in others]
        sender = client.system.removeprefix("00.")
        file = edoc(sender, codes)
        parameters = {"servicetype": "eDoc", "messagetype": "edoc", "from": sender}
        parameters["hash-file"] = hashlib.sha256(file).hexdigest()
        answer = await call(session, client, "/sendEdoc", parameters, file + b"\r\n")
        if answer["ErrorCode"] == "0":
            seen.sent += 3
        else:
            seen.errors[f"send {answer['ErrorCode']}"] += 1

    while time.monotonic() < until:
        task = asyncio.create_task(one())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(1 / rate)
    await asyncio.gather(*tasks)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def programs(installation: Installation) -> AsyncIterator[tuple[str, int]]:
    """A worker and a gateway; the gateway's address and process."""
    worker = installation.start("worker", name="worker")
    gateway = installation.start("gateway", "--port", "0", "--json", "--log-level", "warning", name="gateway")
    told = wait_until(lambda: PORT.search(gateway.log.read_text()), what="the gateway")
    try:
        yield f"http://127.0.0.1:{told[1]}", gateway.process.pid
    finally:
        gateway.stop()
        worker.stop()


async def measure(arguments: argparse.Namespace, servers: Endpoints, vhost: Vhost, dsn: str, folder: Path) -> int:
    installation = Installation(folder, vhost.amqp_url, vhost.management_url, dsn)
    made = await prepare(installation, arguments.pollers // 2, "commune")
    seen = Seen()
    idle: list[float] = []
    async with programs(installation) as (url, gateway_process):
        clients = [OfficialClient(url, one.system, one.secret) for one in made]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            until = time.monotonic() + arguments.seconds
            used = processor_seconds(gateway_process), processor_seconds(os.getpid())
            taken = processor_times()
            await asyncio.gather(
                *(poll(client, seen, arguments.every, until, session) for client in clients for _ in "12"),
                send(clients, seen, arguments.rate, until, session),
                probe(url, idle, until, session),
            )
            measured, empty, full = [*seen.empty, *seen.full], list(seen.empty), list(seen.full)
            stolen, passed = (after - before for after, before in zip(processor_times(), taken, strict=True))
            used = processor_seconds(gateway_process) - used[0], processor_seconds(os.getpid()) - used[1]
            load = os.getloadavg()[0]
            # What is on its way yet is fetched by one more round of everybody.
            async with connect(dsn) as connection:
                deadline = time.monotonic() + 30
                while await connection.fetchval("SELECT count(*) FROM vxp_packet WHERE kind = 'edoc'") < seen.sent:
                    if time.monotonic() > deadline:
                        break
                    await asyncio.sleep(0.2)
            rest = time.monotonic() + 0.5
            await asyncio.gather(*(poll(client, seen, 0.2, rest, session) for client in clients))
            await asyncio.sleep(2)
        async with connect(dsn) as connection:
            arrivals = await connection.fetchval("SELECT count(*) FROM status_entry WHERE code = '01'")
            deliveries = await connection.fetchval("SELECT count(*) FROM delivery")
            open_ones = await connection.fetchval(
                "SELECT count(*) FROM vxp_packet WHERE kind = 'edoc' AND state <> 'done'"
            )
    doubles = sum(count - 1 for count in seen.handed.values())
    lost = deliveries - len(seen.finished)

    def percentile(share: float, values: list[float] = measured) -> float:
        ordered = sorted(values)
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    report = {
        "pollers": arguments.pollers,
        "systems": len(made),
        "seconds": arguments.seconds,
        "lists": len(measured),
        "lists_per_second": round(len(measured) / arguments.seconds, 1),
        "p50_ms": percentile(0.5),
        "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99),
        "max_ms": percentile(1.0),
        "empty_p50_ms": percentile(0.5, empty),
        "empty_p99_ms": percentile(0.99, empty),
        "full_p50_ms": percentile(0.5, full),
        "full_p99_ms": percentile(0.99, full),
        "doing_nothing_p50_ms": percentile(0.5, idle),
        "doing_nothing_p99_ms": percentile(0.99, idle),
        "gateway_cores": round(used[0] / arguments.seconds, 2),
        "pollers_cores": round(used[1] / arguments.seconds, 2),
        "machine_load": round(load, 1),
        "taken_by_other_guests": round(stolen / passed, 2),
        "deliveries": deliveries,
        "fetched_and_done": len(seen.finished),
        "signed_01": arrivals,
        "open_packets": open_ones,
        "doubles": doubles,
        "losses": lost,
        "errors": dict(seen.errors),
    }
    print(json.dumps(report, indent=2))
    return 0 if doubles == 0 and lost == 0 and arrivals == deliveries and not seen.errors else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pollers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two lists of one poller")
    parser.add_argument("--rate", type=float, default=5.0, help="documents a second, of three recipients each")
    arguments = parser.parse_args()
    servers = up(ROOT / ".local")
    with (
        tempfile.TemporaryDirectory() as folder,
        fresh_vhost(servers) as vhost,
        fresh_database(servers) as dsn,
    ):
        return asyncio.run(measure(arguments, servers, vhost, dsn, Path(folder)))


if __name__ == "__main__":
    raise SystemExit(main())
