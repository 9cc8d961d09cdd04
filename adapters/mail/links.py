"""One-time links: tokens that nobody can guess, kept as hashes only, bound to one mail and expiring.

Whoever has the link alone cannot answer: the page also asks for a short code that stands in the mail's text and not in
the link, so that a scanner that follows links, or even submits forms, triggers nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import time
from dataclasses import dataclass

TOKEN_BYTES = 24
# Hexadecimal: programs that make links out of text cut other signs off at the end.
TOKEN = re.compile(r"[0-9a-f]{48}")
CODE_DIGITS = 6
# Wrong codes after which a link is dead. With six digits, a guesser who has the link succeeds once in 100,000 times.
WRONG_CODES = 10
# How long an opened page may be submitted.
NONCE_SECONDS = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class NewLink:
    """A link about to be mailed: the token and code for the mail, their hashes for the database."""

    purpose: str
    token: str
    code: str | None
    expires_at: float

    @property
    def hash(self) -> bytes:
        return token_hash(self.token)

    @property
    def code_hash(self) -> bytes | None:
        return None if self.code is None else code_hash(self.token, self.code)


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link that was mailed, as it is known by its hash, and the mail it belongs to."""

    hash: bytes
    purpose: str
    expires_at: float
    code_hash: bytes | None
    wrong: int
    mail_no: int
    kind: str
    office: str
    inbox_no: int | None
    about: str | None
    state: str
    answer: str | None
    reason: str | None
    answered_at: float | None


def new_link(purpose: str, *, expires_at: float) -> NewLink:
    """Fresh randomness; an answering link gets a code."""
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}" if purpose == "answer" else None
    return NewLink(purpose=purpose, token=secrets.token_hex(TOKEN_BYTES), code=code, expires_at=expires_at)


def token_hash(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(b"lienthong mail link\0" + token.encode()).digest()


def code_hash(token: str, code: str) -> bytes:
    """What is kept of a code: worthless without the token, which has more randomness than can be searched."""
    return hmac.digest(token.encode(), code.encode(), "sha256")


def code_is_right(link: Link, token: str, code: str) -> bool:
    """Compared in constant time; spaces that a person typed do not count."""
    typed = "".join(code.split())
    return link.code_hash is not None and hmac.compare_digest(link.code_hash, code_hash(token, typed))


def find(connection: sqlite3.Connection, token: str, purpose: str) -> Link | None:
    """The link of a token. Reads only: looking at a page changes nothing."""
    if not TOKEN.fullmatch(token):
        return None
    row = connection.execute(
        "SELECT l.hash, l.purpose, l.expires_at, l.code_hash, l.wrong, m.no, m.kind, m.office, m.inbox_no, m.about,"
        " m.state, m.answer, m.reason, m.answered_at FROM mail_link l JOIN mail m ON m.no = l.mail_no"
        " WHERE l.hash = ? AND l.purpose = ?",
        (token_hash(token), purpose),
    ).fetchone()
    if row is None:
        return None
    return Link(
        hash=row[0],
        purpose=row[1],
        expires_at=row[2],
        code_hash=row[3],
        wrong=row[4],
        mail_no=row[5],
        kind=row[6],
        office=row[7],
        inbox_no=row[8],
        about=row[9],
        state=row[10],
        answer=row[11],
        reason=row[12],
        answered_at=row[13],
    )


def guess(connection: sqlite3.Connection, link: Link) -> int | None:
    """Count a guess before its code is looked at, so that no crowd of requests has more guesses; None if locked."""
    row = connection.execute(
        "UPDATE mail_link SET wrong = wrong + 1 WHERE hash = ? AND wrong < ? RETURNING wrong", (link.hash, WRONG_CODES)
    ).fetchone()
    return None if row is None else int(row[0])


def answer(connection: sqlite3.Connection, link: Link, answer: str, reason: str | None, *, now: float) -> bool:
    """Record the answer once; False if another came first, by whichever of the mail's links."""
    return bool(
        connection.execute(
            "UPDATE mail SET answer = ?, reason = ?, answered_at = ? WHERE no = ? AND answer IS NULL",
            (answer, reason, now, link.mail_no),
        ).rowcount
    )


class Nonces:
    """Proof that a form was read from our page: signed with a key of this process, bound to the link, short-lived.

    Nothing is stored when a page is looked at. After a restart an open page has to be submitted once more.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, link: Link) -> str:
        """For the page's form."""
        until = str(int(time.time()) + NONCE_SECONDS)
        return f"{until}.{self._sign(link, until)}"

    def good(self, link: Link, nonce: str) -> bool:
        """Whether it is one of ours, for this link, and not too old."""
        until, _, signature = nonce.partition(".")
        if not re.fullmatch(r"[0-9]{1,12}", until) or not signature.isascii():
            return False
        return hmac.compare_digest(signature, self._sign(link, until)) and int(until) >= time.time()

    def _sign(self, link: Link, until: str) -> str:
        return hmac.new(self._key, link.hash + until.encode(), "sha256").hexdigest()
