"""A private PostgreSQL cluster: its files, the user it runs as, starting it, asking whether it answers, ending it.

PostgreSQL refuses to run as root. Then an unprivileged user runs it, and its data leaves the root folder for
/var/lib if that user could not reach it there. No socket in the file system: TCP on the loopback interface only.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from broker.services import processes
from broker.services.processes import OWNER_VARIABLE, ProcessMark
from broker.services.record import LOOPBACK, ServerRecord
from broker.services.shipped import shipped_configuration
from schemas.problem import UNREACHABLE, Problem

USER: Final = "lienthong"
DATABASE: Final = "lienthong"
OLDEST: Final = 15
VERSIONS_FOLDER: Final = Path("/usr/lib/postgresql")
STATE_FOLDER: Final = Path("/var/lib")
PORT_USES: Final = ("postgresql",)
_UNPRIVILEGED: Final = ("postgres", "nobody")
_STOP_PATIENCE: Final = 60.0


def find_programs(data: Path | None = None) -> Path | None:
    """The folder of the newest PostgreSQL programs that will do, or None if there are none.

    A cluster that exists in `data` belongs to one version and is run with that one.
    """
    made_by = _cluster_version(data)
    found: dict[int, Path] = {}
    for programs in VERSIONS_FOLDER.glob("*/bin"):
        if programs.parent.name.isdigit() and os.access(programs / "initdb", os.X_OK):
            found[int(programs.parent.name)] = programs
    on_path = shutil.which("pg_config")
    if on_path is not None and not found:
        answer = subprocess.run([on_path, "--version", "--bindir"], capture_output=True, text=True, check=False).stdout
        match = re.search(r"PostgreSQL (\d+)", answer)
        folder = Path(next((line for line in answer.splitlines() if line.startswith("/")), "/nonexistent"))
        if match and os.access(folder / "initdb", os.X_OK):
            found[int(match[1])] = folder
    if made_by is not None:
        if made_by not in found:
            raise Problem(
                f"the private cluster in {data} was made by PostgreSQL {made_by}, which is not installed any more",
                f"PostgreSQL {made_by} in {VERSIONS_FOLDER / str(made_by)}",
                f"Install postgresql-{made_by}, or remove {data} with everything in it",
            )
        return found[made_by]
    good = [version for version in found if version >= OLDEST]
    return found[max(good)] if good else None


def runs_as() -> tuple[int, int] | None:
    """(uid, gid) of the user who runs the cluster; None when that is ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise Problem(
        f"this is root, and the machine has no user {' or '.join(_UNPRIVILEGED)}",
        "an unprivileged user: PostgreSQL refuses to run as root",
        "Create one of them, or run this command as an ordinary user",
    )


def choose_folder(root: Path) -> Path:
    """Where the cluster lives: below `root`, or below /var/lib if the user who runs it cannot get there."""
    user = runs_as()
    if user is None or _can_reach(root, *user):
        return root / "postgresql"
    return STATE_FOLDER / f"lienthong-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}" / "postgresql"


def prepare(server: ServerRecord, programs: Path) -> None:
    """Make the cluster if there is none, and write its configuration. Takes some seconds the first time."""
    folder, user = server.folder, runs_as()
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        os.chown(folder, *user)
    data = folder / "data"
    if not data.exists():
        _make_cluster(server, programs, data)
    configuration = data / "postgresql.conf"
    configuration.write_text(_configuration(server), encoding="utf-8")


