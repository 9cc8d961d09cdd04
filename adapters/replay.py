"""Asking the exchange for what came before, again: from when on, and that it was asked.

Functions of an open SQLite transaction (see `adapters.store`). The store remembers the newest time of the exchange that
it has seen, in slips and notices; nothing here reads a clock.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from adapters import compose, outbox
from adapters.incoming import Office
from adapters.store import get_meta, set_meta
from schemas.times import new_id, parse_rfc3339, rfc3339

LAST_SEEN = "exchange time last seen"
FIRST_REPLAY = "first replay asked"
# A replay asks for a little more than what is missing: clocks and commits are not in the same order everywhere.
REPLAY_MARGIN = timedelta(minutes=10)


def request_replay(connection: sqlite3.Connection, since: datetime, office: Office) -> int:
    """Put a signed request for everything since then into the outbox."""
    message = compose.replay(since, signer=office.signer, id=str(new_id(office.now)), now=office.now)
    return outbox.put(connection, message, now=office.seconds)


def request_first_replay(connection: sqlite3.Connection, office: Office) -> None:
    """A database that has never asked, because it is new or was lost, asks once for everything."""
    if get_meta(connection, FIRST_REPLAY) is None:
        set_meta(connection, FIRST_REPLAY, rfc3339(office.now))
        request_replay(connection, replay_from(last_seen(connection)), office)


def last_seen(connection: sqlite3.Connection) -> datetime | None:
    """The newest time of the exchange that this store has seen; None for an empty store."""
    text = get_meta(connection, LAST_SEEN)
    return None if text is None else parse_rfc3339(text)


def replay_from(since: datetime | None) -> datetime:
    """From when on to ask again: the beginning, if nothing was seen yet."""
    return datetime(1970, 1, 1, tzinfo=UTC) if since is None else since - REPLAY_MARGIN


def see(connection: sqlite3.Connection, moment: datetime) -> None:
    """A time that the exchange gave, remembered if it is the newest."""
    text = rfc3339(moment)  # always UTC with microseconds: texts compare as times do
    if (get_meta(connection, LAST_SEEN) or "") < text:
        set_meta(connection, LAST_SEEN, text)
