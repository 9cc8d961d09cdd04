"""`Agency`: what a developer at an agency opens. Sends letters, hands over what came, reports statuses."""

from __future__ import annotations

from pathlib import Path

from adapters.receiving import Receiving
from adapters.running import DATABASE
from adapters.sending import Sending
from adapters.settings import AgencySettings, load

__all__ = ["DATABASE", "Agency"]


class Agency(Sending, Receiving):
    """An agency's program, open between `async with` and its end."""

    @classmethod
    def open(cls, settings: AgencySettings | Path | str) -> Agency:
        """An agency from `agency.toml` (or its settings), to be used with `async with`. Raises Problem."""
        return cls(settings if isinstance(settings, AgencySettings) else load(Path(settings)))
