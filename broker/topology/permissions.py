"""What an agency's AMQP user may do: write to `lt.submit` under its own code, read its own mailbox, nothing else.

Contract §3. Codes have dots, which in a pattern stand for any character: unescaped, `H53` of one agency could be
another's `HX53`, so everything but letters and digits is escaped. Every pattern is anchored at both ends, with `\\z`:
`$` would also let a line break pass at the end.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas import wire

NOTHING: Final = "^$"
"""Matches no name (the default exchange's rights are asked for under the name `amq.default`)."""

HASHING: Final = "rabbit_password_hashing_sha256"


class ImportsUsers(Protocol):
    """The part of the management API that users are made with."""

    @property
    def vhost(self) -> str: ...

    async def import_users(self, definitions: Mapping[str, list[dict[str, Any]]]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A user's patterns on one virtual host, and on the routing keys of `lt.submit`."""

    configure: str
    write: str
    read: str
    topic_write: str
    topic_read: str


def rights_of(code: str) -> Rights:
    """The rights of the agency or hub with this canonical code."""
    own = _escaped(code)
    return Rights(
        configure=NOTHING,
        write=rf"^{_escaped(wire.SUBMIT)}\z",
        read=rf"^{_escaped(wire.mailbox(code))}\z",
        topic_write=rf"^(document\.(urgent|normal)|status|request)\.{own}\z",
        topic_read=NOTHING,
    )


def is_agency_pattern(read: str) -> bool:
    """Whether a read pattern has the form that `rights_of` gives, so that the user is some agency's."""
    return read.startswith(f"^{_escaped(wire.MAILBOX_PREFIX)}") and read.endswith((r"\z", "$"))


def permission_entries(vhost: str, code: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(permission, topic permission) of this agency's user, in the form of a definitions file."""
    rights = rights_of(code)
    return (
        {"user": code, "vhost": vhost, "configure": rights.configure, "write": rights.write, "read": rights.read},
        {
            "user": code,
            "vhost": vhost,
            "exchange": wire.SUBMIT,
            "write": rights.topic_write,
            "read": rights.topic_read,
        },
    )


def password_hash(password: str, salt: bytes) -> str:
    """RabbitMQ's salted SHA-256 of a password; `salt` has 4 bytes.

    One round: such a hash protects random passwords, which agencies get, not ones a person thinks up.
    """
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def user_definitions(vhost: str, passwords: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The definitions that create or replace the users of these agencies (code → password), hashed, with their rights.

    Raises ValueError for an empty password: RabbitMQ would take it for a user without one.
    """
    users: list[dict[str, Any]] = []
    permissions: list[dict[str, Any]] = []
    topic_permissions: list[dict[str, Any]] = []
    for code, password in passwords.items():
        if not password:
            raise ValueError(f"the password of {code} is empty")
        hashed = password_hash(password, os.urandom(4))
        users.append({"name": code, "password_hash": hashed, "hashing_algorithm": HASHING, "tags": []})
        permission, topic_permission = permission_entries(vhost, code)
        permissions.append(permission)
        topic_permissions.append(topic_permission)
    return {"users": users, "permissions": permissions, "topic_permissions": topic_permissions}


async def ensure_agency_user(management: ImportsUsers, code: str, password: str) -> None:
    """Create this agency's AMQP user, or give it this password and exactly its rights again."""
    await ensure_agency_users(management, {code: password})


async def ensure_agency_users(management: ImportsUsers, passwords: Mapping[str, str]) -> None:
    """`ensure_agency_user` for many agencies (code → password) in one call."""
    if passwords:
        await management.import_users(user_definitions(management.vhost, passwords))


def _escaped(text: str) -> str:
    return re.sub(r"([^A-Za-z0-9])", r"\\\1", text)
