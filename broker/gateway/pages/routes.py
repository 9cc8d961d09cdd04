"""The pages' paths."""

from __future__ import annotations

from fastapi import APIRouter

from broker.gateway.app import Gateway


def router(gateway: Gateway) -> APIRouter:
    """All pages, for this gateway."""
    return APIRouter()
