"""A token proves one agency's wish for one request, for minutes; everything else is refused, by name (contract §6)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.directory.records import Agency, AgencyId, Enrolled, Mandate
from broker.directory.snapshot import Directory
from broker.gateway.tokens import TYP, Caller, verify_token
from schemas.certificates import new_private_key
from schemas.errors import Refusal
from schemas.jws import PrivateKey, sign_compact

NOW = datetime(2026, 3, 12, 8, tzinfo=UTC)
AUD = "https://gateway.example.vn"
URL = f"{AUD}/v1/content/{'a' * 64}"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Known:
    """An agency and its key, without the cost of a certificate."""

    agency: Agency
    key: PrivateKey
    enrolled: Enrolled

    @property
    def thumbprint(self) -> bytes:
        return self.enrolled.thumbprint


def known(number: int, code: str, **fields: Any) -> Known:
    key = new_private_key("P-256")
    agency = Agency(id=AgencyId(number), code=code, name=code, level="ministry", state=fields.pop("state", "active"))
    enrolled = Enrolled(
        **{
            "thumbprint": bytes([number]) * 32,
            "agency_id": agency.id,
            "der": b"",
            "not_before": NOW - DAY,
            "not_after": NOW + DAY,
        }
        | fields
    )
    enrolled.__dict__["public_key"] = key.public_key()
    return Known(agency, key, enrolled)


G01, G02 = known(1, "G01"), known(2, "G02")
HUB, COMMUNE, SIGNED_ONLY = known(3, "H53"), known(4, "H53.1"), known(5, "H53.2")
SUSPENDED = known(6, "G06", state="suspended")
EXPIRED, REVOKED = known(7, "G07", not_after=NOW - timedelta(minutes=1)), known(8, "G08", revoked_at=NOW - DAY)
EVERYBODY = (G01, G02, HUB, COMMUNE, SIGNED_ONLY, SUSPENDED, EXPIRED, REVOKED)
DIRECTORY = Directory.build(
    agencies=[one.agency for one in EVERYBODY],
    mandates=[
        Mandate(hub_id=HUB.agency.id, agency_id=COMMUNE.agency.id, may_receive=True, may_sign=True),
        Mandate(hub_id=HUB.agency.id, agency_id=SIGNED_ONLY.agency.id, may_receive=False, may_sign=True),
    ],
    certificates=[one.enrolled for one in EVERYBODY],
)


def token(by: Known = G01, *, typ: str = TYP, key: PrivateKey | None = None, **claims: Any) -> str:
    seconds = int(NOW.timestamp())
    told = {
        "iss": by.agency.code,
        "aud": AUD,
        "iat": seconds,
        "exp": seconds + 60,
        "jti": "0190b3c4",
        "htm": "PUT",
        "htu": URL,
    } | claims
    payload = json.dumps({name: value for name, value in told.items() if value is not ...}).encode()
    return sign_compact(payload, key=key or by.key, thumbprint=by.thumbprint, typ=typ)


def verified(text: str, method: str = "PUT", url: str = URL) -> Caller:
    return verify_token(text, method=method, url=url, audience=AUD, directory=DIRECTORY, now=NOW)


def test_a_good_token_says_who_asks() -> None:
    caller = verified(token())
    assert (caller.agency.code, caller.signer.code, caller.jti) == ("G01", "G01", "0190b3c4")
    assert caller.expires_at == NOW + timedelta(seconds=60)


SECONDS = int(NOW.timestamp())
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nobody": ({"iss": ...}, "token.iss"),
    "an agency that does not exist": ({"iss": "G99"}, "token.iss"),
    "a code that is not canonical": ({"iss": "g01"}, "token.iss"),
    "another gateway's": ({"aud": "https://other.example.vn"}, "token.aud"),
    "several audiences": ({"aud": [AUD]}, "token.aud"),
    "another method's": ({"htm": "GET"}, "token.htm"),
    "another address's": ({"htu": URL[:-1] + "b"}, "token.htu"),
    "an address with a query": ({"htu": URL + "?a=1"}, "token.htu"),
    "without a name of its own": ({"jti": ...}, "token.jti"),
    "with an empty name": ({"jti": ""}, "token.jti"),
    "with an endless name": ({"jti": "x" * 129}, "token.jti"),
    "without an end": ({"exp": ...}, "token.exp"),
    "that lives too long": ({"exp": SECONDS + 301}, "token.exp"),
    "that ends before it begins": ({"exp": SECONDS - 1}, "token.exp"),
    "that is over": ({"iat": SECONDS - 300, "exp": SECONDS}, "token.exp"),
    "from far ahead": ({"iat": SECONDS + 61, "exp": SECONDS + 120}, "token.iat"),
    "with a time as text": ({"iat": str(SECONDS)}, "token.iat"),
    "with a time that is true": ({"iat": True}, "token.iat"),
    "with a time beyond all times": ({"exp": 1e300}, "token.exp"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_token_is_refused_that_is(wrong: str) -> None:
    claims, field = WRONG[wrong]
    with pytest.raises(Refusal) as caught:
        verified(token(**claims))
    assert (caught.value.code, caught.value.field) == ("LT-AUTH", field)


@pytest.mark.parametrize(
    "claims",
    [{"exp": SECONDS + 300}, {"iat": SECONDS + 60, "exp": SECONDS + 70}, {"iat": SECONDS - 299, "exp": SECONDS + 1}],
)
def test_clocks_may_differ_by_a_little(claims: dict[str, Any]) -> None:
    assert verified(token(**claims)).agency.code == "G01"


def test_only_an_enrolled_key_of_the_agency_or_its_hub_may_sign() -> None:
    for text, method, code in (
        (token(G02, iss="G01"), "PUT", "LT-SIGNER-NOT-ALLOWED"),
        (token(COMMUNE, iss="H53"), "PUT", "LT-SIGNER-NOT-ALLOWED"),
        (token(HUB, iss="G01"), "PUT", "LT-SIGNER-NOT-ALLOWED"),
        (token(HUB, iss="H53.2", htm="GET"), "GET", "LT-SIGNER-NOT-ALLOWED"),
        (token(G01, key=G02.key), "PUT", "LT-SIGNATURE"),
        (token(EXPIRED), "PUT", "LT-SIGNER-EXPIRED"),
        (token(REVOKED), "PUT", "LT-SIGNER-REVOKED"),
        (token(SUSPENDED), "PUT", "LT-AUTH"),
        (token(known(99, "G01")), "PUT", "LT-SIGNER-UNKNOWN"),
    ):
        with pytest.raises(Refusal) as caught:
            verified(text, method)
        assert caught.value.code == code
    assert verified(token(HUB, iss="H53.1", htm="GET"), "GET").signer.code == "H53"
    assert verified(token(HUB, iss="H53.2")).agency.code == "H53.2", "the mandate to sign is enough to store"


def test_neither_a_manifest_nor_nonsense_is_a_token() -> None:
    good = token()
    for text in (token(typ="lienthong+jws"), "", "a.b.c", good + ".x", good[:-2], "x" * 5000, "é", good.upper()):
        with pytest.raises(Refusal) as caught:
            verified(text)
        assert caught.value.code in {"LT-AUTH", "LT-ALGORITHM", "LT-SIGNATURE"}, text[:20]
