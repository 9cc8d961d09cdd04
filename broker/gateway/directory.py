"""The directory over HTTP: `GET /v1/certificates/{sha256}` and `GET /v1/agencies` (contract §6)."""

from __future__ import annotations

from fastapi import APIRouter

from broker.gateway.app import Gateway


def router(gateway: Gateway) -> APIRouter:
    """The directory's paths, for this gateway."""
    return APIRouter()
