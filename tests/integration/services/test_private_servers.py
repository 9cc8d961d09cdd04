"""`services up`, `down` and `status` keep their promises, with real servers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aio_pika
import asyncpg
import pytest

from broker.services import Endpoints, down, erase, rabbitmq, status, up
from broker.services.postgresql import running_cluster
from broker.services.processes import owned_by
from broker.services.record import FILE, Record, free_ports, read, write
from schemas.problem import Problem

pytestmark = pytest.mark.timeout(300)


async def test_servers_live_through_up_twice_a_kill_and_down(root: Path) -> None:
    """One story, because every start takes seconds."""
    first = up(root)
    await leave_something(first)
    processes = pids(root)

    assert up(root) == first, "a second up changes nothing"
    assert pids(root) == processes, "a second up starts nothing"
    assert (root / FILE).stat().st_mode & 0o777 == 0o600, "passwords are for the owner only"
    assert status(root).good
    assert listens_on_loopback_only(processes["RabbitMQ"])

    # RabbitMQ writes the names of new quorum queues down every half second, and tells nobody when it has: a queue that
    # is younger than that does not survive a kill. Queues of an exchange are older.
    await asyncio.sleep(3)
    for pid in processes.values():
        os.kill(pid, signal.SIGKILL)
    assert up(root) == first, "the addresses are the same after a crash"
    assert status(root).good
    assert not set(pids(root).values()) & set(processes.values())
    await find_it_again(first)

    assert down(root)
    assert not list(owned_by(root)), "no process is left"
    assert running_cluster(read(root).postgresql.folder) is None  # type: ignore[union-attr]
    assert not any(answers(port) for port in every_port(root)), "nothing listens any more"
    assert not status(root).good
    assert not down(root), "a second down has nothing to do"


def test_two_ups_at_once_start_one_of_each_and_take_nothing_that_is_not_theirs(root: Path) -> None:
    """The record tells of another boot: somebody else has the process id now, somebody else the port."""
    root.mkdir()
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        taken = somebody.getsockname()[1]
        mark = {"pid": os.getpid(), "started": 1, "boot": "another"}
        ports = free_ports(rabbitmq.PORT_USES) | {"amqp": taken}
        old = {"ports": ports, "password": "old", "folder": str(root / "rabbitmq"), "process": mark}
        write_json(root / FILE, {"rabbitmq": old, "postgresql": None, "endpoints": {}})

        command = [sys.executable, "-m", "broker.cli", "services", "up", "--json", "--root", str(root)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        answers = [json.loads(one.communicate(timeout=240)[0]) for one in both]

        assert answers[0] == answers[1]
        assert sum(name == "beam.smp" for _, name in owned_by(root)) == 1
        assert f":{taken}/" not in answers[0]["amqp_url"]
        assert os.getpid() not in pids(root).values()

    (root / FILE).unlink()
    with pytest.raises(Problem, match="--erase"):
        up(root)
    erase(root)
    assert not (root / "rabbitmq").exists()
    assert not list(owned_by(root)), "erase finds what nobody remembers"


def test_servers_in_the_environment_are_used_and_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_AMQP_URL", "amqp://u:p@rabbit.example/x")
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", "postgresql://u:p@pg.example/x")
    assert up(root) == Endpoints(
        amqp_url="amqp://u:p@rabbit.example/x",
        management_url="http://u:p@rabbit.example:15672",
        database_url="postgresql://u:p@pg.example/x",
    )
    assert "rabbit.example" not in (root / FILE).read_text(), "what is not ours is not remembered"
    assert [server.source for server in status(root).servers] == ["environment", "environment"]
    assert not down(root)


def test_naming_other_servers_once_does_not_make_ours_forgotten(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remembered = {"amqp_url": "amqp://a@127.0.0.1:1/x", "management_url": "http://a@127.0.0.1:2", "database_url": "d"}
    root.mkdir(parents=True)
    write(root, Record(endpoints=remembered))
    monkeypatch.setenv("LIENTHONG_AMQP_URL", "amqp://b@127.0.0.1:3/y")
    monkeypatch.setenv("LIENTHONG_DATABASE_URL", "postgresql://b@127.0.0.1:4/y")
    assert up(root).amqp_url == "amqp://b@127.0.0.1:3/y"
    assert read(root).endpoints == remembered


async def leave_something(endpoints: Endpoints) -> None:
    """A durable message and a committed row."""
    async with await aio_pika.connect(endpoints.amqp_url) as connection:
        channel = await connection.channel()
        await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "kept")
    database = await asyncpg.connect(endpoints.database_url)
    await database.execute("CREATE TABLE kept AS SELECT 'kept' AS word")
    await database.close()


async def find_it_again(endpoints: Endpoints) -> None:
    async with await aio_pika.connect(endpoints.amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("kept", passive=True)
        message = await queue.get(timeout=60)
        assert message.body == b"kept"
        await message.ack()
    database = await asyncpg.connect(endpoints.database_url)
    assert await database.fetchval("SELECT word FROM kept") == "kept"
    await database.close()


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def pids(root: Path) -> dict[str, int]:
    return {server.name: server.pid for server in status(root).servers if server.pid is not None}


def every_port(root: Path) -> list[int]:
    record = read(root)
    assert record.rabbitmq is not None
    assert record.postgresql is not None
    return [*record.rabbitmq.ports.values(), *record.postgresql.ports.values()]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listens_on_loopback_only(pid: int) -> bool:
    """Whether every listening TCP socket of the process is bound to 127.0.0.1."""
    inodes = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    listening = [
        fields[1]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes
    ]
    assert listening
    return all(address.startswith("0100007F:") for address in listening)
