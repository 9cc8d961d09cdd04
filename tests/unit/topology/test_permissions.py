"""An agency's patterns match its own names and no others."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from broker.topology.permissions import is_agency_pattern, password_hash, rights_of, user_definitions
from schemas import wire

codes = st.from_regex(r"[A-Z0-9]{1,4}([.\-][A-Z0-9]{1,4}){0,3}", fullmatch=True)


def matches(pattern: str, text: str) -> bool:
    """As the server matches: anywhere in the text, unless anchored. `\\z` is Python's `\\Z`."""
    return re.search(pattern.replace(r"\z", r"\Z"), text) is not None


def keys(code: str) -> list[str]:
    return [
        wire.document_key(code, True),
        wire.document_key(code, False),
        wire.status_key(code),
        wire.request_key(code),
    ]


@given(codes)
def test_every_own_name_matches(code: str) -> None:
    rights = rights_of(code)
    assert matches(rights.write, wire.SUBMIT)
    assert matches(rights.read, wire.mailbox(code))
    assert all(matches(rights.topic_write, key) for key in keys(code))
    assert is_agency_pattern(rights.read)


@given(codes, codes)
def test_no_other_agencys_name_matches(mine: str, other: str) -> None:
    assume(mine != other)
    rights = rights_of(mine)
    assert not matches(rights.read, wire.mailbox(other))
    assert not any(matches(rights.topic_write, key) for key in keys(other))


@given(codes, st.text(max_size=3), st.text(max_size=3))
def test_nothing_around_an_own_name_matches(code: str, before: str, after: str) -> None:
    assume(before + after)
    rights = rights_of(code)
    assert not matches(rights.read, before + wire.mailbox(code) + after)
    assert not matches(rights.write, before + wire.SUBMIT + after)
    # With text in between another agency's key is possible, but never one that is read as this agency's.
    assert not any(matches(rights.topic_write, before + key + after) for key in keys(code))


@given(codes)
def test_nothing_else_of_the_exchange_can_be_reached(code: str) -> None:
    rights = rights_of(code)
    for name in (wire.DELIVER, wire.DEAD, wire.INTAKE_URGENT, wire.STATUS, "lt.retry.5s", "amq.default", "lt_submit"):
        assert not matches(rights.write, name)
        assert not matches(rights.read, name)
        assert not matches(rights.configure, name)


def test_a_password_is_hashed_as_the_server_does_it() -> None:
    salt = b"\x90\x8d\xc6\x0a"
    expected = base64.b64encode(salt + hashlib.sha256(salt + b"test12").digest()).decode()
    assert password_hash("test12", salt) == expected == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_no_password_leaves_in_the_clear_and_none_is_hashed_alike() -> None:
    made = user_definitions("v", {"H53": "Tr0ub4dor-and-3", "G01": "Tr0ub4dor-and-3"})
    assert "Tr0ub4dor" not in repr(made)
    first, second = (one["password_hash"] for one in made["users"])
    assert first != second
    assert all(one["tags"] == [] for one in made["users"])


def test_an_empty_password_is_refused() -> None:
    with pytest.raises(ValueError, match="H53 is empty"):
        user_definitions("v", {"H53": ""})
