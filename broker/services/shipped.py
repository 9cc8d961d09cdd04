"""The servers' configuration that is part of the program: `deploy/` in a checkout, beside this file when installed.

One text for the private servers and for production, so that what is tested is what is recommended.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_PLACES: Final = {
    "rabbitmq": (_HERE / "conf" / "rabbitmq.conf", _HERE.parents[1] / "deploy" / "rabbitmq" / "rabbitmq.conf"),
    "postgresql": (_HERE / "conf" / "postgresql.conf", _HERE.parents[1] / "deploy" / "postgresql" / "postgresql.conf"),
}


def shipped_configuration(server: str) -> str:
    """The configuration of `server` ("rabbitmq" or "postgresql") without addresses, ports and users."""
    installed, checkout = _PLACES[server]
    return (installed if installed.exists() else checkout).read_text(encoding="utf-8")
