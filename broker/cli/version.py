"""`lienthong version`."""

from __future__ import annotations

import platform
from importlib.metadata import version

from broker.cli.output import JsonOption, emit


def command(as_json: JsonOption = False) -> None:
    """Say which version this is."""
    found = {"lienthong": version("lienthong"), "python": platform.python_version()}
    emit(found, as_json=as_json, render=lambda v: f"lienthong {v['lienthong']} (Python {v['python']})")
