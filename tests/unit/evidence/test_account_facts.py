"""What the log says of an account tells whoever reads it nothing about the person."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from broker.evidence.account_facts import HIDDEN, SALT, account_facts, is_password, no_password
from schemas.canonical import canonical_json

AT = datetime(2026, 3, 12, tzinfo=UTC)
HASH = "$argon2id$v=19$m=65536,t=3,p=4$" + "c29tZXNhbHRzb21lc2FsdA" + "$" + "aGFzaA" * 7
ROW: dict[str, Any] = {
    "login": "an", "full_name": "Nguyễn Văn An", "oidc_subject": "issuer an", "role": "auditor", "subtree": "H53",
    "password_hash": HASH, "created_at": AT, "password_at": AT, "disabled_at": None,
}  # fmt: skip


def test_every_column_has_a_fact_and_none_of_them_a_text() -> None:
    facts = account_facts(ROW)
    assert set(facts) == set(ROW)
    assert (facts["role"], facts["subtree"], facts["created_at"]) == ("auditor", "H53", "2026-03-12T00:00:00.000000Z")
    assert facts["disabled_at"] is None
    assert not any(str(ROW[column]) in str(facts) for column in (*HIDDEN, SALT))


@pytest.mark.parametrize("column", [*HIDDEN, SALT])
def test_a_change_of_one_column_changes_its_own_digest(column: str) -> None:
    facts, other = account_facts(ROW), account_facts(ROW | {column: "another"})
    changed = {name for name in facts if facts[name] != other[name]}
    assert changed == ({column} if column != SALT else {*HIDDEN, SALT})


@pytest.mark.parametrize("stored", [HASH, no_password()], ids=["a password", "no password"])
def test_who_guesses_a_login_and_knows_the_log_cannot_tell_whether_it_is_right(stored: str) -> None:
    """Whatever the log holds of the secret must not do as the secret: HMAC's key would be its digest if it is long."""
    facts = account_facts(ROW | {SALT: stored})
    for known in [text for text in facts.values() if text is not None]:
        for key in (known, bytes.fromhex(known) if len(known) == 64 else b"x"):
            raw = key if isinstance(key, bytes) else key.encode()
            guesses = (
                sha256(canonical_json(["login", "an", known])).hexdigest(),
                hmac.new(raw, b"an", sha256).hexdigest(),
                hmac.new(raw, b"login\nan", sha256).hexdigest(),
                sha256(raw + b"an").hexdigest(),
            )
            assert facts["login"] not in guesses
    assert facts["login"] not in (sha256(b"an").hexdigest(), sha256(canonical_json(["login", "an"])).hexdigest())


def test_what_stands_for_no_password_is_none_and_never_the_same() -> None:
    assert is_password(HASH)
    assert not is_password(None) and not is_password(no_password())
    assert no_password() != no_password() and len(no_password()) > 32
