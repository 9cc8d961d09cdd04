"""What `services up` remembers between calls: `services.json` in the root folder, readable by its owner only.

Ports and passwords stay the same from one start to the next, so that a terminal with yesterday's addresses still
works. The endpoints are there only while the servers run: `broker.settings` reads them.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from broker.services.processes import ProcessMark
from schemas.problem import Problem

FILE: Final = "services.json"
LOOPBACK: Final = "127.0.0.1"

PORTS: Final = range(21_000, 29_000)
"""Below the range from which the kernel takes ports for outgoing connections: those may be gone at the next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the servers are, with user and password in the addresses."""

    amqp_url: str
    management_url: str
    database_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRecord:
    """One server: what it was given, and the process that it is now (None: not running)."""

    ports: dict[str, int]
    password: str
    folder: Path
    process: ProcessMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Both servers; None for one that was never started here."""

    rabbitmq: ServerRecord | None = None
    postgresql: ServerRecord | None = None
    endpoints: dict[str, str] = field(default_factory=dict)
    """The addresses of what runs and is ours, by the names of the settings that they are for."""


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the root folder's lock: of several `up` and `down` at once, each waits for the one before."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "services.lock").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read(root: Path) -> Record:
    """What was remembered; an empty record for a new folder. Raises `Problem` for a damaged file."""
    try:
        written = json.loads((root / FILE).read_text(encoding="utf-8"))
        return Record(
            rabbitmq=_server(written["rabbitmq"]),
            postgresql=_server(written["postgresql"]),
            endpoints={str(name): str(url) for name, url in written["endpoints"].items()},
        )
    except FileNotFoundError:
        return Record()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Problem(
            f"{root / FILE} cannot be read ({type(error).__name__}: {error})",
            "what an earlier `lienthong services up` wrote",
            "Begin anew with `lienthong services down --erase`: it removes the private servers with all their data",
        ) from None


def write(root: Path, record: Record) -> None:
    """Replace the file at once: a reader sees the old one or the new one."""
    temporary = root / f".{FILE}.new"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(record), file, default=str, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(root / FILE)


def new_server(folder: Path, *uses: str) -> ServerRecord:
    """A record for a server that never ran: free ports and a password nobody knows."""
    return ServerRecord(ports=free_ports(uses), password=secrets.token_urlsafe(24), folder=folder)


def with_free_ports(server: ServerRecord) -> ServerRecord:
    """The same server; with other ports if somebody else has taken one of its own meanwhile."""
    if all(is_free(port) for port in server.ports.values()):
        return server
    return replace(server, ports=free_ports(tuple(server.ports)))


def free_ports(uses: tuple[str, ...]) -> dict[str, int]:
    """One free port for each use. Random order, so that two folders starting at once seldom choose the same."""
    found: dict[str, int] = {}
    for port in secrets.SystemRandom().sample(PORTS, k=len(PORTS)):
        if len(found) == len(uses):
            return found
        if is_free(port):
            found[uses[len(found)]] = port
    raise Problem(
        f"no {len(uses)} free ports on {LOOPBACK}", f"some between {PORTS.start} and {PORTS.stop}", "Free some ports"
    )


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now, on any address (a port half taken is not free)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _server(written: dict[str, Any] | None) -> ServerRecord | None:
    if written is None:
        return None
    process = written["process"]
    return ServerRecord(
        ports={use: int(port) for use, port in written["ports"].items()},
        password=str(written["password"]),
        folder=Path(written["folder"]),
        process=None if process is None else ProcessMark(**process),
    )
