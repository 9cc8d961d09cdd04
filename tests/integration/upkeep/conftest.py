"""Fixtures of the keeper's tests."""

from __future__ import annotations

from tests.kit.fixtures import exchange

__all__ = ["exchange"]
