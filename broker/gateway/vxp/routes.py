"""The REST façade's paths."""

from __future__ import annotations

from fastapi import APIRouter

from broker.gateway.app import Gateway


def router(gateway: Gateway) -> APIRouter:
    """All paths of the façade, for this gateway."""
    return APIRouter()
