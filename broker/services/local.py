"""`up`, `down` and `status`: which servers are wanted, which run, and what has to be done about the difference.

Knows the order of things; how each server is run is in `rabbitmq` and `postgresql`. A server whose address is in the
environment (`LIENTHONG_AMQP_URL`, `LIENTHONG_DATABASE_URL`) is somebody else's: it is neither started nor ended.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from broker.services import packages, postgresql, rabbitmq
from broker.services.processes import ProcessMark, reap
from broker.services.record import Endpoints, Record, ServerRecord, locked, new_server, read, with_free_ports, write
from broker.settings import management_url_beside, without_credentials
from schemas.problem import Problem

START_PATIENCE: Final = 120.0
"""Seconds a server may take to answer. Five are usual; a busy machine or a long recovery takes more."""

_POLL: Final = 0.1

T = TypeVar("T")

Tell = Callable[[str], None]
"""Takes one sentence about what is going on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One server as `status` sees it."""

    name: str
    source: str
    """"private" (ours) or "environment" (somebody else's)."""
    address: str | None
    """Without user and password; None when it does not run."""
    running: bool
    answers: bool | None
    """None for a server that is not ours: `lienthong doctor` asks those."""
    pid: int | None
    version: str | None
    folder: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Both servers of one root folder."""

    root: str
    servers: tuple[ServerStatus, ...]

    @property
    def good(self) -> bool:
        """Whether everything that is ours runs and answers."""
        return all(server.answers is not False for server in self.servers)


def up(root: Path, *, tell: Tell = lambda _: None) -> Endpoints:
    """Start what does not run, and say where everything is. Calling it again changes nothing.

    `root` keeps everything (usually `.local`). Returns when the servers answer. Installs the distribution's packages
    if they are missing and may be installed. Raises `Problem`.
    """
    root = root.resolve()
    with locked(root):
        record = read(root)
        amqp_given, database_given = os.environ.get("LIENTHONG_AMQP_URL"), os.environ.get("LIENTHONG_DATABASE_URL")
        packages.install_missing(rabbitmq_wanted=not amqp_given, postgresql_wanted=not database_given, tell=tell)
        # Both are started before either is waited for.
        node = None if amqp_given else _start_rabbitmq(root, record, tell)
        record = record if node is None else _remember(root, replace(record, rabbitmq=node.server))
        cluster = None if database_given else _start_postgresql(root, record, tell)
        record = record if cluster is None else _remember(root, replace(record, postgresql=cluster.server))
        for starting in (cluster, node):
            if starting is not None:
                starting.wait()
        if cluster is not None:
            programs = postgresql.find_programs(cluster.server.folder / "data")
            postgresql.finish(cluster.server, _required(programs))
        endpoints = Endpoints(
            amqp_url=amqp_given or rabbitmq.amqp_url(_required(record.rabbitmq)),
            management_url=os.environ.get("LIENTHONG_MANAGEMENT_URL")
            or (
                management_url_beside(amqp_given) if amqp_given else rabbitmq.management_url(_required(record.rabbitmq))
            ),
            database_url=database_given or postgresql.database_url(_required(record.postgresql)),
        )
        _remember(root, replace(record, endpoints=endpoints))
        return endpoints


def down(root: Path, *, tell: Tell = lambda _: None) -> bool:
    """End what `up` started in this root folder, by process id, and wait until it has gone.

    True if something was running. Data, ports and passwords stay for the next `up`.
    """
    root = root.resolve()
    if not root.is_dir():
        return False
    with locked(root):
        record = read(root)
        node = _node(root, record.rabbitmq)
        cluster = _cluster(root, record.postgresql)
        if node is not None:
            tell("Ending RabbitMQ …")
        rabbitmq.halt(record.rabbitmq, root)
        if cluster is not None:
            tell("Ending PostgreSQL …")
            postgresql.halt(_required(record.postgresql))
        _remember(
            root,
            Record(
                rabbitmq=None if record.rabbitmq is None else replace(record.rabbitmq, process=None),
                postgresql=None if record.postgresql is None else replace(record.postgresql, process=None),
            ),
        )
        return node is not None or cluster is not None


def status(root: Path) -> Status:
    """What runs, what answers, where. Starts and changes nothing."""
    root = root.resolve()
    record = read(root)
    return Status(root=str(root), servers=(_rabbitmq_status(root, record), _postgresql_status(root, record)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starting:
    """A server that runs, or has been told to: `wait` returns when it answers."""

    server: ServerRecord
    answers: Callable[[], bool]
    why_not: Callable[[], Problem]
    child: subprocess.Popen[bytes] | None

    def wait(self) -> None:
        deadline = time.monotonic() + START_PATIENCE
        while not self.answers():
            ended = self.server.process is None or not self.server.process.alive()
            if ended or time.monotonic() > deadline:
                raise self.why_not()
            time.sleep(_POLL)


def _start_rabbitmq(root: Path, record: Record, tell: Tell) -> _Starting:
    server = record.rabbitmq or new_server(root / "rabbitmq", *rabbitmq.PORT_USES)
    process, child = _node(root, record.rabbitmq), None
    if process is None:
        rabbitmq.halt(server, root)  # a port mapper that outlived its node holds one of the ports
        server = with_free_ports(server)
        tell("Starting RabbitMQ …")
        child = rabbitmq.launch(server, root, _required(rabbitmq.find_command()))
        process = ProcessMark.of(child.pid)
    server = replace(server, process=process)
    return _Starting(
        server=server,
        answers=lambda: rabbitmq.answers(server),
        why_not=lambda: rabbitmq.why_not(server),
        child=child,
    )


def _start_postgresql(root: Path, record: Record, tell: Tell) -> _Starting:
    server = record.postgresql or new_server(postgresql.choose_folder(root), *postgresql.PORT_USES)
    programs = _required(postgresql.find_programs(server.folder / "data"))
    process, child = _cluster(root, record.postgresql), None
    if process is None:
        server = with_free_ports(server)
        tell("Starting PostgreSQL …")
        child = postgresql.launch(server, root, programs)
        process = ProcessMark.of(child.pid)
    server = replace(server, process=process)
    return _Starting(
        server=server,
        answers=lambda: postgresql.answers(server, programs),
        why_not=lambda: postgresql.why_not(server),
        child=child,
    )


def _node(root: Path, server: ServerRecord | None) -> ProcessMark | None:
    """The running node: as recorded, else as its environment tells. None if the record of its ports is lost."""
    recorded = None if server is None else server.process
    if recorded is not None:
        reap(recorded.pid)
        if recorded.alive():
            return recorded
    return None if server is None else rabbitmq.running_node(root)


def _cluster(root: Path, server: ServerRecord | None) -> ProcessMark | None:
    """The running cluster: as recorded, else as its own lock file tells."""
    recorded = None if server is None else server.process
    if recorded is not None:
        reap(recorded.pid)
        if recorded.alive():
            return recorded
    return None if server is None else postgresql.running_cluster(server.folder)


def _rabbitmq_status(root: Path, record: Record) -> ServerStatus:
    given = os.environ.get("LIENTHONG_AMQP_URL")
    if given:
        return _given("RabbitMQ", given)
    server, process = record.rabbitmq, _node(root, record.rabbitmq)
    running = server is not None and process is not None
    answers = running and rabbitmq.answers(_required(server))
    return ServerStatus(
        name="RabbitMQ",
        source="private",
        address=without_credentials(rabbitmq.amqp_url(_required(server))) if running else None,
        running=running,
        answers=answers,
        pid=None if process is None else process.pid,
        version=str(rabbitmq.overview(_required(server)).get("rabbitmq_version")) if answers else None,
        folder=None if server is None else str(server.folder),
    )


def _postgresql_status(root: Path, record: Record) -> ServerStatus:
    given = os.environ.get("LIENTHONG_DATABASE_URL")
    if given:
        return _given("PostgreSQL", given)
    server, process = record.postgresql, _cluster(root, record.postgresql)
    programs = None if server is None else postgresql.find_programs(server.folder / "data")
    running = server is not None and process is not None and programs is not None
    answers = running and postgresql.answers(_required(server), _required(programs))
    return ServerStatus(
        name="PostgreSQL",
        source="private",
        address=without_credentials(postgresql.database_url(_required(server))) if running else None,
        running=running,
        answers=answers,
        pid=None if process is None else process.pid,
        version=postgresql.server_version(_required(server), _required(programs)) if answers else None,
        folder=None if server is None else str(server.folder),
    )


def _given(name: str, url: str) -> ServerStatus:
    return ServerStatus(
        name=name,
        source="environment",
        address=without_credentials(url),
        running=True,
        answers=None,
        pid=None,
        version=None,
        folder=None,
    )


def _remember(root: Path, record: Record) -> Record:
    write(root, record)
    return record


def _required(value: T | None) -> T:
    """What must be there at this point; `packages.install_missing` has seen to the programs."""
    if value is None:
        raise Problem("a server's programs have disappeared", "what was there a moment ago", "Run the command again")
    return value
