"""`up`, `down` and `status`: which servers are wanted, which run, and what has to be done about the difference.

Knows the order of things; how each server is run is in `rabbitmq` and `postgresql`. A server whose address is in the
environment (`LIENTHONG_AMQP_URL`, `LIENTHONG_DATABASE_URL`) is somebody else's: it is neither started nor ended.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from broker.services import packages, postgresql, rabbitmq
from broker.services.processes import ProcessMark, reap
from broker.services.record import (
    FILE,
    Endpoints,
    Record,
    ServerRecord,
    locked,
    new_server,
    read,
    with_free_ports,
    write,
)
from broker.settings import management_url_beside, without_credentials
from schemas.problem import Problem

START_PATIENCE: Final = 120.0
"""Seconds a server may take to answer. Five are usual; a busy machine or a long recovery takes more."""

ATTEMPTS: Final = 3
"""How often a server is started that ends before it answers."""
BETWEEN_ATTEMPTS: Final = 1.0

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
        for attempt in range(1, ATTEMPTS + 1):
            # Both are started before either is waited for.
            if not amqp_given:
                record = _start_rabbitmq(root, record, tell)
            if not database_given:
                record = _start_postgresql(root, record, tell)
            ended = [] if database_given else _ended_before_it_answered(_postgresql_answers(record))
            ended += [] if amqp_given else _ended_before_it_answered(_rabbitmq_answers(record))
            if not ended:
                break
            if attempt == ATTEMPTS:
                raise ended[0]
            time.sleep(BETWEEN_ATTEMPTS)
        ours: dict[str, str] = {}
        if not database_given:
            server = _required(record.postgresql)
            postgresql.finish(server, _programs(server))
            ours["database_url"] = postgresql.database_url(server)
        if not amqp_given:
            server = _required(record.rabbitmq)
            ours["amqp_url"], ours["management_url"] = rabbitmq.amqp_url(server), rabbitmq.management_url(server)
        # What runs here and was not asked for this time (somebody else's was named) stays known to other commands.
        write(root, replace(record, endpoints=record.endpoints | ours))
        management_given = os.environ.get("LIENTHONG_MANAGEMENT_URL")
        return Endpoints(
            amqp_url=amqp_given or ours["amqp_url"],
            management_url=management_given or ours.get("management_url") or management_url_beside(amqp_given or ""),
            database_url=database_given or ours["database_url"],
        )


def down(root: Path, *, tell: Tell = lambda _: None) -> bool:
    """End what `up` started in this root folder, by process id, and wait until it has gone.

    True if something was running. Data, ports and passwords stay for the next `up`.
    """
    root = root.resolve()
    if not root.is_dir():
        return False
    with locked(root):
        return _end(root, read(root), tell)


def erase(root: Path, *, tell: Tell = lambda _: None) -> None:
    """End the servers of this root folder and remove them with all their data; also when their record is damaged."""
    root = root.resolve()
    if not root.is_dir():
        return
    with locked(root):
        try:
            record = read(root)
        except Problem as problem:
            tell(problem.found)
            record = Record()
        _end(root, record, tell, at_once=True)
        for folder in (_rabbitmq_folder(root, record), _postgresql_folder(root, record)):
            if folder.exists():
                tell(f"Removing {folder} …")
                shutil.rmtree(folder)
        outside = _postgresql_folder(root, record).parent
        if outside != root and outside.exists():
            outside.rmdir()
        for file in (root / FILE, root / rabbitmq.COOKIE):
            file.unlink(missing_ok=True)


def status(root: Path) -> Status:
    """What runs, what answers, where. Starts and changes nothing."""
    root = root.resolve()
    record = read(root)
    return Status(root=str(root), servers=(_rabbitmq_status(root, record), _postgresql_status(root, record)))


def _start_rabbitmq(root: Path, record: Record, tell: Tell) -> Record:
    """See to it that the node runs, though it may not answer yet. What is remembered is on disk before it starts."""
    server = record.rabbitmq or _new(_rabbitmq_folder(root, record), rabbitmq.PORT_USES)
    process = _node(root, server)
    if process is None:
        rabbitmq.halt(None, root)  # a port mapper that outlived its node holds one of the ports
        record = _remember(root, replace(record, rabbitmq=replace(with_free_ports(server), process=None)))
        tell("Starting RabbitMQ …")
        process = rabbitmq.launch(_required(record.rabbitmq), root, _required(rabbitmq.find_command()))
    return _remember(root, replace(record, rabbitmq=replace(record.rabbitmq or server, process=process)))


def _start_postgresql(root: Path, record: Record, tell: Tell) -> Record:
    """The same for the cluster."""
    server = record.postgresql or _new(_postgresql_folder(root, record), postgresql.PORT_USES)
    process = _cluster(server)
    if process is None:
        record = _remember(root, replace(record, postgresql=replace(with_free_ports(server), process=None)))
        tell("Starting PostgreSQL …")
        process = postgresql.launch(_required(record.postgresql), root, _programs(server))
    return _remember(root, replace(record, postgresql=replace(record.postgresql or server, process=process)))


def _new(folder: Path, port_uses: tuple[str, ...]) -> ServerRecord:
    """A server that never ran here. Raises `Problem` if one has, and only its password is gone."""
    if folder.exists():
        raise Problem(
            f"{folder} holds a server's data, but what was remembered about that server is gone",
            f"{FILE} beside it, or no such folder",
            "Begin anew with `lienthong services down --erase`: it removes the private servers with all their data",
        )
    return new_server(folder, *port_uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A server that was started, and how to ask it and to complain of it."""

    server: ServerRecord
    answers: Callable[[], bool]
    why_not: Callable[[], Problem]


