"""What is remembered between two `up`s."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from broker.services.processes import ProcessMark
from broker.services.record import (
    FILE,
    PORTS,
    Record,
    free_ports,
    is_free,
    new_server,
    read,
    with_free_ports,
    write,
)
from schemas.problem import Problem


def test_a_record_is_read_as_it_was_written_and_only_by_its_owner(tmp_path: Path) -> None:
    process = ProcessMark(pid=1, started=2, boot="b")
    server = new_server(tmp_path / "rabbitmq", "amqp", "epmd")
    record = Record(rabbitmq=server, endpoints={"amqp_url": "amqp://x"})
    write(tmp_path, record)
    assert read(tmp_path) == record
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert process.pid not in server.ports.values()


def test_a_new_folder_has_an_empty_record(tmp_path: Path) -> None:
    assert read(tmp_path) == Record()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"rabbitmq": 3, "postgresql": null, "endpoints": {}}'])
def test_a_damaged_record_is_a_problem_with_a_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(Problem, match="--erase"):
        read(tmp_path)


def test_ports_are_kept_unless_somebody_took_one(tmp_path: Path) -> None:
    server = new_server(tmp_path, "amqp", "management")
    assert with_free_ports(server) == server
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", server.ports["amqp"]))
        somebody.listen()
        assert not is_free(server.ports["amqp"])
        moved = with_free_ports(server)
        assert server.ports["amqp"] not in moved.ports.values()
        assert moved.password == server.password


def test_ports_are_different_and_out_of_the_range_for_outgoing_connections() -> None:
    ports = free_ports(("a", "b", "c", "d"))
    assert len(set(ports.values())) == 4
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port in PORTS and port < lowest for port in ports.values())
