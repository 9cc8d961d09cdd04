"""Tokens of contract §6 as a test's agency makes them, good by default and wrong in whatever way is asked for."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

from schemas.jws import PrivateKey, sign_compact
from tests.kit.exchange import End

TYP = "lienthong-auth+jwt"


def token(
    end: End,
    method: str,
    url: str,
    *,
    audience: str,
    key: PrivateKey | None = None,
    thumbprint: bytes | None = None,
    typ: str = TYP,
    life: float = 60,
    age: float = 0,
    **claims: Any,
) -> str:
    """A token of `end` for one request; `claims` replace or, with None, take away."""
    now = int(time.time() - age)
    told: dict[str, Any] = {
        "iss": end.code,
        "aud": audience,
        "iat": now,
        "exp": now + int(life),
        "jti": str(uuid4()),
        "htm": method,
        "htu": url,
    } | claims
    payload = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
    return sign_compact(payload, key=key or end.key, thumbprint=thumbprint or end.thumbprint, typ=typ)


def bearer(text: str) -> dict[str, str]:
    """As a header."""
    return {"Authorization": f"Bearer {text}"}