def _rabbitmq_answers(record: Record) -> _Waiting:
    server = _required(record.rabbitmq)
    return _Waiting(server=server, answers=lambda: rabbitmq.answers(server), why_not=lambda: rabbitmq.why_not(server))


def _postgresql_answers(record: Record) -> _Waiting:
    server = _required(record.postgresql)
    programs = _programs(server)
    return _Waiting(
        server=server,
        answers=lambda: postgresql.answers(server, programs),
        why_not=lambda: postgresql.why_not(server),
    )


def _ended_before_it_answered(waiting: _Waiting) -> list[Problem]:
    """Wait for an answer. Nothing if it came; the reason if the process has ended. Raises `Problem` after too long.

    A process can end for reasons that are gone a second later: it was being killed when we looked, or what its
    predecessor held was not free yet.
    """
    deadline = time.monotonic() + START_PATIENCE
    while not waiting.answers():
        if waiting.server.process is None or not waiting.server.process.alive():
            return [waiting.why_not()]
        if time.monotonic() > deadline:
            raise waiting.why_not()
        time.sleep(_POLL)
    return []


def _end(root: Path, record: Record, tell: Tell, *, at_once: bool = False) -> bool:
    """End both servers, as far as they run, and forget their addresses. True if one ran."""
    node = _node(root, record.rabbitmq)
    folder = _postgresql_folder(root, record)
    cluster = _cluster(record.postgresql) or postgresql.running_cluster(folder)
    if node is not None:
        tell("Ending RabbitMQ …")
    rabbitmq.halt(node, root, at_once=at_once)
    if cluster is not None:
        tell("Ending PostgreSQL …")
        postgresql.halt(cluster)
    if record != Record():
        write(
            root,
            Record(
                rabbitmq=None if record.rabbitmq is None else replace(record.rabbitmq, process=None),
                postgresql=None if record.postgresql is None else replace(record.postgresql, process=None),
            ),
        )
    return node is not None or cluster is not None


def _rabbitmq_folder(root: Path, record: Record) -> Path:
    return root / "rabbitmq" if record.rabbitmq is None else record.rabbitmq.folder


def _postgresql_folder(root: Path, record: Record) -> Path:
    return postgresql.choose_folder(root) if record.postgresql is None else record.postgresql.folder


def _programs(server: ServerRecord) -> Path:
    return _required(postgresql.find_programs(server.folder / "data"))


def _node(root: Path, server: ServerRecord | None) -> ProcessMark | None:
    """The running node: as recorded, else as its environment tells."""
    if server is not None and server.process is not None:
        reap(server.process.pid)
        if server.process.alive():
            return server.process
    return rabbitmq.running_node(root)


def _cluster(server: ServerRecord | None) -> ProcessMark | None:
    """The running cluster: as recorded, else as its own lock file tells."""
    if server is None:
        return None
    if server.process is not None:
        reap(server.process.pid)
        if server.process.alive():
            return server.process
    return postgresql.running_cluster(server.folder)


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
    server, process = record.postgresql, _cluster(record.postgresql)
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
