"""The content store's paths: `PUT`, `HEAD` and `GET /v1/content/{sha256}` (contract §6)."""

from __future__ import annotations

from fastapi import APIRouter

from broker.gateway.app import Gateway


def router(gateway: Gateway) -> APIRouter:
    """The content store's paths, for this gateway."""
    return APIRouter()
