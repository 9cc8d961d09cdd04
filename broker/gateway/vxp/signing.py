"""Who is asking: the HMAC signature of the REST protocol, checked. Pure.

The client signs a JSON text of some of its headers with its secret. What is signed counts only if it says the same as
the header that it stands for. The scheme signs no body, no path and no method; what is done about that is told in
docs/connect/rest.md. Every way to fail ends in the same `Denied`: what was wrong is for our own log.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Final

from broker.gateway.addresses import Address, Network, within

PREFIX: Final = "xroadvnpt-"
MANDATORY: Final = ("systemid", "timestamp", "content-type")
"""Signed in every request, by these names in lower case."""
SIGNED_LIMIT: Final = 16 * 1024
"""Bytes of the signed text."""
NAMES_LIMIT: Final = 64
"""Headers that one request signs at most."""

_TIMESTAMP: Final = re.compile(r"(\d{2})(\d{2})(\d{4})T(\d{2})(\d{2})(\d{2})\+(\d{1,4})", re.ASCII)
_HASH: Final = re.compile(rb"[0-9a-fA-F]{64}")
_NOBODY: Final = b"a secret that nobody has"


class Denied(Exception):
    """The request is not from whom it says. `why` is for the exchange's own log; the client is never told."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How timestamps are judged: they are local times without a zone."""

    now: datetime
    past: timedelta
    ahead: timedelta
    offsets: Sequence[timedelta]
    """Offsets from UTC in which clients' clocks may run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The signature of a request as far as it can be read without the secret."""

    system: str
    text: bytes
    hash: bytes
    names: frozenset[str]
    """Of the signed headers, in lower case and without the prefix."""
    timestamp: datetime
    """Local time of the client, naive."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of a request by lower-case name, as bytes; of repeated ones, all."""

    values: Mapping[str, tuple[bytes, ...]] = field(repr=False)

    @classmethod
    def of(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """From the pairs that the server read."""
        found: dict[str, tuple[bytes, ...]] = {}
        for name, value in raw:
            key = name.decode("latin-1").lower()
            found[key] = (*found.get(key, ()), value.strip())
        return cls(found)

    def one(self, name: str) -> bytes | None:
        """The header of that name; None if there is none. Raises Denied for one that is there with two values."""
        values = self.values.get(name.lower(), ())
        if len(set(values)) > 1:
            raise Denied(f"the header {name} with {len(values)} values")
        return values[0] if values else None

    def text(self, name: str) -> str | None:
        """The same as text. Raises Denied."""
        value = self.one(name)
        return None if value is None else as_text(value)

    def parameter(self, name: str) -> str | None:
        """A parameter of the protocol, without its prefix. Raises Denied."""
        return self.text(PREFIX + name)


def as_text(value: bytes) -> str:
    """A header's bytes as text: UTF-8, as the client writes it, or Latin-1 as HTTP has it."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def read_signature(headers: Headers) -> Signature:
    """What the request says that it signs, compared with its real headers. Raises Denied."""
    text = headers.one(PREFIX + "sign-header")
    listed = headers.parameter("sign-header-key")
    given = headers.one(PREFIX + "hash-header")
    if text is None or listed is None or given is None:
        raise Denied("no signature")
    if len(text) > SIGNED_LIMIT or _HASH.fullmatch(given) is None:
        raise Denied("a signature of another form")
    said = _read_object(text)
    names = [name.strip().lower() for name in listed.split(";")]
    if len(names) > NAMES_LIMIT or len(set(names)) != len(names):
        raise Denied("too many signed names, or one twice")
    if set(said) != {PREFIX + name for name in names}:
        raise Denied("the names listed are not the names signed")
    for name in MANDATORY:
        if name not in names:
            raise Denied(f"{name} is not signed")
    for name in names:
        real = headers.parameter(name)
        if real is None or real != said[PREFIX + name].strip():
            raise Denied(f"{name} is signed as something else than it is")
    declared = headers.text("content-type")
    if declared is not None and _media_type(declared) != _media_type(said[PREFIX + "content-type"]):
        raise Denied("Content-Type is signed as something else than it is")
    return Signature(
        system=said[PREFIX + "systemid"].strip(),
        text=text,
        hash=given.lower(),
        names=frozenset(names),
        timestamp=read_timestamp(said[PREFIX + "timestamp"]),
    )


def check_signature(signature: Signature, secrets: Sequence[bytes]) -> None:
    """One of these secrets made the signature. Raises Denied; takes the same time for all that are wrong."""
    fits = False
    for secret in secrets or (_NOBODY,):
        made = hmac.new(secret, signature.text, sha256).hexdigest().encode()
        fits |= hmac.compare_digest(made, signature.hash)
    if not fits or not secrets:
        raise Denied("the signature does not fit the secret")


def check_fresh(timestamp: datetime, clock: Clock) -> None:
    """The timestamp is of now, in one of the zones in which clients' clocks run. Raises Denied."""
    for offset in clock.offsets:
        told = timestamp.replace(tzinfo=timezone(offset))
        if clock.now - clock.past <= told <= clock.now + clock.ahead:
            return
    raise Denied(f"timestamp {timestamp.isoformat()} is not of now")


def check_secret(given: bytes | None, secrets: Sequence[bytes]) -> None:
    """The plain secret of the provincial flavour is one of these. Raises Denied; compares in constant time."""
    fits = False
    for secret in secrets or (_NOBODY,):
        fits |= hmac.compare_digest(sha256(secret).digest(), sha256(given or b"").digest())
    if not fits or not secrets or given is None:
        raise Denied("the secret is another one")


def read_timestamp(text: str) -> datetime:
    """`22112026T000806+0034`: day, month, year, time, and milliseconds after the plus. Raises Denied."""
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise Denied("a timestamp of another form")
    day, month, year, hour, minute, second, milliseconds = (int(part) for part in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, min(milliseconds, 999) * 1000)
    except ValueError:
        raise Denied("a timestamp of no day") from None


def _media_type(value: str) -> str:
    """Without parameters: some libraries add a charset of their own."""
    return value.partition(";")[0].strip().lower()


def _read_object(text: bytes) -> dict[str, str]:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            if key in found or not isinstance(value, str):
                raise Denied("a signed name twice, or a value that is no text")
            found[key] = value
        return found

    try:
        said = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        raise Denied("a signed text that is not JSON") from None
    if not isinstance(said, dict):
        raise Denied("a signed text that is not an object")
    return said


def check_address(address: Address | None, allowed: Sequence[Network]) -> None:
    """The system may ask from there; without a list from anywhere. Raises Denied."""
    if allowed and (address is None or not within(address, allowed)):
        raise Denied(f"address {address} is not on the system's list")
