"""Logs hold neither passwords nor a document's text."""

from __future__ import annotations

import json
import subprocess
import sys

from broker.logs import MASK, mask

SCRIPT = """
import logging, structlog
from broker.logs import set_up
set_up(process="worker", as_json=True)
structlog.get_logger().info("accepted", sender="H53", count=3, subject="Công văn mật", url="amqp://u:secret@h/v")
logging.getLogger("aio_pika").warning("lost %s", "the connection")
session = "only-for-the-browser"  # a variable that a traceback could show
try:
    raise ValueError("oh")
except ValueError:
    structlog.get_logger().exception("failed")
"""


def test_a_process_logs_one_json_object_a_line() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    accepted, lost, failed = map(json.loads, done.stderr.splitlines())
    assert accepted["event"] == "accepted"
    assert (accepted["process"], accepted["sender"], accepted["count"]) == ("worker", "H53", 3)
    assert (accepted["subject"], accepted["url"]) == (MASK, "amqp://h/v")
    assert lost["event"] == "lost the connection"
    assert failed["exception"][0]["exc_type"] == "ValueError"
    assert "secret" not in done.stderr
    assert "mật" not in done.stderr
    assert "only-for-the-browser" not in done.stderr


def test_what_tells_nothing_passes_unchanged() -> None:
    event = {"event": "x", "codes": ["H53"], "link": "https://example/a"}
    assert mask(None, "info", dict(event)) == event
