"""Fixtures of the tests of statuses."""

from __future__ import annotations

from tests.kit.fixtures import exchange

__all__ = ["exchange"]
