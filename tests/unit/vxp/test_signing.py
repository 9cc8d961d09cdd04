"""A request is let in only if its signature is whole, fresh and says what its headers say."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.gateway.addresses import client_address, networks
from broker.gateway.vxp.signing import (
    Clock,
    Denied,
    Headers,
    check_address,
    check_fresh,
    check_secret,
    check_signature,
    read_signature,
    read_timestamp,
)
from schemas.problem import Problem

SECRET = b"AwyOIWljooz1hxgZsxpEBjCoj5rg9dMMsLJl0YydfZpd"
NOW = datetime(2026, 11, 21, 17, 8, 6, 34_000, tzinfo=UTC)
CAPTURED = {
    "XroadVnpt-systemid": "00.53.W00",
    "XroadVnpt-timestamp": "22112026T000806+0034",
    "Content-Type": "application/json",
    "XroadVnpt-Content-Type": "application/json",
    "XroadVnpt-sign-header-key": "systemid;timestamp;Content-Type",
    "XroadVnpt-sign-header": '{"XroadVnpt-systemid":"00.53.W00","XroadVnpt-timestamp":"22112026T000806+0034",'
    '"XroadVnpt-Content-Type":"application/json"}',
    "User-Agent": "JAVASDKAgent/1.0.0 XRoad/VPCP",
    "XroadVnpt-version": "3.0.201608",
}


def request(**changed: str | None) -> Headers:
    """The captured headers, changed and then signed; a key may be written with _ for -."""
    headers = dict(CAPTURED) | {name.replace("_", "-"): value for name, value in changed.items() if value is not None}
    for name in [name.replace("_", "-") for name, value in changed.items() if value is None]:
        headers.pop(name, None)
    text = headers.get("XroadVnpt-sign-header", "")
    headers.setdefault("XroadVnpt-hash-header", hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest())
    return Headers.of((name.encode(), value.encode()) for name, value in headers.items())


def admitted(headers: Headers, secret: bytes = SECRET) -> None:
    signature = read_signature(headers)
    check_signature(signature, (secret,))
    clock = Clock(
        now=NOW, past=timedelta(minutes=15), ahead=timedelta(minutes=5), offsets=(timedelta(hours=7), timedelta(0))
    )
    check_fresh(signature.timestamp, clock)


def signed(**said: str) -> dict[str, str]:
    """Headers that sign these names with these values and have them too."""
    return {
        "XroadVnpt_sign_header_key": ";".join(said),
        "XroadVnpt_sign_header": json.dumps({f"XroadVnpt-{name}": value for name, value in said.items()}),
    } | {f"XroadVnpt-{name}": value for name, value in said.items()}


def test_the_captured_request_is_let_in() -> None:
    admitted(request())
    assert read_signature(request()).system == "00.53.W00"


def test_header_names_count_in_any_case_and_unknown_headers_do_not_count() -> None:
    lower = Headers.of((name.lower().encode(), value.encode()) for name, value in CAPTURED.items())
    lower.values["xroadvnpt-hash-header"] = request().values["xroadvnpt-hash-header"]  # type: ignore[index]
    lower.values["x-anything"] = (b"1", b"2")  # type: ignore[index]
    admitted(lower)


@pytest.mark.parametrize(
    "changed",
    [
        {"XroadVnpt_systemid": "00.54.W00"},
        {"XroadVnpt_timestamp": "22112026T000807+0034"},
        {"XroadVnpt_Content_Type": "text/plain"},
        {"Content-Type": "text/plain"},
        {"XroadVnpt_sign_header": None},
        {"XroadVnpt_sign_header_key": None},
        {"XroadVnpt_hash_header": "0" * 64},
        {"XroadVnpt_hash_header": "zz"},
        {"XroadVnpt_sign_header_key": "systemid;timestamp"},
        {"XroadVnpt_sign_header_key": "systemid;timestamp;Content-Type;docId"},
        {"XroadVnpt_sign_header_key": "systemid;systemid;timestamp;Content-Type"},
        {"XroadVnpt_sign_header": "[]"},
        {"XroadVnpt_sign_header": "{"},
        {"XroadVnpt_sign_header": "[" * 4000},
        {"XroadVnpt_sign_header": '{"a":' + "1" * 20_000 + "}"},
    ],
    ids=str,
)
def test_what_is_signed_must_be_what_is_said(changed: dict[str, str | None]) -> None:
    with pytest.raises(Denied):
        admitted(request(**changed))


@pytest.mark.parametrize("name", ["systemid", "timestamp", "Content-Type"])
def test_the_three_names_are_mandatory(name: str) -> None:
    said = {
        "systemid": "00.53.W00",
        "timestamp": "22112026T000806+0034",
        "Content-Type": "application/json",
        "docId": "1",
    }
    admitted(request(**signed(**said)))
    del said[name]
    with pytest.raises(Denied, match="is not signed"):
        read_signature(request(**signed(**said)))


def test_a_further_signed_parameter_cannot_be_exchanged() -> None:
    said = {"docId": "1", "systemid": "00.53.W00", "timestamp": "22112026T000806+0034"}
    headers = signed(**said, **{"Content-Type": "application/json"})
    admitted(request(**headers))
    with pytest.raises(Denied, match="something else"):
        read_signature(request(**headers | {"XroadVnpt-docId": "2"}))


def test_a_name_that_is_signed_twice_is_refused() -> None:
    text = CAPTURED["XroadVnpt-sign-header"][:-1] + ',"xroadvnpt-SYSTEMID":"00.54.W00"}'
    with pytest.raises(Denied, match="twice"):
        read_signature(request(XroadVnpt_sign_header=text))


def test_a_wrong_secret_and_a_system_that_does_not_exist_look_alike() -> None:
    signature = read_signature(request())
    whys = []
    for secrets in ((b"another",), ()):
        with pytest.raises(Denied) as denied:
            check_signature(signature, secrets)
        whys.append(denied.value.why)
    assert whys[0] == whys[1]


def test_old_and_new_secret_are_both_good_while_a_rotation_overlaps() -> None:
    check_signature(read_signature(request()), (b"new", SECRET))
    check_secret(SECRET, (b"new", SECRET))
    for given_secret in (b"", None, b"other"):
        with pytest.raises(Denied):
            check_secret(given_secret, (b"new", SECRET))


@pytest.mark.parametrize(("minutes", "good"), [(0, True), (-14, True), (-16, False), (4, True), (6, False)])
def test_a_timestamp_is_good_for_a_while(minutes: int, good: bool) -> None:
    clock = Clock(
        now=NOW - timedelta(minutes=minutes),
        past=timedelta(minutes=15),
        ahead=timedelta(minutes=5),
        offsets=(timedelta(hours=7),),
    )
    stamp = read_timestamp("22112026T000806+0034")
    if good:
        check_fresh(stamp, clock)
    else:
        with pytest.raises(Denied):
            check_fresh(stamp, clock)


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 1, 1)))
def test_every_timestamp_of_the_client_is_read(moment: datetime) -> None:
    exact = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert read_timestamp(f"{exact:%d%m%YT%H%M%S}+{exact.microsecond // 1000:04d}") == exact


@given(st.text(max_size=40))
def test_anything_else_as_a_timestamp_is_refused(text: str) -> None:
    try:
        read_timestamp(text)
    except Denied:
        return
    assert len(text.strip()) >= 17


def test_forwarded_addresses_count_only_from_trusted_proxies() -> None:
    proxies = networks(["10.0.0.0/8"])
    assert str(client_address("192.0.2.1", ["203.0.113.9"], proxies)) == "192.0.2.1"
    assert str(client_address("10.0.0.1", ["203.0.113.9"], proxies)) == "203.0.113.9"
    # What stands left of the first stranger was written by that stranger.
    assert str(client_address("10.0.0.1", ["1.2.3.4, 203.0.113.9", "10.0.0.2"], proxies)) == "203.0.113.9"
    assert client_address("10.0.0.1", ["rubbish"], proxies) is None
    assert str(client_address("::ffff:10.0.0.1", [], proxies)) == "10.0.0.1"
    allowed = networks(["203.0.113.0/24", "2001:db8::/32"])
    check_address(client_address("10.0.0.1", ["203.0.113.9"], proxies), allowed)
    check_address(client_address("2001:db8::5", [], proxies), allowed)
    for address in (client_address("192.0.2.1", [], proxies), None):
        with pytest.raises(Denied):
            check_address(address, allowed)
    check_address(None, ())
    with pytest.raises(Problem):
        networks(["10.0.0.1/8"])