def launch(server: ServerRecord, root: Path, programs: Path) -> ProcessMark | None:
    """Start the cluster; it is not ready yet."""
    prepare(server, programs)
    return processes.start(
        [str(programs / "postgres"), "-D", str(server.folder / "data")],
        environment={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", OWNER_VARIABLE: str(root)},
        folder=Path("/"),
        log=server.folder / "server.log",
        user=runs_as(),
    )


def answers(server: ServerRecord, programs: Path) -> bool:
    """Whether the cluster takes our password and runs a statement."""
    return _sql(server, programs, "select 1", database="postgres").returncode == 0


def finish(server: ServerRecord, programs: Path) -> None:
    """Make the exchange's database if it is missing."""
    exists = f"select 1 from pg_database where datname = '{DATABASE}'"
    if _sql(server, programs, exists, database="postgres").stdout.strip() == "1":
        return
    made = _sql(server, programs, f"create database {DATABASE}", database="postgres")
    if made.returncode != 0:
        raise Problem(
            f"the private cluster could not make the database {DATABASE}: {made.stderr.strip()}",
            "a cluster that this command made itself",
            f"Read {server.folder / 'server.log'}",
            exit_code=UNREACHABLE,
        )


def server_version(server: ServerRecord, programs: Path) -> str:
    """The server's version, for people."""
    return _sql(server, programs, "show server_version", database="postgres").stdout.partition(" ")[0].strip()


def database_url(server: ServerRecord) -> str:
    """The address of the exchange's database, as the role that owns everything."""
    return f"postgresql://{USER}:{server.password}@{LOOPBACK}:{server.ports['postgresql']}/{DATABASE}"


def running_cluster(folder: Path) -> ProcessMark | None:
    """The process that serves the data in `folder`, as PostgreSQL's own lock file tells: for a lost record."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        mark = ProcessMark.of(int(lines[0]))
        serves = Path(lines[1]) == folder / "data" and "postgres" in Path(f"/proc/{lines[0]}/comm").read_text("utf-8")
    except (OSError, ValueError, IndexError):
        return None
    return mark if serves else None


def halt(cluster: ProcessMark) -> None:
    """End the cluster ("fast": sessions are cut, the data is written) and wait for it."""
    processes.stop(cluster, first=signal.SIGINT, patience=_STOP_PATIENCE)


def why_not(server: ServerRecord) -> Problem:
    """The end of the cluster's log, for a person to whom we must say that it does not start."""
    log = server.folder / "server.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-6:] if log.exists() else []
    return Problem(
        f"the private PostgreSQL cluster did not start; its log ends with: {' | '.join(lines)[-800:] or '(nothing)'}",
        f"a cluster that answers on {LOOPBACK}:{server.ports['postgresql']}",
        f"Read {log}, then run `lienthong services up` again",
        exit_code=UNREACHABLE,
    )


def _make_cluster(server: ServerRecord, programs: Path, data: Path) -> None:
    """Make it beside its place and move it there when it is whole: an interrupted attempt leaves no half cluster."""
    user = runs_as()
    unfinished = data.with_name("data.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    password = data.with_name("password")
    password.touch(mode=0o600)
    if user is not None:
        os.chown(password, *user)
    password.write_text(server.password + "\n", encoding="ascii")
    made = subprocess.run(
        [
            str(programs / "initdb"),
            f"--pgdata={unfinished}",
            f"--username={USER}",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
        user=None if user is None else user[0],
        group=None if user is None else user[1],
        extra_groups=None if user is None else [],
    )
    password.unlink()
    if made.returncode != 0:
        raise Problem(
            f"initdb could not make a cluster in {data}: {(made.stderr or made.stdout).strip()[-600:]}",
            "a folder in which the cluster's user may write",
            f"Check {data.parent}, then run `lienthong services up` again",
        )
    unfinished.rename(data)


def _configuration(server: ServerRecord) -> str:
    return (
        "# Written by `lienthong services up` at every start: changes here are lost.\n"
        f"listen_addresses = '{LOOPBACK}'\n"
        f"port = {server.ports['postgresql']}\n"
        "unix_socket_directories = ''\n"
        "\n" + shipped_configuration("postgresql")
    )


def _sql(server: ServerRecord, programs: Path, statement: str, *, database: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(programs / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--quiet", f"--command={statement}"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={
            "PATH": "/usr/bin:/bin",
            "PGHOST": LOOPBACK,
            "PGPORT": str(server.ports["postgresql"]),
            "PGUSER": USER,
            "PGPASSWORD": server.password,
            "PGDATABASE": database,
            "PGCONNECT_TIMEOUT": "5",
        },
    )


def _cluster_version(data: Path | None) -> int | None:
    if data is None:
        return None
    try:
        return int((data / "PG_VERSION").read_text(encoding="ascii").strip().split(".")[0])
    except FileNotFoundError:
        return None


def _can_reach(folder: Path, uid: int, gid: int) -> bool:
    """Whether a user may walk down to `folder`: the search permission of every folder on the way."""
    for step in (folder, *folder.parents):
        state = step.stat()
        bit = 0o100 if state.st_uid == uid else 0o010 if state.st_gid == gid else 0o001
        if not state.st_mode & bit:
            return False
    return True
