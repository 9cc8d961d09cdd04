"""What is done to servers: ends those that are a test's own, and cuts connections of a virtual host that is."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from broker.services import Endpoints, up
from broker.services.processes import ProcessMark, reap
from broker.services.record import read
from tests.conftest import manage

GONE_WITHIN = 90.0


@dataclass(frozen=True, slots=True)
class Servers:
    """The private servers of one root folder."""

    root: Path
    endpoints: Endpoints

    @classmethod
    def started(cls, root: Path) -> Servers:
        return cls(root, up(root))

    def end_rabbitmq(self, sign: signal.Signals) -> None:
        """End the node with `sign`, by its id, and start it again; returns when it answers."""
        server = read(self.root).rabbitmq
        assert server is not None and server.process is not None
        self._end(server.process, sign)

    def end_postgresql(self, sign: signal.Signals) -> None:
        """End the cluster with `sign`, by its id, and start it again; returns when it answers."""
        server = read(self.root).postgresql
        assert server is not None and server.process is not None
        self._end(server.process, sign)

    def _end(self, mark: ProcessMark, sign: signal.Signals) -> None:
        os.kill(mark.pid, sign)
        deadline = time.monotonic() + GONE_WITHIN
        while mark.alive():
            reap(mark.pid)
            assert time.monotonic() < deadline, f"the server has not ended {GONE_WITHIN:.0f} s after {sign.name}"
            time.sleep(0.02)
        assert up(self.root) == self.endpoints, "clients find it where it was"


def cut_connections(management_url: str, vhost: str) -> int:
    """Have the server close every connection to a virtual host, as an operator can. Returns how many there were."""
    parts = urlsplit(management_url)
    login = base64.b64encode(f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()).decode()
    place = urlunsplit(
        (parts.scheme, parts.netloc.rpartition("@")[2], f"/api/vhosts/{quote(vhost)}/connections", "", "")
    )
    request = urllib.request.Request(place, headers={"Authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        names = [connection["name"] for connection in json.load(answer)]
    for name in names:
        with suppress(HTTPError):  # it has ended by itself
            manage(management_url, "DELETE", f"/api/connections/{quote(name, safe='')}")
    return len(names)
