"""What a check of the evidence found: which row, leaf, tile or checkpoint says what, and what it should say. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was logged."""

    where: str
    """A table's name, or `tile`, `entries` or `checkpoint file` for a file of the log."""
    key: str
    """Which row, position or file."""
    what: str
    """The column, or `row` for a whole row that is missing or too many, or `order`."""
    found: str
    expected: str

    def sentence(self) -> str:
        """For a person."""
        return f"{self.where} {self.key}: {self.what}: found {self.found}, expected {self.expected}"


def shown(value: object) -> str:
    """A value as a finding shows it: bytes in hex, long ones cut."""
    text = value.hex() if isinstance(value, bytes | memoryview) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
