"""Documents that are at hand, for what names them: an edXML file, a sheet, an answer.

Functions of an open SQLite transaction (see `adapters.store`).
"""

from __future__ import annotations

import sqlite3
from typing import Final

from adapters.folder import records
from adapters.folder.sheet import About
from adapters.letter import NaturalRef, Ref
from schemas.agency_codes import canonical_code
from schemas.edxml.tying import Known, known_of
from schemas.errors import Refusal
from schemas.jws import parse_message, parse_stored
from schemas.manifest import NaturalKey

LIMIT: Final = 5_000
"""Documents of one sender that are looked through, newest first."""

TAKE_BACK: Final = "take-back/"
"""How the key of a take-back in inbox/ begins (no agency is called so); who asked, in which message, about what."""


def that_came(connection: sqlite3.Connection, sender: str) -> list[Known]:
    """Documents of `sender` in the inbox, and its requests to give documents back."""
    rows = connection.execute("SELECT jws FROM document WHERE sender = ? ORDER BY no DESC LIMIT ?", (sender, LIMIT))
    found = [known_of(parse_stored(bytes(jws)).payload) for (jws,) in rows]
    asking = connection.execute(
        "SELECT DISTINCT m.no, m.jws FROM status s JOIN status_message m ON m.no = s.message_no"
        " WHERE s.audience = 'recipient' AND m.sender = ? ORDER BY m.no DESC LIMIT ?",
        (sender, LIMIT),
    )
    return found + [known_of(parse_stored(bytes(jws)).payload) for _, jws in asking]


def that_went(connection: sqlite3.Connection, sender: str) -> list[Known]:
    """Documents that were sent from here in the name of `sender`."""
    rows = connection.execute(
        "SELECT body FROM outbox WHERE kind = 'document' AND speaker = ? AND state <> 'rejected'"
        " ORDER BY no DESC LIMIT ?",
        (sender, LIMIT),
    )
    return [known_of(parse_message(bytes(body), slip_allowed=False).signed.payload) for (body,) in rows]


def inbox_rows(connection: sqlite3.Connection, about: About) -> list[int]:
    """Rows of the inbox that are meant: by id, by the folder's name in inbox/, or by what is printed on it."""
    if about.id is not None:
        key = records.in_folder(connection, about.id)
        if key is not None and not key.startswith(TAKE_BACK):
            found = connection.execute(
                "SELECT no FROM inbox WHERE sender = ? AND id = ? AND recipient = ?", key.split("/")
            )
        else:
            found = connection.execute("SELECT no FROM inbox WHERE id = ? ORDER BY no", (about.id.lower(),))
        return [int(no) for (no,) in found]
    key_digest = _natural_key(about)
    if key_digest is None:
        return []
    rows = connection.execute(
        "SELECT i.no FROM inbox i JOIN document d ON d.no = i.document_no WHERE d.natural_key = ?"
        " AND d.action IN ('new', 'replace') ORDER BY i.no",
        (key_digest,),
    )
    return [int(no) for (no,) in rows]


def own(connection: sqlite3.Connection, about: About, speaker: str) -> Ref | NaturalRef | None:
    """A document that was sent from here; by what is printed on it also one that was sent from elsewhere."""
    if about.id is not None:
        row = connection.execute(
            "SELECT speaker, id, digest FROM outbox WHERE kind = 'document' AND id = ?"
            " ORDER BY state = 'accepted' DESC, no DESC LIMIT 1",
            (about.id.lower(),),
        ).fetchone()
        return None if row is None else Ref(*row)
    return natural(about, speaker)


def came(connection: sqlite3.Connection, about: About) -> Ref | NaturalRef | None:
    """A document of somebody's that is answered."""
    rows = inbox_rows(connection, about)
    if rows:
        found = connection.execute(
            "SELECT d.sender, d.id, d.digest FROM inbox i JOIN document d ON d.no = i.document_no WHERE i.no = ?",
            (rows[0],),
        ).fetchone()
        return Ref(*found)
    return natural(about, None)


def natural(about: About, sender: str | None) -> NaturalRef | None:
    """The document by what is printed on it; None if not enough is said."""
    of = about.sender or sender
    if of is None or about.issued_on is None:
        return None
    return NaturalRef(canonical_code(of), about.number, about.notation, about.issued_on)


def _natural_key(about: About) -> bytes | None:
    try:
        ref = natural(about, None)
    except Refusal:
        return None
    if ref is None:
        return None
    return NaturalKey(from_=ref.sender, number=ref.number, notation=ref.notation, issued_on=ref.issued_on).key_digest()
