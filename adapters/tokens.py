"""Tokens with which this agency asks at the gateway (contract §6). Pure but for the key and the token's random name."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final
from uuid import uuid4

from adapters.identity import Signer
from schemas.jws import sign_compact

TYP: Final = "lienthong-auth+jwt"
LIFE_SECONDS: Final = 240
"""The contract allows 300; a clock that is a little ahead of the gateway's does no harm."""


def token(signer: Signer, *, method: str, url: str, audience: str, now: datetime) -> str:
    """A token for one request; for PUT it works once. `audience` is the gateway's name."""
    seconds = int(now.timestamp())
    claims = {
        "iss": signer.code,
        "aud": audience,
        "iat": seconds,
        "exp": seconds + LIFE_SECONDS,
        "jti": str(uuid4()),
        "htm": method,
        "htu": url,
    }
    payload = json.dumps(claims, separators=(",", ":")).encode("ascii")
    return sign_compact(payload, key=signer.key, thumbprint=signer.thumbprint, typ=TYP)
