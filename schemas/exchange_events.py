"""Events about the exchange itself: what operators did, the directory, mailboxes, the log (contract §9). Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from schemas.events import RECIPIENTS_PER_EVENT, WORDS, Event, event_of, events_of, in_groups, one_word

ROWS_PER_EVENT: Final = 150
"""Rows of the directory that one event describes: the longest of 500 would not fit into a log entry."""

Facts = Mapping[str, str | int | bool | None]
"""What else a verifier needs to recompute a row: words, numbers, flags; never a text or a name."""


def operator_action(
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    reason_digest: bytes | None = None,
    facts: Facts | None = None,
    recipients: Sequence[str] = (),
) -> list[Event]:
    """An operator did something.

    `actor` is a pseudonymous account id, `action` a word such as `document.hold`, `target` a code, an id or a digest;
    the reason stays in the database, its SHA-256 is here. `facts` are as in `directory_changed`: of `account.add` the
    `role`, and as `subtree` the agency's code, or None. Raises ValueError for anything that is not one word.
    """
    common: dict[str, Any] = {
        "actor": one_word("actor", actor),
        "action": one_word("action", action),
        "target": one_word("target", target),
    }
    if reason_digest is not None:
        common["reason_sha256"] = reason_digest.hex()
    if facts:
        common["facts"] = _facts(facts)
    groups = in_groups(list(recipients), RECIPIENTS_PER_EVENT)
    return [
        event_of("operator_action", at, common | ({"recipients": group} if group else {}), part, len(groups))
        for part, group in enumerate(groups)
    ]


def directory_changed(
    *,
    at: datetime,
    revision: int,
    change: str,
    codes: Sequence[str],
    facts: Facts | None = None,
    actor: str | None = None,
    reason_digest: bytes | None = None,
) -> list[Event]:
    """The directory changed.

    `change` is a word such as `agency.added` or `certificate.revoked`, `codes` the agencies it is about, `facts` what
    else a verifier needs to recompute the projection: dates, digests, thumbprints, flags; never a name. `actor` and
    `reason_digest` are as in `operator_action`. Raises ValueError for a fact that is not one word.
    """
    common: dict[str, Any] = {"revision": revision, "change": one_word("change", change)}
    if actor is not None:
        common["actor"] = one_word("actor", actor)
    if reason_digest is not None:
        common["reason_sha256"] = reason_digest.hex()
    if facts:
        common["facts"] = _facts(facts)
    groups = in_groups(list(codes), RECIPIENTS_PER_EVENT)
    return events_of("directory_changed", at, common, "codes", groups)


def directory_described(
    *,
    at: datetime,
    revision: int,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | int | bool | None]],
) -> list[Event]:
    """How rows of a table of the directory are once the change of this `revision` has written them, column by column.

    Texts stand in `rows` as digests. Raises ValueError for anything that is not one word.
    """
    common: dict[str, Any] = {
        "revision": revision,
        "table": one_word("table", table),
        "columns": [one_word("a column", column) for column in columns],
    }
    groups = in_groups([list(row) for row in rows], ROWS_PER_EVENT)
    for words in groups:
        joined = "\n".join(value for row in words for value in row if isinstance(value, str))
        if joined and not WORDS.fullmatch(joined):
            raise ValueError("whatever an event describes must be one word, or its digest")
    return events_of("directory_described", at, common, "rows", groups)


def mailbox_reset(*, at: datetime, owner: str, generation: int) -> Event:
    """A mailbox was lost or purged and had to be made again; `generation` is the new one's."""
    return event_of("mailbox_reset", at, {"owner": owner, "generation": generation})


def log_opened(*, at: datetime, origin: str, previous: tuple[str, int, bytes]) -> Event:
    """A year's log begins, and this first entry names the tree that it follows: origin, size and root of the former.

    So whoever holds this year's checkpoint holds last year's final one too. Raises ValueError for an origin that is
    not one word.
    """
    former, size, root = previous
    return event_of(
        "log_opened",
        at,
        {
            "origin": one_word("origin", origin),
            "previous": {"origin": one_word("previous", former), "size": size, "root": root.hex()},
        },
    )


def _facts(facts: Facts) -> dict[str, Any]:
    return {name: one_word(name, value) if isinstance(value, str) else value for name, value in facts.items()}
