"""Gateways killed at random while offices post and fetch: no document is lost, none has two effects.

And `audit verify` accuses nobody of what they left behind.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from broker.evidence.verify import BEGINNING, nothing
from broker.evidence.verify_work import check_work_tables
from broker.services import Endpoints
from broker.store.pool import connect
from tests.bench.vxp_polling import PORT, prepare
from tests.conftest import Vhost, fresh_database
from tests.kit.installation import Installation, Program, wait_until
from tests.kit.vxp import OfficialClient, edoc

DOCUMENTS = 60
KILLS = 12


class Gateways:
    """Two gateways on fixed ports; `kill` ends one as a power failure would, and starts it anew."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._programs: list[Program] = [self._start(0) for _ in range(2)]
        self.ports = [self._port(one) for one in self._programs]

    def _start(self, port: int) -> Program:
        return self._installation.start(
            "gateway", "--port", str(port), "--json", "--log-level", "warning", name="gateway"
        )

    def _port(self, program: Program) -> int:
        return int(wait_until(lambda: PORT.search(program.log.read_text()), what="a gateway")[1])

    def kill(self, which: int) -> None:
        self._programs[which].kill()
        self._programs[which] = self._start(self.ports[which])
        self._port(self._programs[which])


def patiently(client: OfficialClient, ports: list[int], stop: threading.Event, what: str, *arguments: object) -> dict:  # type: ignore[type-arg]
    """As existing software does: a lost connection is tried again, an answer is final."""
    while True:
        client.url = f"http://127.0.0.1:{random.choice(ports)}"
        try:
            answer = getattr(client, what)(*arguments)
        except (OSError, AssertionError, ValueError):
            time.sleep(0.1)
            continue
        if answer["ErrorCode"] != "20" or stop.is_set():
            return dict(answer)
        time.sleep(0.1)


async def accused(dsn: str) -> list[str]:
    """What `audit verify` finds in the façade's tables. (No keeper has run here, so that nothing is signed.)"""
    async with connect(dsn) as connection, connection.transaction():
        return [one.sentence() async for one in check_work_tables(connection, BEGINNING, progress=nothing)]


@pytest.mark.long
def test_killed_gateways_lose_and_double_nothing(vhost: Vhost, servers: Endpoints, tmp_path: Path) -> None:
    with fresh_database(servers) as dsn:
        kill_and_count(vhost, dsn, tmp_path)


def kill_and_count(vhost: Vhost, dsn: str, tmp_path: Path) -> None:
    """The whole of it, on an empty database."""
    settings = {"LIENTHONG_VXP_LEASE_MINUTES": "0.05"}
    installation = Installation(tmp_path, vhost.amqp_url, vhost.management_url, dsn, settings)
    systems = asyncio.run(prepare(installation, 4, "commune"))
    installation.start("worker", name="worker")
    gateways = Gateways(installation)
    files = [
        edoc(f"B{number % 4:03d}", [f"B{(number + 1) % 4:03d}", f"B{(number + 2) % 4:03d}"])
        for number in range(DOCUMENTS)
    ]
    stop = threading.Event()
    ids: dict[int, set[str]] = {}
    done: Counter[str] = Counter()
    failures: list[object] = []

    def post(number: int) -> None:
        made = systems[number % 4]
        client = OfficialClient("", made.system, made.secret)
        for _ in range(2):  # each file twice
            answer = patiently(client, gateways.ports, stop, "send", files[number], made.hub)
            if answer["ErrorCode"] != "0":
                failures.append(answer)
            ids.setdefault(number, set()).add(answer.get("DocId", ""))

    def fetch(made: object) -> None:
        client = OfficialClient("", made.system, made.secret)  # type: ignore[attr-defined]
        while not stop.is_set():
            for packet in patiently(client, gateways.ports, stop, "list").get("data", ()):
                patiently(client, gateways.ports, stop, "get", packet["docId"])
                patiently(client, gateways.ports, stop, "update", packet["docId"], "done")
                done[packet["docId"]] += 1
            time.sleep(0.05)

    try:
        posting = [
            threading.Thread(target=lambda first=first: [post(n) for n in range(first, DOCUMENTS, 6)])
            for first in range(6)
        ]
        fetching = [threading.Thread(target=fetch, args=(made,)) for made in systems for _ in "12"]
        for thread in (*posting, *fetching):
            thread.start()
        for turn in range(KILLS):
            time.sleep(random.random() * 1.5)
            gateways.kill(turn % 2)
        for thread in posting:
            thread.join(120)

        def count(query: str) -> int:
            async def ask() -> int:
                connection = await asyncpg.connect(dsn)
                try:
                    return int(await connection.fetchval(query))
                finally:
                    await connection.close()

            return asyncio.run(ask())

        wait_until(
            lambda: count("SELECT count(*) FROM status_entry WHERE code = '01'") == 2 * DOCUMENTS,
            what="every 01",
            seconds=90,
        )
        stop.set()
        for thread in fetching:
            thread.join(60)
        assert not failures
        assert all(len(found) == 1 for found in ids.values()) and len(ids) == DOCUMENTS
        assert len({next(iter(found)) for found in ids.values()}) == DOCUMENTS
        assert count("SELECT count(*) FROM document") == DOCUMENTS
        assert count("SELECT count(*) FROM vxp_packet WHERE kind = 'edoc'") == 2 * DOCUMENTS
        assert count("SELECT count(*) FROM vxp_packet WHERE kind = 'edoc' AND state = 'done'") == 2 * DOCUMENTS
        assert count("SELECT count(*) FROM status_entry WHERE code = '01'") == 2 * DOCUMENTS
        assert count("SELECT count(*) FROM status_message") == 2 * DOCUMENTS
        assert len(done) == 2 * DOCUMENTS
        assert asyncio.run(accused(dsn)) == []
    finally:
        stop.set()
        installation.stop()
