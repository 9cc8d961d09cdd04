"""A private RabbitMQ node: its files, its environment, starting it, asking whether it answers, ending it.

Nothing of the machine's own RabbitMQ is read or written: node name, cookie, HOME, configuration, data, logs, the
port mapper (epmd) and every port are its own, and all of it listens on the loopback interface only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from broker.services import processes
from broker.services.processes import OWNER_VARIABLE, ProcessMark
from broker.services.record import LOOPBACK, ServerRecord
from broker.services.shipped import shipped_configuration
from schemas.problem import UNREACHABLE, Problem

USER: Final = "lienthong"
VHOST: Final = "lienthong"
PROGRAMS_VARIABLE: Final = "LIENTHONG_RABBITMQ_PROGRAMS"
PROGRAM_FOLDERS: Final = (Path("/usr/lib/rabbitmq/bin"), Path("/opt/rabbitmq/sbin"))
COOKIE: Final = ".erlang.cookie"
"""Erlang looks for this name in HOME, which is the root folder: that keeps it apart from the machine's node."""
PORT_USES: Final = ("amqp", "management", "distribution", "epmd")
_AMQP_GREETING: Final = b"AMQP\x00\x00\x09\x01"
_PROGRAMS: Final = frozenset({"beam.smp", "epmd", "erl_child_setup", "inet_gethost"})
"""The programs that a node consists of."""
_STOP_PATIENCE: Final = 60.0


def find_command() -> list[str] | None:
    """How to start `rabbitmq-server`, or None if it is not installed.

    `LIENTHONG_RABBITMQ_PROGRAMS` names a folder with the server's programs, or a program that takes the name of one
    of them as its first argument. The `rabbitmq-server` in /usr/sbin is of no use: it refuses ordinary users.
    """
    chosen = os.environ.get(PROGRAMS_VARIABLE)
    if chosen:
        path = Path(chosen).resolve()
        if path.is_dir() and os.access(path / "rabbitmq-server", os.X_OK):
            return [str(path / "rabbitmq-server")]
        if path.is_file() and os.access(path, os.X_OK):
            return [str(path), "rabbitmq-server"]
        raise Problem(
            f"{PROGRAMS_VARIABLE} is {chosen}",
            "a folder with the program rabbitmq-server, or a program that runs it",
            "Correct or unset the variable",
        )
    for folder in PROGRAM_FOLDERS:
        if os.access(folder / "rabbitmq-server", os.X_OK):
            return [str(folder / "rabbitmq-server")]
    return None


def prepare(server: ServerRecord, root: Path) -> None:
    """Write the node's files. What an earlier start left is kept, except the configuration."""
    folder = server.folder
    for name in ("data", "log"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    cookie = root / COOKIE
    if not cookie.exists():
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(24), encoding="ascii")
        cookie.chmod(0o400)
    (folder / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="ascii")
    (folder / "no-environment").touch()
    configuration = folder / "rabbitmq.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(_configuration(server), encoding="utf-8")


def environment(server: ServerRecord, root: Path) -> dict[str, str]:
    """The whole environment of the node: nothing of ours leaks into it, nothing of the machine's node is used."""
    folder, ports = server.folder, server.ports
    return {
        OWNER_VARIABLE: str(root),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(root),
        "ERL_CRASH_DUMP": str(folder / "log" / "crash.dump"),
        "ERL_EPMD_PORT": str(ports["epmd"]),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RABBITMQ_NODENAME": node_name(root),
        "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
        "RABBITMQ_NODE_PORT": str(ports["amqp"]),
        "RABBITMQ_DIST_PORT": str(ports["distribution"]),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "no-environment"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "node.pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # Makes the start script become the node instead of staying as its parent: the id we get is the node's.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def node_name(root: Path) -> str:
    """One name for each root folder: two nodes on one machine must not meet under the same name."""
    return f"lienthong-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}@localhost"


def launch(server: ServerRecord, root: Path, command: list[str]) -> ProcessMark | None:
    """Start the node; it is not ready yet."""
    prepare(server, root)
    return processes.start(
        command, environment=environment(server, root), folder=root, log=server.folder / "log" / "start.log"
    )


def answers(server: ServerRecord) -> bool:
    """Whether the node speaks AMQP and its management API lets us in."""
    try:
        with socket.create_connection((LOOPBACK, server.ports["amqp"]), timeout=5) as connection:
            connection.sendall(_AMQP_GREETING)
            if not connection.recv(1):
                return False
        return bool(overview(server))
    except OSError:  # urllib's errors are of this kind too
        return False


def overview(server: ServerRecord) -> dict[str, Any]:
    """The management API's summary: versions and counts. Raises OSError."""
    request = urllib.request.Request(
        f"http://{LOOPBACK}:{server.ports['management']}/api/overview",
        headers={"Authorization": "Basic " + base64.b64encode(f"{USER}:{server.password}".encode()).decode()},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        summary: dict[str, Any] = json.load(response)
        return summary


def amqp_url(server: ServerRecord) -> str:
    """The address for AMQP clients."""
    return f"amqp://{USER}:{server.password}@{LOOPBACK}:{server.ports['amqp']}/{VHOST}"


def management_url(server: ServerRecord) -> str:
    """The address of the management API."""
    return f"http://{USER}:{server.password}@{LOOPBACK}:{server.ports['management']}"


def running_node(root: Path) -> ProcessMark | None:
    """The node of this root folder, recognised by its environment: for when its record was lost."""
    return next((mark for mark, name in processes.owned_by(root) if name == "beam.smp"), None)


def halt(node: ProcessMark | None, root: Path, *, at_once: bool = False) -> None:
    """End the node, if it runs, and wait for it; then the port mapper and whatever else it has started.

    `at_once` saves the seconds in which it would put its data in order.
    """
    if node is not None:
        processes.stop(node, first=signal.SIGKILL if at_once else signal.SIGTERM, patience=_STOP_PATIENCE)
    for mark, name in list(processes.owned_by(root)):
        if name in _PROGRAMS:
            processes.stop(mark, patience=5.0)


def why_not(server: ServerRecord) -> Problem:
    """The end of the node's logs, for a person to whom we must say that it does not start."""
    logs = sorted((server.folder / "log").glob("*.log"), key=lambda path: path.stat().st_mtime)
    tail = " | ".join(
        line.strip()
        for path in logs[-2:]
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[-6:]
        if line.strip()
    )
    return Problem(
        f"the private RabbitMQ node did not start; its log ends with: {tail[-800:] or '(nothing)'}",
        f"a node that answers on {LOOPBACK}:{server.ports['amqp']}",
        f"Read the logs in {server.folder / 'log'}, then run `lienthong services up` again",
        exit_code=UNREACHABLE,
    )


def _configuration(server: ServerRecord) -> str:
    return (
        "# Written by `lienthong services up` at every start: changes here are lost.\n"
        f"listeners.tcp.local = {LOOPBACK}:{server.ports['amqp']}\n"
        f"management.tcp.ip = {LOOPBACK}\n"
        f"management.tcp.port = {server.ports['management']}\n"
        f"default_user = {USER}\n"
        f"default_pass = {server.password}\n"
        "default_user_tags.administrator = true\n"
        f"default_vhost = {VHOST}\n"
        "default_permissions.configure = .*\n"
        "default_permissions.read = .*\n"
        "default_permissions.write = .*\n"
        "log.file.rotation.size = 10485760\n"
        "log.file.rotation.count = 3\n"
        "\n" + shipped_configuration("rabbitmq")
    )
